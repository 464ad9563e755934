"""The buttons that have more read, and who may press them."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from panel.domain.storages import storages_from
from panel.mirror.models import DagRun, MappedTask
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db
ERRORS, RESULTS = "read_errors", "read_external_results"


@pytest.fixture
def task(server) -> MappedTask:
    task = mirrored_task(server, outcomes=["success", "hard_failure"])
    MappedTask.objects.filter(pk=task.pk).update(unread_errors=7, external_results=3)
    return task


def url(task: MappedTask, name: str) -> str:
    run = task.run
    return reverse(f"mirror:{name}", args=[run.dag.server.slug, run.dag.dag_id, run.run_id, task.task_id])


@pytest.mark.parametrize(("name", "column"), [(ERRORS, "errors_requested_at"), (RESULTS, "resolution_requested_at")])
def test_an_operator_asks_and_the_worker_is_woken(task, as_user, operator, woken, name, column):
    answer = as_user(operator).post(url(task, name))
    assert (answer.status_code, answer.headers["Location"]) == (302, url(task, "mapped_task_detail"))
    task.refresh_from_db()
    assert getattr(task, column) is not None
    assert task.due_at is not None
    assert ("mirror.sync_mapped_task", (str(task.pk), 0)) in woken


@pytest.mark.parametrize("name", [ERRORS, RESULTS])
def test_others_may_not(task, as_user, viewer, deployer, nobody, client, name):
    for person in (viewer, deployer, nobody):
        assert as_user(person).post(url(task, name)).status_code == 403
    assert client.post(url(task, name)).status_code == 302  # to the login
    task.refresh_from_db()
    assert (task.errors_requested_at, task.resolution_requested_at) == (None, None)


@pytest.mark.parametrize("name", [ERRORS, RESULTS])
def test_looking_asks_for_nothing(task, as_user, operator, name):
    assert as_user(operator).get(url(task, name)).status_code == 405


def test_buttons_are_shown_to_those_who_may_press_them(task, as_user, operator, viewer, settings):
    settings.XCOM_STORAGE = storages_from([{"base": "file:///xcoms"}])
    page = as_user(operator).get(url(task, "mapped_task_detail")).content.decode()
    assert "Read the remaining 7 errors" in page
    assert "Read 3 results" in page
    page = as_user(viewer).get(url(task, "mapped_task_detail")).content.decode()
    assert "7 failures whose error is not read yet." in page
    assert "3 results are kept outside Airflow’s database." in page
    assert '<form method="post" action="' + url(task, ERRORS) not in page
    assert url(task, RESULTS) not in page


def test_without_a_storage_results_held_elsewhere_are_only_told(task, as_user, operator):
    page = as_user(operator).get(url(task, "mapped_task_detail")).content.decode()
    assert "3 results are kept outside Airflow’s database." in page
    assert url(task, RESULTS) not in page


def test_who_asked_sees_that_they_are_being_read(task, as_user, operator):
    browser = as_user(operator)
    browser.post(url(task, ERRORS))
    page = browser.get(url(task, "mapped_task_detail")).content.decode()
    assert "Being read." in page
    assert "Read the remaining" not in page


@pytest.mark.parametrize(("name", "column"), [(ERRORS, "errors_requested_at"), (RESULTS, "resolution_requested_at")])
def test_the_page_of_a_finished_run_asks_again_until_they_are_read(task, as_user, operator, name, column):
    DagRun.objects.update(state="failed")
    MappedTask.objects.update(complete=True, refresh_requested_at=None, synced_at=timezone.now())
    polls = "data-poll"
    assert polls not in as_user(operator).get(url(task, "mapped_task_detail")).content.decode()
    as_user(operator).post(url(task, name))
    assert polls in as_user(operator).get(url(task, "mapped_task_detail")).content.decode()
    MappedTask.objects.update(**{column: None}, refresh_requested_at=None)
    assert polls not in as_user(operator).get(url(task, "mapped_task_detail")).content.decode()
