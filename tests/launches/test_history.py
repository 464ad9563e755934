"""The history: every filter on page and REST, what is searched and what never is, exports, old rows."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from panel.launches.models import Launch, LaunchStop
from panel.launches.services import request_launch
from panel.mirror.models import Dag

pytestmark = pytest.mark.django_db
API = "/api/v1/launches/"


@pytest.fixture
def second(person):
    return person("dirk", "deployer")


@pytest.fixture
def history(launched, server, second, fake_airflow):
    """Three launches: of dora to staging, of dora to prod (protected, failed), of dirk, of another Dag."""
    fake_airflow.add_dag("reprocess", params={"day": "2026-01-01"})
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    first = launched(env="staging", version="1.0")
    prod = launched(env="prod", version="2.0")
    other = request_launch(
        user=second, server=server, dag_id="reprocess", params={"day": "2026-02-03"}, note="Größe geändert 100%"
    ).launch
    for days, launch in enumerate((first, prod, other)):
        Launch.objects.filter(pk=launch.pk).update(created_at=moment + timedelta(days=days))
    Launch.objects.filter(pk=prod.pk).update(protected=True, state="failed")
    return {"first": first, "prod": prod, "other": other}


FILTERS = [
    ({}, ["other", "prod", "first"]),
    ({"server": "prod"}, ["other", "prod", "first"]),
    ({"server": "nowhere"}, []),
    ({"dag_id": "deploy"}, ["prod", "first"]),
    ({"dag_id": "depl"}, []),
    ({"state": ["failed"]}, ["prod"]),
    ({"state": ["failed", "submitting"]}, ["other", "prod", "first"]),
    ({"requested_by": "dirk"}, ["other"]),
    ({"from": "2026-11-21"}, ["other", "prod"]),
    ({"to": "2026-11-21"}, ["prod", "first"]),
    ({"from": "2026-11-21", "to": "2026-11-21"}, ["prod"]),
    ({"from": "2026-11-21T12:00:01Z"}, ["other"]),
    ({"to": "2026-11-20T13:00:00+01:00"}, []),
    ({"protected": "true"}, ["prod"]),
    ({"protected": "false"}, ["other", "first"]),
    ({"q": "GRÖSSE"}, ["other"]),
    ({"q": "GEÄNDERT"}, ["other"]),
    ({"q": "100%"}, ["other"]),
    ({"q": "1_0"}, []),
    ({"q": "env=PROD"}, ["prod"]),
    ({"q": "2026-02"}, ["other"]),
    ({"q": "why", "requested_by": "dora", "state": ["failed"]}, ["prod"]),
    ({"q": "nothing like it"}, []),
]


@pytest.mark.parametrize(("given", "names"), FILTERS)
def test_page_rest_and_export_filter_alike(given, names, history, viewer, as_user):
    client = as_user(viewer)
    wanted = [str(history[name].pk) for name in names]
    query = urlencode(given, doseq=True)
    answer = client.get(f"{API}?{query}").json()
    assert [row["id"] for row in answer["results"]] == wanted
    assert answer["count"] == len(wanted)
    page = client.get(f"/launches/?{query}")
    assert [str(launch.pk) for launch in page.context["page"].rows] == wanted
    lines = b"".join(client.get(f"{API}export/?format=jsonl&{query}")).decode().splitlines()
    assert [json.loads(line)["id"] for line in lines] == wanted


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"state": "failing"}, "state"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"from": "2026-11-22", "to": "2026-11-20"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"protected": "maybe"}, "protected"),
        ({"q": "x" * 251}, "q"),
    ],
)
def test_what_is_no_filter_is_said(given, field, history, viewer, as_user):
    client = as_user(viewer)
    for url in (API, f"{API}export/"):
        answer = client.get(url, given)
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, [field])
    page = client.get("/launches/", given)
    assert page.status_code == 400
    assert page.context["page"].rows == []


def test_an_unknown_filter_or_format_is_refused(history, viewer, as_user):
    client = as_user(viewer)
    assert client.get(f"{API}?dag=deploy").status_code == 400
    assert client.get(f"{API}export/?format=xlsx").status_code == 400
    assert client.get("/launches/?q=%00").status_code == 200


def test_a_page_keeps_its_filters_and_so_does_its_export(history, viewer, as_user, monkeypatch):
    monkeypatch.setattr("panel.launches.views_history.PAGE_SIZE", 1)
    page = as_user(viewer).get("/launches/?dag_id=deploy&state=failed&state=submitting").content.decode()
    assert 'value="failed" checked' in page
    assert 'value="submitting" checked' in page
    assert "export/?dag_id=deploy&amp;state=failed&amp;state=submitting&amp;format=csv" in page
    assert "cursor=" in page


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def secret(launched, fake_airflow):
    schema = {"type": "string", "format": "password"}
    fake_airflow.world.dags["deploy"].params["token"] = {"value": "d", "schema": schema, "description": None}
    return launched(token="hunter-two")


def test_a_secret_is_never_found_nor_exported(secret, viewer, as_user):
    client = as_user(viewer)
    assert client.get(f"{API}?q=hunter").json()["count"] == 0
    assert client.get(f"{API}?q=token").json()["count"] == 0
    for wanted in ("csv", "jsonl"):
        assert "hunter" not in b"".join(client.get(f"{API}export/?format={wanted}")).decode()


def test_values_given_while_airflow_was_away_are_searched_once_it_is_known_which_are_secret(
    server, deployer, fake_airflow, submitted, due, viewer, as_user
):
    schema = {"type": "string", "format": "password"}
    params = {"place": "x", "token": {"value": "d", "schema": schema, "description": None}}
    fake_airflow.add_dag("unread", params=params)
    Dag.objects.create(server=server, dag_id="unread")
    fake_airflow.down = True
    given = {"place": "Berlin", "token": "hunter-two"}
    launch = request_launch(user=deployer, server=server, dag_id="unread", params=given).launch
    client = as_user(viewer)
    assert client.get(f"{API}?q=berlin").json()["count"] == 0
    fake_airflow.down = False
    due(launch)
    submitted(launch)
    assert client.get(f"{API}?q=berlin").json()["count"] == 1
    assert client.get(f"{API}?q=hunter").json()["count"] == 0


def test_launches_from_before_are_filled_in_by_the_migration_in_batches(history, secret, monkeypatch):
    before = dict(Launch.objects.values_list("pk", "search_text"))
    Launch.objects.update(search_text="")
    migration = import_module("panel.launches.migrations.0006_search_text")
    monkeypatch.setattr(migration, "BATCH", 1)
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert dict(Launch.objects.values_list("pk", "search_text")) == before
    assert not any("hunter" in text for text in before.values())


# ── Exports ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_csv_tells_all_and_makes_formulas_plain(history, second, viewer, as_user):
    launch = history["prod"]
    Launch.objects.filter(pk=launch.pk).update(note="=HYPERLINK(1)")
    LaunchStop.objects.create(
        launch=launch, user=second, username="dirk", reason="+1", state="done", next_attempt_at=timezone.now(),
        deadline_at=timezone.now(), asked_at=timezone.now(),
    )  # fmt: skip
    answer = as_user(viewer).get(f"{API}export/?format=csv&dag_id=deploy&state=failed")
    assert answer["Content-Type"].startswith("text/csv")
    assert 'filename="launches.csv"' in answer["Content-Disposition"]
    assert answer.streaming
    (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
    assert row["note"] == "'=HYPERLINK(1)"
    assert (row["stopped_by"], row["stop_reason"], row["state"]) == ("dirk", "'+1", "failed")
    assert json.loads(row["params"]) == {"version": "2.0", "env": "prod"}
    assert row["created_at"] == "2026-11-21T12:00:00Z"


def test_reading_many_takes_few_queries(launched, viewer, as_user, django_assert_max_num_queries):
    for number in range(12):
        launched(version=str(number))
    client = as_user(viewer)
    with django_assert_max_num_queries(9):
        assert len(list(client.get(f"{API}export/?format=jsonl"))) == 12
    with django_assert_max_num_queries(9):
        assert client.get(API).json()["count"] == 12


@pytest.mark.parametrize("wanted", ["csv", "jsonl"])
def test_who_may_not_look_exports_nothing(wanted, history, nobody, as_user, client):
    assert as_user(nobody).get(f"{API}export/?format={wanted}").status_code == 403
    assert client.get(f"{API}export/?format={wanted}").status_code == 401
