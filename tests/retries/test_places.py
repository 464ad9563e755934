"""Where failures are shown there is a way to retry them, for those who may, and always to the one panel."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from panel.launches.models import Launch
from panel.retries.models import RetryJob

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true", "HX-Target": "retry-slot"}


@pytest.fixture
def etl_page(etl, as_user):
    """``etl_page(user, name, **ids)``: the HTML of a page of that Dag's run "r1"."""

    def read(user, name: str, **ids) -> str:
        names = {
            "mirror:home": {},
            "mirror:run_detail": {"slug": etl.server.slug, "dag_id": "etl", "run_id": "r1"},
            "mirror:mapped_task_detail": {
                "slug": etl.server.slug, "dag_id": "etl", "run_id": "r1", "task_id": "work",
            },
        }  # fmt: skip
        base = names.get(name, names["mirror:mapped_task_detail"])
        return as_user(user).get(reverse(name, kwargs=base | ids)).content.decode()

    return read


@pytest.fixture
def launch(etl, deployer):
    now = timezone.now()
    return Launch.objects.create(
        server=etl.server, server_slug=etl.server.slug, dag_id="etl", dag_run_id="r1", user=deployer,
        username=deployer.username, state="failed", idempotency_key="k", body_hash="x", next_attempt_at=now,
        deadline_at=now, created_at=now,
    )  # fmt: skip


def links(page: str, task) -> list[str]:
    """The queries of all links to the retry panel of this task."""
    url = reverse("retries:retry_panel", args=[task.pk])
    return [found.replace("&amp;", "&") for found in re.findall(rf'href="{url}\?([^"]*)"', page)]


ALL_FAILED = "outcome=soft_failure&outcome=hard_failure&outcome=upstream_failed"


@pytest.mark.parametrize(
    ("name", "ids", "query"),
    [
        ("mirror:home", {}, ALL_FAILED),
        ("mirror:run_detail", {}, ALL_FAILED),
        ("mirror:mapped_task_detail", {}, ALL_FAILED),
        ("mirror:instance_detail", {"map_index": 1}, "indices=1"),
        ("mirror:index_map_table", {}, "outcome=hard_failure"),
    ],
)
def test_failures_can_be_retried_where_they_are_seen(etl, etl_page, operator, viewer, name, ids, query):
    task = etl.stage(4, failed=[1, 2], soft=[3])
    assert sorted(query.split("&")) in [sorted(one.split("&")) for one in links(etl_page(operator, name, **ids), task)]
    assert links(etl_page(viewer, name, **ids), task) == []


def test_an_error_group_has_its_own_retry(etl, etl_page, operator):
    task = etl.stage(4, failed=[1, 2], soft=[3])
    found = [query for query in links(etl_page(operator, "mirror:mapped_task_detail"), task) if "error_group" in query]
    assert len(found) == 2


def test_the_board_of_a_launch_offers_its_failed_targets(etl, launch, as_user, operator):
    task = etl.stage(4, failed=[1], soft=[3])
    page = as_user(operator).get(reverse("launches:launch_detail", args=[launch.pk])).content.decode()
    found = [sorted(query.split("&")) for query in links(page, task)]
    assert sorted(ALL_FAILED.split("&")) in found
    assert ["indices=1"] in found
    assert ["indices=3"] in found
    assert ["indices=0"] not in found
    assert 'id="retry-slot"' in page


def test_who_launched_but_may_not_retry_is_told_whom_to_ask(etl, launch, as_user, deployer):
    task = etl.stage(4, failed=[1])
    page = as_user(deployer).get(reverse("launches:launch_detail", args=[launch.pk])).content.decode()
    assert links(page, task) == []
    assert "Retrying takes the group operator" in page


def marks(page: str, task) -> set[str]:
    return {query.partition("action=")[2] for query in links(page, task) if "action=" in query}


@pytest.mark.parametrize(
    ("name", "ids"), [("mirror:mapped_task_detail", {}), ("mirror:instance_detail", {"map_index": 1})]
)
def test_mark_as_is_offered_beside_retry_and_never_as_the_main_button(etl, etl_page, operator, viewer, name, ids):
    task = etl.stage(4, failed=[1])
    page = etl_page(operator, name, **ids)
    assert marks(page, task) == {"mark_success", "mark_skipped", "mark_failed"}
    assert not re.search(r'class="button primary[^>]*mark_', page)
    assert "mark_" not in etl_page(viewer, name, **ids)


def mark_url(task, action: str = "mark_success", query: str = "outcome=hard_failure") -> str:
    return f"{reverse('retries:retry_panel', args=[task.pk])}?{query}&action={action}"


def text_of(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def fields_of(answer, **more) -> dict[str, str]:
    page = answer.content.decode()
    found = {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("idempotency_key", "plan_token")}
    return found | {"reason": "loaded by hand"} | more


def test_the_panel_says_what_is_marked_what_it_is_now_and_what_that_means(etl, as_user, operator):
    task = etl.stage(6, failed=[1, 4], soft=[2])
    answer = as_user(operator).get(mark_url(task, query=ALL_FAILED), headers=HTMX)
    shown = text_of(answer)
    assert shown.startswith("Mark 2 indices of work as success 1,4")
    assert "Nothing runs: Airflow sets the state and no more." in shown
    assert "1 Airflow has it as success already; only its result says that it failed: 2" in shown
    assert shown.endswith("Cancel Mark 2 indices as success")
    assert "button primary" not in answer.content.decode()


def test_nothing_is_marked_without_the_tick_and_the_reason(etl, as_user, operator):
    task = etl.stage(3, failed=[1])
    client = as_user(operator)
    answer = client.get(mark_url(task))
    for wrong in ({}, {"confirm": "on", "reason": " "}):
        assert client.post(mark_url(task), fields_of(answer, **wrong)).status_code == 422
    assert not RetryJob.objects.exists()
    assert client.post(mark_url(task), fields_of(answer, confirm="on")).status_code == 302
    job = RetryJob.objects.get()
    assert (job.action, job.total) == ("mark_success", 1)


def test_the_page_of_the_job_speaks_of_marking(etl, jobs, as_user, operator):
    from panel.retries.states import Action

    job = jobs.request(etl.stage(3, failed=[0, 1]), action=Action.MARK_SKIPPED)
    jobs.work()
    shown = text_of(as_user(operator).get(reverse("retries:job_detail", args=[job.pk])))
    assert "Marking 2 indices as skipped" in shown
    assert "2 marked as skipped." in shown
    assert "recovered" not in shown
    assert "Mark as skipped" in text_of(as_user(operator).get(reverse("retries:job_list")))


def test_an_unknown_action_is_400(etl, as_user, operator):
    assert as_user(operator).get(mark_url(etl.stage(2, failed=[0]), "delete")).status_code == 400
