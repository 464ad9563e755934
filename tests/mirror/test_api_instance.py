"""REST: one instance with its tries, input, result and log; the export."""

from __future__ import annotations

import csv
import io
import json

import pytest

from panel.mirror.live_reads import RESULT_BYTES
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(etl, mapped, sync, airflow):
    task = mapped(4)
    etl.instance("etl", "r1", "work", 0).item = {"part": "<0>"}
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "first"))
    sync(task)
    airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False)
    etl.finish("etl", "r1", "work", 0, error=("KeyError", "second"))
    etl.finish("etl", "r1", "work", 1, result={"status": "failed", "error": "=cmd()", "id": 1}, label="+1")
    etl.finish("etl", "r1", "work", 2, result={"id": 2}, label="Ünïted")
    return sync(task)


@pytest.fixture
def get(as_user, viewer, task):
    browser = as_user(viewer)
    return lambda path: browser.get(f"/api/v1/mapped-tasks/{task.pk}/{path}")


def test_an_instance_with_its_tries_and_its_input(get):
    body = get("instances/0/").json()
    assert (body["outcome"], body["error_type"], body["live_error"]) == ("hard_failure", "KeyError", "")
    assert [(one["try_number"], one["state"]) for one in body["tries"]] == [(1, "failed"), (2, "failed")]
    assert body["rendered_fields"]["op_kwargs"] == {"item": {"part": "<0>"}}


def test_the_whole_result(get):
    body = get("instances/2/").json()
    assert body["result"] == {"id": 2}
    assert json.loads(body["whole_result"]["text"]) == {"id": 2}
    assert body["whole_result"]["cut"] is False


def test_a_result_of_which_only_a_preview_is_kept_is_read_whole(etl, get, task, sync, settings):
    settings.RESULT_PREVIEW_BYTES = 50
    etl.finish("etl", "r1", "work", 3, result={"long": "x" * 5_000})
    sync(task)
    body = get("instances/3/").json()
    assert body["result_shortened"] is True
    assert body["result"]["long"].startswith("xxx")
    assert json.loads(body["whole_result"]["text"]) == {"long": "x" * 5_000}


def test_a_very_large_result_is_cut(etl, get, task, sync):
    etl.finish("etl", "r1", "work", 3, result="ü" * RESULT_BYTES)
    sync(task)
    whole = get("instances/3/").json()["whole_result"]
    assert whole["cut"] is True
    assert len(whole["text"].encode()) <= RESULT_BYTES


def test_with_airflow_down_what_is_known_is_shown_and_why_the_rest_is_not(etl, get):
    etl.down = True
    answer = get("instances/0/")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["outcome"], body["tries"], body["rendered_fields"], body["whole_result"]) == (
        "hard_failure", None, None, None,
    )  # fmt: skip
    assert body["live_error"]


def test_the_log_of_a_try(get):
    latest, first = get("instances/0/log/").json(), get("instances/0/log/?try_number=1").json()
    assert latest["content"][-1]["error_detail"][0]["exc_value"] == "second"
    assert first["content"][-1]["error_detail"][0]["exc_value"] == "first"
    assert first["continuation_token"] is None


def test_the_log_of_a_running_try_goes_on_where_it_ended(etl, get, task, sync):
    etl.start("etl", "r1", "work", 3)
    sync(task)
    page = get("instances/3/log/").json()
    assert page["continuation_token"]
    assert get(f"instances/3/log/?token={page['continuation_token']}").status_code == 200


def test_a_log_that_cannot_be_had(etl, get):
    assert get("instances/0/log/?try_number=9").status_code == 404
    assert get("instances/0/log/?try_number=x").status_code == 400
    assert get("instances/0/log/?try=1").status_code == 400
    etl.forbid("logs")
    answer = get("instances/0/log/")
    assert (answer.status_code, "Forbidden" in answer.json()["error"]["message"]) == (502, True)
    etl.down = True
    assert get("instances/0/log/").status_code == 503


def text_of(answer) -> str:
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def test_export_as_csv_with_formulas_made_plain(get):
    answer = get("export/?format=csv")
    assert answer["Content-Type"].startswith("text/csv")
    assert answer["Content-Disposition"].startswith('attachment; filename="instances-')
    rows = list(csv.DictReader(io.StringIO(text_of(answer))))
    assert [row["map_index"] for row in rows] == ["0", "1", "2", "3"]
    assert (rows[1]["label"], rows[1]["error_message"]) == ("'+1", "'=cmd()")
    assert json.loads(rows[1]["result"]) == {"status": "failed", "error": "=cmd()", "id": 1}
    assert (rows[2]["label"], rows[3]["result"], rows[3]["duration"]) == ("Ünïted", "", "")


def test_export_as_json_lines(get):
    rows = [json.loads(line) for line in text_of(get("export/?format=jsonl")).splitlines()]
    assert [row["outcome"] for row in rows] == ["hard_failure", "soft_failure", "success", "waiting"]
    assert rows[1]["label"] == "+1"  # data stay as they are
    assert rows[1]["result"]["error"] == "=cmd()"


def test_the_export_has_the_lists_filters(get):
    rows = text_of(get("export/?format=jsonl&outcome=soft_failure&outcome=success&indices=2-")).splitlines()
    assert [json.loads(row)["map_index"] for row in rows] == [2]


@pytest.mark.parametrize(
    ("query", "status"), [("format=xlsx", 400), ("format=csv&outcomes=success", 400), ("format=csv&indices=x", 422)]
)
def test_an_export_that_cannot_be_made(get, query, status):
    assert get(f"export/?{query}").status_code == status


def test_a_long_export_is_read_as_it_is_sent(as_user, viewer, server, django_assert_max_num_queries):
    task = mirrored_task(server, ["success"] * 2_500, dag_id="long")
    browser = as_user(viewer)
    with django_assert_max_num_queries(9):
        answer = browser.get(f"/api/v1/mapped-tasks/{task.pk}/export/?format=jsonl")
        assert len(text_of(answer).splitlines()) == 2_500
