"""Mails about launches: to those who may decide, while there is something to decide; to the one who asked, what came of
it."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.utils import timezone

from panel.launches import mailing
from panel.launches.approvals import approve_launch, expire_launches, reject_launch
from panel.launches.dag_forms import read_form
from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.models import Launch, LaunchMail
from panel.launches.services import cancel_launch

pytestmark = pytest.mark.django_db


def addressed(user):
    user.email = f"{user.username}@example.com"
    user.save()
    return user


@pytest.fixture(autouse=True)
def _install(settings) -> None:
    settings.MAPBOARD_URL = "https://mapboard.example.com"


@pytest.fixture
def second(person):
    return addressed(person("dirk", "deployer"))


@pytest.fixture
def guarded(server, admin, deployer, deploy_dag) -> None:
    addressed(deployer)
    read_form(server=server, dag_id="deploy")
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="everything", values=[])


@pytest.fixture
def send_what_is_due(woken, django_capture_on_commit_callbacks) -> Callable[[], list[str]]:
    """The worker's part; answers to whom mails went."""

    def send() -> list[str]:
        mail.outbox.clear()
        woken.clear()
        with django_capture_on_commit_callbacks(execute=True):
            mailing.wake_due_mails()
        for name, args in list(woken):
            assert name == "launches.send_mail"
            mailing.send_mail(*args)
        return sorted(address for message in mail.outbox for address in message.to)

    return send


@pytest.fixture
def waiting(guarded, launched) -> Callable[..., Launch]:
    return launched


# ── To those who may decide ──────────────────────────────────────────────────────────────────────────────────────
def test_everybody_who_may_decide_and_has_an_address_is_told_once(
    waiting, second, admin, person, viewer, operator, send_what_is_due, woken, django_capture_on_commit_callbacks
):
    for user in (admin, viewer, operator):
        addressed(user)
    person("nomail", "deployer")
    away = addressed(person("away", "deployer"))
    away.is_active = False
    away.save()
    both = addressed(person("both", "deployer", "admin"))
    with django_capture_on_commit_callbacks(execute=True):
        waiting(env="prod")
    assert woken.names().count("launches.send_mail") == 3
    assert both.groups.count() == 2
    assert send_what_is_due() == ["anna@example.com", "both@example.com", "dirk@example.com"]
    assert send_what_is_due() == []


def test_it_says_who_what_what_changed_until_when_and_where_to_decide(waiting, second, submitted, send_what_is_due):
    before = waiting(env="staging", version="1.2.2")
    Launch.objects.filter(pk=before.pk).update(state="success", created_at=timezone.now() - timedelta(days=1))
    launch = waiting(env="prod", version="1.2.3")
    LaunchMail.objects.filter(launch=before).delete()
    send_what_is_due()
    (sent,) = mail.outbox
    assert sent.subject == "[Mapboard] dora asks for your yes or no: launch of deploy"
    assert 'Environment: "prod" (last time: "staging")' in sent.body
    assert 'version: "1.2.3" (last time: "1.2.2")' in sent.body
    assert "replicas: 2 (default)" in sent.body
    assert "2 values differ from the last launch, by dora." in sent.body
    assert f"expires at {launch.expires_at:%Y-%m-%d %H:%M} UTC" in sent.body
    assert f"https://mapboard.example.com/launches/{launch.pk}/\n" in f"{sent.body}\n"
    assert "/decide/" not in sent.body
    html, kind = sent.alternatives[0]
    assert kind == "text/html"
    assert f'href="https://mapboard.example.com/launches/{launch.pk}/"' in html
    assert "<form" not in html
    assert "/decide/" not in html


def test_opening_the_link_decides_nothing(waiting, second, as_user):
    launch = waiting()
    client = as_user(second)
    assert client.get(f"/launches/{launch.pk}/?decision=approve").status_code == 200
    assert client.get(f"/launches/{launch.pk}/decide/?decision=approve").status_code == 405
    assert Launch.objects.get().state == "awaiting_approval"


@pytest.mark.parametrize("what", ["approved", "rejected", "expired", "over", "cancelled"])
def test_what_was_decided_or_is_over_meanwhile_is_not_mailed(what, waiting, second, deployer, admin, send_what_is_due):
    launch = waiting()
    if what == "approved":
        approve_launch(user=admin, launch=launch)
    elif what == "rejected":
        reject_launch(user=admin, launch=launch, comment="no")
    elif what == "cancelled":
        cancel_launch(user=deployer, launch=launch)
    else:
        Launch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        if what == "expired":
            expire_launches()
    assert "dirk@example.com" not in send_what_is_due()
    told = LaunchMail.objects.get(user=second)
    assert (told.next_at, told.sent_at) == (None, None)
    assert told.last_error


def test_who_lost_the_right_or_the_address_meanwhile_is_not_told(waiting, second, admin, send_what_is_due):
    addressed(admin)
    waiting()
    second.groups.set(Group.objects.filter(name="viewer"))
    admin.email = ""
    admin.save()
    assert send_what_is_due() == []


