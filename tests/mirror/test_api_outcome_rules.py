"""The REST API of outcome rules: read, set, remove, try out."""

from __future__ import annotations

import pytest

from panel.mirror.models import OutcomeRule
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db

SERVER = "/api/v1/servers/prod/outcome-rule/"
DAG = "/api/v1/servers/prod/dags/etl.daily/outcome-rule/"
TASK = "/api/v1/servers/prod/dags/etl.daily/tasks/process_file/outcome-rule/"
RULE = {"status_pointer": "/ok", "failing_values": [False, 0, "No "], "message_pointer": "/why"}


@pytest.fixture
def task(server):
    return mirrored_task(server, ["success"] * 4, results={n: {"ok": n > 1, "why": f"w{n}"} for n in range(4)})


@pytest.fixture
def call(as_user, operator):
    """``call("put", address, body)``: (status, answer)."""

    def send(method, address, body=None, user=operator):
        answer = getattr(as_user(user), method)(address, body, content_type="application/json")
        return answer.status_code, answer.json() if answer.content else None

    return send


@pytest.mark.parametrize(("address", "scope"), [(SERVER, "server"), (DAG, "dag"), (TASK, "task")])
def test_a_rule_is_set_read_and_removed(task, call, address, scope):
    assert call("get", address)[0] == 404
    status, stored = call("put", address, RULE)
    assert (status, stored["scope"], stored["failing_values"]) == (200, scope, ["false", "0", "no"])
    assert call("get", address) == (200, stored)
    assert call("get", "/api/v1/outcome-rules/?server=prod")[1]["results"] == [stored]
    holds = call("get", f"/api/v1/mapped-tasks/{task.pk}/outcome-rule/")[1]
    assert (holds["scope"], holds["status_pointer"]) == (scope, "/ok")
    assert call("delete", address) == (204, None)
    assert call("delete", address)[0] == 404
    assert call("get", f"/api/v1/mapped-tasks/{task.pk}/outcome-rule/")[1]["scope"] == "default"


def test_trying_a_rule_out_changes_nothing(task, call, viewer, woken):
    status, found = call("post", f"/api/v1/mapped-tasks/{task.pk}/outcome-rule/try-out/", RULE, viewer)
    assert status == 200
    numbers = {name: found[name] for name in ("total", "tried", "to_read", "failing", "changed", "to_failure")}
    assert numbers == {"total": 4, "tried": 4, "to_read": 0, "failing": 2, "changed": 2, "to_failure": 2}
    assert found["examples"][0] == {
        "map_index": 0, "label": "", "has_status": True, "status": False, "message": "w0", "before": "success",
        "after": "soft_failure",
    }  # fmt: skip
    assert (OutcomeRule.objects.count(), woken) == (0, [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (RULE | {"status_pointer": "ok"}, "status_pointer"),
        (RULE | {"failing_values": []}, "failing_values"),
        (RULE | {"failing_values": [{}]}, "failing_values"),
        (RULE | {"message": "/why"}, "message"),
        ({"failing_values": ["x"]}, "status_pointer"),
    ],
)
def test_what_is_no_rule_is_422_with_the_field(task, call, body, field):
    status, answer = call("put", TASK, body)
    assert (status, list(answer["error"]["fields"])) == (422, [field])
    assert call("post", f"/api/v1/mapped-tasks/{task.pk}/outcome-rule/try-out/", body)[0] == 422


def test_a_misspelt_name_is_refused(task, call):
    assert call("put", DAG.replace("etl.daily", "etl.dialy"), RULE)[0] == 422
    assert call("put", TASK.replace("process_file", "proces_file"), RULE)[0] == 422
    assert call("put", SERVER.replace("prod", "nope"), RULE)[0] == 404


def test_a_viewer_may_read_and_try_only(task, call, viewer):
    assert call("put", TASK, RULE, viewer)[0] == 403
    assert call("delete", TASK, None, viewer)[0] == 403
    assert call("get", "/api/v1/outcome-rules/", user=viewer)[0] == 200
