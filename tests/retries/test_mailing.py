"""The report by mail: to whom it was promised, once, later when the mail server is away, and with nothing in it that
could do harm."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.db import connection
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from panel.retries import mailing, selectors
from panel.retries.models import ReportMail, RetryJob
from panel.retries.services import cancel_job
from tests.fakes.airflow import Fatal

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _addresses(operator, settings) -> None:
    operator.email = "olga@example.com"
    operator.save()
    settings.MAPBOARD_URL = "https://mapboard.example.com"


@pytest.fixture
def job(etl, jobs) -> RetryJob:
    return jobs.request(etl.stage(3, failed=range(3)))


def later(seconds: float) -> None:
    past = timedelta(seconds=seconds)
    ReportMail.objects.update(next_at=F("next_at") - past)
    ReportMail.objects.exclude(claimed_until=None).update(claimed_until=F("claimed_until") - past)


@pytest.fixture
def send_what_is_due(woken, django_capture_on_commit_callbacks) -> Callable[[], None]:
    """The worker's part: the sweep wakes, and each task is done."""

    def send() -> None:
        woken.clear()
        with django_capture_on_commit_callbacks(execute=True):
            mailing.wake_due_mails()
        for name, args in list(woken):
            assert name == "retries.send_report"
            mailing.send_report(*args)

    return send


def test_it_comes_once_when_the_job_is_over(
    job, jobs, operator, send_what_is_due, woken, django_capture_on_commit_callbacks
):
    mailing.order_report(user=operator, job=job)
    send_what_is_due()
    assert mail.outbox == [], "not before"
    with django_capture_on_commit_callbacks(execute=True):
        jobs.to_the_end(job)
    assert "retries.send_report" in woken.names(), "the end of the job wakes the worker"
    send_what_is_due()
    send_what_is_due()
    mailing.send_report(ReportMail.objects.get().pk)
    (sent,) = mail.outbox
    assert sent.to == ["olga@example.com"]
    assert sent.subject == f"[Mapboard] Retry {job.short_id}: done. 3 retried, 3 recovered."
    assert f"https://mapboard.example.com{reverse('retries:job_detail', args=[job.pk])}" in sent.body
    assert "warehouse was read-only" in sent.body


def test_nobody_gets_one_who_did_not_ask(job, jobs, send_what_is_due):
    jobs.to_the_end(job)
    send_what_is_due()
    assert mail.outbox == []


def test_by_setting_everybody_who_asked_for_a_retry_gets_it_or_nobody(job, jobs, operator, send_what_is_due, settings):
    settings.RETRY_REPORT_MAIL = "always"
    jobs.to_the_end(job)
    send_what_is_due()
    assert [message.to for message in mail.outbox] == [["olga@example.com"]]
    settings.RETRY_REPORT_MAIL = "never"
    assert not mailing.can_mail(operator)


def test_a_cancelled_job_is_reported_too(job, jobs, operator, send_what_is_due):
    mailing.order_report(user=operator, job=job)
    cancel_job(user=operator, job=job)
    jobs.work()
    send_what_is_due()
    assert "0 retried, 0 recovered, 3 not sent." in mail.outbox[0].body


def test_ordered_after_the_end_it_comes_at_once(job, jobs, operator, send_what_is_due):
    job = jobs.to_the_end(job)
    mailing.order_report(user=operator, job=job)
    mailing.order_report(user=operator, job=job)
    send_what_is_due()
    assert len(mail.outbox) == 1


def test_a_mail_server_that_is_away_is_tried_again_later_each_time(job, jobs, operator, send_what_is_due, monkeypatch):
    mailing.order_report(user=operator, job=job)
    jobs.to_the_end(job)
    answers = [smtplib.SMTPServerDisconnected("away, password hunter2"), ConnectionRefusedError("no"), None]
    waits = []

    def send(message):
        assert connection.savepoint_ids == [], "outside transactions of ours (the test's own is no savepoint)"
        if (error := answers.pop(0)) is not None:
            raise error
        mail.outbox.append(message)

    monkeypatch.setattr("django.core.mail.EmailMessage.send", send)
    for _ in range(2):
        send_what_is_due()
        row = ReportMail.objects.get()
        waits.append((row.next_at - timezone.now()).total_seconds())
        assert "hunter2" not in row.last_error
        send_what_is_due()
        assert mail.outbox == [], "not before its time"
        later(60)
    send_what_is_due()
    assert len(mail.outbox) == 1
    assert waits[1] > waits[0] > 10
    assert ReportMail.objects.get().last_error == ""


def test_two_workers_send_one(job, jobs, operator, send_what_is_due, monkeypatch):
    mailing.order_report(user=operator, job=job)
    jobs.to_the_end(job)
    pk = ReportMail.objects.get().pk

    def send(message):
        mailing.send_report(pk)  # another worker, at this very moment
        mail.outbox.append(message)

    monkeypatch.setattr("django.core.mail.EmailMessage.send", send)
    mailing.send_report(pk)
    assert len(mail.outbox) == 1