def test_at_most_so_many_are_told(waiting, second, admin, person, settings, send_what_is_due):
    for number in range(4):
        addressed(person(f"more{number}", "deployer"))
    settings.LAUNCH_APPROVER_MAILS = 2
    waiting()
    assert len(send_what_is_due()) == 2


def test_where_no_mail_is_sent_none_is_ordered(waiting, second, settings, admin):
    settings.LAUNCH_APPROVER_MAILS = 0
    launch = waiting()
    settings.LAUNCH_APPROVER_MAILS, settings.MAIL_ON = 20, False
    waiting(version="2")
    reject_launch(user=admin, launch=launch, comment="no")
    assert not LaunchMail.objects.exists()


def test_what_needs_no_approval_tells_nobody(second, launched):
    launched()
    assert not LaunchMail.objects.exists()


def test_secrets_and_markup_are_in_no_mail(waiting, second, fake_airflow, send_what_is_due):
    schema = {"type": "string", "format": "password"}
    fake_airflow.world.dags["deploy"].params["token"] = {"value": "d", "schema": schema, "description": None}
    launch = waiting(token="hunter-two", version="<b>1</b>")
    Launch.objects.update(note="a\r\nBcc: all@example.com")
    send_what_is_due()
    (sent,) = mail.outbox
    assert "hunter" not in str(sent.message())
    assert "hunter" not in sent.body + sent.alternatives[0][0]
    assert "••••••" in sent.body
    assert "<b>1" not in sent.alternatives[0][0]
    assert "Bcc" not in dict(sent.message().items())
    assert launch.secret_params == ["token"]


def test_a_mail_server_that_is_away_is_tried_again_under_the_same_id(waiting, second, send_what_is_due, monkeypatch):
    waiting()
    ids = []

    def send(message):
        ids.append(message.extra_headers["Message-ID"])
        if len(ids) == 1:
            raise smtplib.SMTPServerDisconnected("away")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", send)
    send_what_is_due()
    send_what_is_due()
    assert len(ids) == 1, "not before its time"
    LaunchMail.objects.update(next_at=timezone.now() - timedelta(seconds=5))
    send_what_is_due()
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert LaunchMail.objects.get().sent_at is not None


# ── To the one who asked ─────────────────────────────────────────────────────────────────────────────────────────
def told(launch, send_what_is_due):
    assert "dora@example.com" in send_what_is_due()
    return next(message for message in mail.outbox if message.to == ["dora@example.com"])


def test_the_one_who_asked_is_told_of_a_yes(waiting, second, send_what_is_due):
    launch = waiting()
    approve_launch(user=second, launch=launch, comment="saw the tests")
    sent = told(launch, send_what_is_due)
    assert sent.subject == "[Mapboard] dirk approved your launch of deploy."
    assert "saw the tests" in sent.body
    assert f"/launches/{launch.pk}/" in sent.body


def test_and_of_a_no(waiting, second, send_what_is_due):
    launch = waiting()
    reject_launch(user=second, launch=launch, comment="<i>not today</i>")
    sent = told(launch, send_what_is_due)
    assert "dirk rejected your launch of deploy. Nothing was started." in sent.body
    assert "&lt;i&gt;not today" in sent.alternatives[0][0]


def test_and_when_nobody_decided_in_time(waiting, second, send_what_is_due):
    launch = waiting()
    Launch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_launches() == 1
    assert expire_launches() == 0
    assert "Nobody approved your launch of deploy in time." in told(launch, send_what_is_due).body


def test_a_yes_that_came_late_tells_nothing_twice(waiting, second, admin, send_what_is_due):
    launch = waiting()
    approve_launch(user=second, launch=launch)
    told(launch, send_what_is_due)
    assert send_what_is_due() == []


# ── In the panel ─────────────────────────────────────────────────────────────────────────────────────────────────
WORDS = "waits for your yes or no"


def header(response):
    page = " ".join(response.content.decode().split())
    return page[: page.index("</header>")]


def test_the_header_counts_what_waits_for_ones_yes(waiting, second, deployer, viewer, as_user):
    assert WORDS not in header(as_user(second).get("/"))
    waiting()
    assert f", 1 {WORDS}" in header(as_user(second).get("/"))
    waiting(version="2")
    assert ", 2 wait for your yes or no" in header(as_user(second).get("/"))
    for other in (deployer, viewer):
        assert "for your yes or no" not in header(as_user(other).get("/"))


def test_fragments_do_not_count(waiting, second, as_user, django_assert_max_num_queries):
    launch = waiting()
    client = as_user(second)
    with django_assert_max_num_queries(40) as queries:
        client.get(f"/launches/{launch.pk}/?v=0", headers={"HX-Request": "true"})
    assert not any("COUNT" in query["sql"] for query in queries.captured_queries)
    with django_assert_max_num_queries(40) as queries:
        client.get("/servers/")
    assert sum("COUNT" in query["sql"] and "launches_launch" in query["sql"] for query in queries.captured_queries) == 1
