"""The retry panel, the list of jobs and the page of a job."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.policies import Policy
from panel.retries.services import cancel_job
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db

FAILURES = "outcome=hard_failure&outcome=soft_failure"
HTMX = {"HX-Request": "true", "HX-Target": "retry-slot"}


def panel_url(task, query: str = FAILURES) -> str:
    return f"{reverse('retries:retry_panel', args=[task.pk])}?{query}"


def job_url(job) -> str:
    return reverse("retries:job_detail", args=[job.pk])


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no {name} in the page"
    return found[1]


def fields_of(answer, **more) -> dict[str, str]:
    page = answer.content.decode()
    names = ("idempotency_key", "plan_token")
    return {name: hidden(page, name) for name in names} | {"reason": "disk was full"} | more


def text_of(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_the_panel_says_what_it_will_do_before(etl, as_user, operator):
    task = etl.stage(6, failed=[1, 4], soft=[2])
    answer = as_user(operator).get(panel_url(task), headers=HTMX)
    assert answer.status_code == 200
    shown = text_of(answer)
    assert shown.startswith("Retry 3 indices of work 1-2,4")
    assert "will run again downstream: report" in shown
    assert shown.endswith("Retry 3 indices Cancel")
    assert "<html" not in answer.content.decode()
    assert etl.cleared() == []


def test_without_htmx_the_panel_is_a_page(etl, as_user, operator):
    task = etl.stage(3, failed=[1])
    page = as_user(operator).get(panel_url(task)).content.decode()
    assert "<html" in page
    assert 'id="retry-panel"' in page


def test_pressing_retry_makes_one_job_however_often(etl, jobs, as_user, operator):
    task = etl.stage(6, failed=[1, 4], soft=[2])
    client = as_user(operator)
    fields = fields_of(client.get(panel_url(task)))
    answers = [client.post(panel_url(task), fields) for _ in range(2)]
    job = RetryJob.objects.get()
    assert [answer["Location"] for answer in answers] == [job_url(job)] * 2
    jobs.to_the_end(job)
    assert etl.tries() == {0: 1, 1: 2, 2: 2, 3: 1, 4: 2, 5: 1}


def test_a_reason_is_asked_for_beside_the_field_and_the_rest_stays(etl, as_user, operator):
    task = etl.stage(3, failed=[1])
    client = as_user(operator)
    fields = fields_of(client.get(panel_url(task)), reason=" ", canary="1", canary_percent="10")
    answer = client.post(panel_url(task), fields, headers={"HX-Request": "true", "HX-Target": "retry-panel"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "<html" not in page
    assert 'id="field-reason"' in page
    assert "field-wrong" in page
    assert 'name="canary" value="1"' in page
    assert not RetryJob.objects.exists()


def test_a_wrong_number_is_said_beside_its_field(etl, as_user, operator):
    task = etl.stage(3, failed=[1])
    client = as_user(operator)
    answer = client.post(panel_url(task), fields_of(client.get(panel_url(task)), canary_percent="20"))
    assert answer.status_code == 422
    assert "Say how many indices go first, too." in text_of(answer)


def test_a_set_that_changed_is_shown_again_with_the_difference_and_can_then_be_retried(etl, as_user, operator):
    task = etl.stage(4, failed=[0, 1])
    client = as_user(operator)
    fields = fields_of(client.get(panel_url(task)))
    etl.fake.finish("etl", "r1", "work", 0, result={"id": 0})
    etl.mirrored()
    answer = client.post(panel_url(task), fields)
    assert answer.status_code == 409
    assert "No longer to be retried: work: 0." in text_of(answer)
    assert "Retry 1 index of work" in text_of(answer)
    assert "Accept, and retry 1 index" in text_of(answer)
    assert client.post(panel_url(task), fields_of(answer)).status_code == 302
    assert RetryJob.objects.get().total == 1


def test_the_panel_tells_the_errors_that_are_retried(etl, as_user, operator):
    task = etl.stage(9, failed=[0, 3, 4], soft=[2])
    shown = text_of(as_user(operator).get(panel_url(task)))
    assert "Of 2 error groups 3 KeyError customer_0 1 bad row 2" in shown


def test_the_panel_says_how_much_more_airflow_has_to_do(etl, as_user, operator):
    task = etl.stage(4, failed=[0])
    assert "At most 1 instance at once, as so far, 1 slot of the pool default_pool." in (
        shown := text_of(as_user(operator).get(panel_url(task)))
    )
    assert "4 requests to Airflow to send it." in shown


def test_the_latest_version_is_offered_where_the_run_is_of_an_older_one(etl, jobs, as_user, operator):
    task = etl.stage(4, failed=[0])
    client = as_user(operator)
    assert "run_on_latest_version" not in client.get(panel_url(task)).content.decode()
    etl.fake.new_version("etl")
    page = client.get(panel_url(task))
    assert 'name="run_on_latest_version"' in page.content.decode()
    assert "This run is of version 1 of the Dag; the latest is 2." in text_of(page)
    ticked = client.get(panel_url(task, f"{FAILURES}&run_on_latest_version=on"))
    assert "version 1 of the Dag" not in text_of(ticked)
    assert client.post(panel_url(task), fields_of(ticked, run_on_latest_version="on")).status_code == 302
    assert RetryJob.objects.get().run_on_latest_version


def test_a_limit_is_said_in_the_panel_and_holds(etl, as_user, operator, settings):
    settings.RETRY_MOST_INDICES = {"operator": 1}
    task = etl.stage(4, failed=[0, 1])
    client = as_user(operator)
    page = client.get(panel_url(task))
    assert "2 indices are more than the 1 that you may retry at once." in text_of(page)
    assert client.post(panel_url(task), fields_of(page)).status_code == 422
    assert not RetryJob.objects.exists()


def test_what_is_left_out_is_explained(etl, as_user, operator):
    etl.stage(4, failed=[0])
    etl.fake.start("etl", "r1", "work", 1)
    shown = text_of(as_user(operator).get(panel_url(etl.mirrored(), "indices=0-2,7")))
    assert "Left out: 3 (why?)" in shown
    assert "1 running now: 1" in shown
    assert "1 succeeded: 2" in shown
    assert "1 not in the map: 7" in shown


def test_nothing_to_retry_offers_no_button(etl, as_user, operator):
    shown = text_of(as_user(operator).get(panel_url(etl.stage(2), "indices=0"), headers=HTMX))
    assert shown.startswith("Nothing to retry in work")
    assert "Retry 1" not in shown


def test_settled_indices_and_downstream_are_choices_with_a_warning(etl, as_user, operator):
    task = etl.stage(3, failed=[0])
    query = "indices=0-1&include_settled=on&without_downstream=on&reason=typed"
    answer = as_user(operator).get(panel_url(task, query), headers=HTMX)
    shown = text_of(answer)
    assert "Retry 2 indices" in shown
    assert "1 index that did not fail will run again" in shown
    assert "tasks downstream are left as they are" in shown
    assert 'value="typed"' in answer.content.decode()


def test_a_wrong_selection_is_refused_not_widened(etl, as_user, operator):
    task = etl.stage(3, failed=[0])
    client = as_user(operator)
    for query, status in (("", 422), ("outcome=broken", 400), ("indices=3,x", 422)):
        assert client.get(panel_url(task, query)).status_code == status


def test_airflow_away_is_said_in_the_panel(etl, as_user, operator):
    task = etl.stage(3, failed=[0])
    etl.fake.down = True
    client = as_user(operator)
    answer = client.get(panel_url(task), headers=HTMX)
    assert answer.status_code == 422
    assert "Airflow could not be asked" in text_of(answer)
    assert client.get(panel_url(task)).status_code == 503


def test_only_people_who_may_retry_see_the_panel(etl, as_user, viewer, deployer, nobody, client):
    task = etl.stage(3, failed=[0])
    for user in (viewer, deployer, nobody):
        assert as_user(user).get(panel_url(task)).status_code == 403
        assert as_user(user).post(panel_url(task), {"reason": "x"}).status_code == 403
    assert client.get(panel_url(task)).status_code == 302
    assert not RetryJob.objects.exists()


def test_a_viewer_sees_a_job_without_its_buttons_and_cannot_press_them(etl, jobs, as_user, viewer, operator):
    job = jobs.request(etl.stage(3, failed=[0]))
    assert "Pause" in text_of(as_user(operator).get(job_url(job)))
    assert "Pause" not in text_of(as_user(viewer).get(job_url(job)))
    for change in ("pause", "resume", "cancel"):
        assert as_user(viewer).post(reverse(f"retries:job_{change}", args=[job.pk])).status_code == 403
        assert as_user(operator).get(reverse(f"retries:job_{change}", args=[job.pk])).status_code == 405
    assert selectors.job(job.pk).state == "planned"


def test_pause_resume_cancel_by_button(etl, jobs, as_user, operator):
    job = jobs.request(etl.stage(3, failed=[0]))
    client = as_user(operator)
    for change, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert client.post(reverse(f"retries:job_{change}", args=[job.pk])).status_code == 302
        assert selectors.job(job.pk).state == state
    again = client.post(reverse("retries:job_resume", args=[job.pk]), follow=True)
    assert "Only a paused job can be resumed" in text_of(again)


def test_a_poller_gets_nothing_until_something_is_new_and_rows_in_place(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(3, failed=[0, 1]))
    client = as_user(viewer)
    headers = {"HX-Request": "true"}
    assert f"?v={job.version}" in client.get(job_url(job)).content.decode()
    assert client.get(f"{job_url(job)}?v={job.version}", headers=headers).status_code == 204
    jobs.work()
    news = client.get(f"{job_url(job)}?v={job.version}", headers=headers).content.decode()
    item = selectors.items(job).first()
    assert f'<tr id="item-{item.pk}" hx-swap-oob="true"' in news
    assert f"v={selectors.job(job.pk).version}" in news
    assert "<html" not in news


def test_a_finished_job_polls_no_more_and_has_a_sentence_to_paste(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(3, failed=[0, 1]))

    def decide(row):
        if row.map_index == 1 and row.task_id == "work":
            raise ValueError("other")
        return {"id": row.map_index}

    jobs.to_the_end(job, decide)
    answer = as_user(viewer).get(job_url(job))
    assert "data-poll" not in answer.content.decode()
    assert "2 retried, 1 recovered, 1 failed again (ValueError, not as before)." in text_of(answer)


def test_while_it_runs_rate_and_eta_are_shown(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(4, failed=range(4)), policy=Policy(chunk_size=2, chunks_per_minute=1))
    jobs.work()
    etl.run_airflow()
    pass_time(30)
    jobs.work()
    shown = text_of(as_user(viewer).get(job_url(job)))
    assert "2 of 4 over" in shown
    assert "/min" in shown


def test_items_can_be_narrowed_to_a_state(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(3, failed=[0, 1, 2]))
    etl.fake.start("etl", "r1", "work", 2)
    jobs.work()
    page = as_user(viewer).get(f"{job_url(job)}?state=skipped").content.decode()
    shown = {item.map_index for item in selectors.items(job) if f'id="item-{item.pk}"' in page}
    assert shown == {2}


def test_markup_from_airflow_is_shown_as_text(etl, jobs, as_user, viewer):
    etl.stage(2, failed=[0])
    etl.fake.instance("etl", "r1", "work", 0).label = "<b>bold</b>"
    job = jobs.request(etl.mirrored(), reason="<script>alert(1)</script>")
    page = as_user(viewer).get(job_url(job)).content.decode()
    assert "<b>bold" not in page
    assert "<script>alert" not in page
    assert "&lt;b&gt;bold" in page


def test_the_list_shows_jobs_and_narrows_them(etl, jobs, as_user, viewer):
    first, second = etl.stage(3, failed=[0]), etl.stage(3, failed=[0], run_id="r2")
    one, two = jobs.request(first, reason="first reason"), jobs.request(second, reason="second reason")
    client, url = as_user(viewer), reverse("retries:job_list")
    shown = text_of(client.get(url))
    assert "first reason" in shown
    assert "second reason" in shown
    narrowed = text_of(client.get(f"{url}?mapped_task={first.pk}"))
    assert "first reason" in narrowed
    assert "second reason" not in narrowed
    cancel_job(user=jobs.user, job=one)
    assert "second reason" not in text_of(client.get(f"{url}?state=cancelled"))
    assert job_url(two) in client.get(f"{url}?state=planned").content.decode()
    assert client.get(f"{url}?mapped_task=x").status_code == 400


def test_pages_of_unknown_things_are_404(as_user, operator):
    nothing = "00000000-0000-0000-0000-000000000000"
    client = as_user(operator)
    assert client.get(reverse("retries:job_detail", args=[nothing])).status_code == 404
    assert client.get(f"{reverse('retries:retry_panel', args=[nothing])}?indices=1").status_code == 404


def test_the_list_costs_the_same_for_one_job_and_for_many(etl, jobs, as_user, viewer, django_assert_max_num_queries):
    for number in range(6):
        jobs.request(etl.stage(2, failed=[0], run_id=f"r{number}"))
    client = as_user(viewer)
    with django_assert_max_num_queries(12):
        client.get(reverse("retries:job_list"))