def test_a_worker_killed_while_sending_leaves_it_to_the_next_under_the_same_id(
    job, jobs, operator, send_what_is_due, monkeypatch
):
    mailing.order_report(user=operator, job=job)
    jobs.to_the_end(job)
    ids = []

    class Killed(BaseException):
        pass

    def send(message):
        ids.append(message.extra_headers["Message-ID"])
        if len(ids) == 1:
            raise Killed

    monkeypatch.setattr("django.core.mail.EmailMessage.send", send)
    with pytest.raises(Killed):
        send_what_is_due()
    send_what_is_due()
    assert len(ids) == 1, "its claim holds for a while"
    later(600)
    send_what_is_due()
    assert len(set(ids)) == 1
    assert len(ids) == 2


def test_a_refused_address_and_a_lost_right_end_it(job, jobs, operator, send_what_is_due, monkeypatch):
    mailing.order_report(user=operator, job=job)
    jobs.to_the_end(job)
    operator.groups.clear()
    send_what_is_due()
    assert (mail.outbox, ReportMail.objects.get().next_at) == ([], None)

    ReportMail.objects.update(next_at=timezone.now() - timedelta(seconds=1))  # SQLite's clock has milliseconds only
    operator.groups.set(Group.objects.filter(name="operator"))

    def refuse(message):
        raise smtplib.SMTPRecipientsRefused({"olga@example.com": (550, b"no such user")})

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    send_what_is_due()
    assert ReportMail.objects.get().next_at is None
    assert "SMTPRecipientsRefused" in ReportMail.objects.get().last_error


def test_airflows_text_is_text_in_it_and_the_subject_is_one_line(etl, jobs, operator, send_what_is_due):
    job = jobs.request(etl.stage(2, failed=[0]), reason="a <b>reason</b>")
    mailing.order_report(user=operator, job=job)

    def decide(row):
        if row.task_id == "work":
            raise Fatal("Evil\r\nBcc: all@example.com", "<script>alert(1)</script>")

    jobs.to_the_end(job, decide)
    send_what_is_due()
    (sent,) = mail.outbox
    html, kind = sent.alternatives[0]
    assert kind == "text/html"
    assert "<script>" not in html
    assert "<b>reason" not in html
    assert "\n" not in sent.subject
    assert "Bcc" not in dict(sent.message().items())
    assert etl.fake.password("op") not in str(sent.message())


def test_ticked_in_the_panel_or_by_rest_it_is_ordered(etl, jobs, as_user, operator, viewer):
    task = etl.stage(3, failed=[0, 1])
    client = as_user(operator)
    url = f"{reverse('retries:retry_panel', args=[task.pk])}?indices=0"
    page = client.get(url).content.decode()
    assert "Mail me the report" in page
    fields = {name: page.split(f'name="{name}" value="')[1].split('"')[0] for name in ("idempotency_key", "plan_token")}
    client.post(url, fields | {"reason": "x", "mail_report": "on"})
    body = {"mapped_task": str(task.pk), "selection": {"indices": "1"}, "reason": "y", "mail_report": True}
    answer = client.post(reverse("api:retry-jobs"), body, content_type="application/json")
    assert answer.status_code == 201
    assert ReportMail.objects.count() == RetryJob.objects.count() == 2


def test_without_an_address_it_is_not_offered_and_refused_by_rest(etl, as_user, operator):
    operator.email = ""
    operator.save()
    task = etl.stage(3, failed=[0])
    client = as_user(operator)
    page = client.get(f"{reverse('retries:retry_panel', args=[task.pk])}?indices=0").content.decode()
    assert "Mail me the report" not in page
    body = {"mapped_task": str(task.pk), "selection": {"indices": "0"}, "reason": "y", "mail_report": True}
    answer = client.post(reverse("api:retry-jobs"), body, content_type="application/json")
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["mail_report"])
    assert not RetryJob.objects.exists()


def test_anybody_who_may_look_can_have_it_mailed_from_the_jobs_page(
    job, jobs, as_user, viewer, nobody, send_what_is_due
):
    viewer.email = "vera@example.com"
    viewer.save()
    url = reverse("retries:job_mail", args=[job.pk])
    assert as_user(nobody).post(url).status_code == 403
    assert as_user(viewer).get(url).status_code == 405
    as_user(viewer).post(url)
    page = as_user(viewer).get(reverse("retries:job_detail", args=[job.pk])).content.decode()
    assert "The report will be mailed to you." in page
    jobs.to_the_end(job)
    send_what_is_due()
    assert [message.to for message in mail.outbox] == [["vera@example.com"]]
    page = as_user(viewer).get(reverse("retries:job_detail", args=[job.pk])).content.decode()
    assert "The report was mailed to you" in page


def test_an_order_that_comes_while_the_job_ends_is_not_forgotten(job, jobs, operator, send_what_is_due):
    stale = selectors.job(job.pk)  # looked at before the end
    jobs.to_the_end(job)
    mailing.order_report(user=operator, job=stale)
    send_what_is_due()
    assert len(mail.outbox) == 1
