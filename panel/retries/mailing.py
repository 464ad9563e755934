"""The report of a job by mail: ordered by a person, sent once by the worker, again while the mail server is away.

Nothing is sent inside a transaction. A worker that is killed between the mail server's "accepted" and its own note of
that sends again, under the same Message-ID, by which mail programs know a double.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives
from django.db.models import F, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.problems import Unprocessable
from panel.retries import selectors
from panel.retries.clock import database_now
from panel.retries.models import ReportMail, RetryJob
from panel.retries.report import Report, report_of
from panel.ui.words import grouped_words
from panel.wake import wake

LEASE: Final = timedelta(minutes=5)
FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(hours=1)
GIVEN_UP_AFTER: Final = timedelta(days=2)
DUE_A_SWEEP: Final = 50
MOST_GROUPS: Final = 20


def can_mail(user: User) -> bool:
    """Whether a report can go to this person: mail is on, and they have an address."""
    return bool(settings.MAIL_ON and settings.RETRY_REPORT_MAIL != "never" and user.email)


def order_report(*, user: User, job: RetryJob) -> None:
    """Have the report mailed to this person, once: when the job is over, at once if it is. Raises Unprocessable."""
    check_mail(user)
    mail, _new = ReportMail.objects.get_or_create(job=job, user=user)
    if job.finished_at is not None:
        wake("retries.send_report", mail.pk)


def check_mail(user: User) -> None:
    """Raises Unprocessable where no report can be mailed to this person."""
    if not can_mail(user):
        problem = _("You have no mail address here, or no mail is sent. Ask an administrator.")
        raise Unprocessable(problem, {"mail_report": [problem]}, code="no_mail")


def mail_at_end(job: RetryJob) -> None:
    """The job is over, and with it everything that was ordered is due. Call it in the transaction that ends the job."""
    if settings.RETRY_REPORT_MAIL == "always" and job.user is not None and can_mail(job.user):
        ReportMail.objects.get_or_create(job=job, user=job.user)
    for mail_id in ReportMail.objects.filter(job=job, sent_at=None).values_list("pk", flat=True):
        wake("retries.send_report", mail_id)


def wake_due_mails() -> int:
    """Wake every mail that is due; how many."""
    found = list(_due().order_by("next_at").values_list("pk", flat=True)[:DUE_A_SWEEP])
    for mail_id in found:
        wake("retries.send_report", mail_id)
    return len(found)


def send_report(mail_id: int) -> None:
    """Send this mail if it is due and nobody else is at it."""
    until = database_now() + LEASE
    if not _due().filter(pk=mail_id).update(claimed_until=until):
        return
    mail = ReportMail.objects.select_related("job__server", "user").get(pk=mail_id)
    ours = ReportMail.objects.filter(pk=mail_id, claimed_until=until)
    if not (can_mail(mail.user) and Action.VIEW in allowed_actions(mail.user)):
        ours.update(claimed_until=None, next_at=None, last_error=_("They may no longer look, or have no address."))
        return
    try:
        _message(mail).send()
    except (smtplib.SMTPException, OSError) as error:
        _put_off(mail, ours, error)
        return
    ours.update(claimed_until=None, next_at=None, sent_at=database_now(), last_error="")


def _due() -> QuerySet[ReportMail]:
    now = database_now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    return ReportMail.objects.filter(free, next_at__lte=now, job__finished_at__isnull=False)


def _put_off(mail: ReportMail, ours: Any, error: Exception) -> None:
    """The server's own words stay out: they may quote what we sent."""
    now = database_now()
    code = getattr(error, "smtp_code", "")
    said = _("The mail server did not take it (%(error)s).") % {"error": f"{type(error).__name__} {code}".strip()}
    wait: timedelta = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(mail.attempts, 12))
    hopeless = isinstance(error, smtplib.SMTPRecipientsRefused) or now - (mail.job.finished_at or now) > GIVEN_UP_AFTER
    ours.update(
        claimed_until=None,
        attempts=F("attempts") + 1,
        last_error=said[:300],
        next_at=None if hopeless else now + wait,
    )


def _message(mail: ReportMail) -> EmailMultiAlternatives:
    job = mail.job
    report = report_of(job)
    path = reverse("retries:job_detail", args=[job.pk])
    context = {
        "job": job,
        "report": report,
        "numbers": numbers_of(report),
        "failures": [(failure, _beside_before(failure.same)) for failure in report.failures[:MOST_GROUPS]],
        "more_failures": max(0, len(report.failures) - MOST_GROUPS),
        "reasons": report.reasons[:MOST_GROUPS],
        "targets": [target for target in selectors.targets(job) if not target.as_upstream][:MOST_GROUPS],
        "url": f"{settings.MAPBOARD_URL}{path}" if settings.MAPBOARD_URL else "",
    }
    host = urlsplit(settings.MAPBOARD_URL).hostname or "mapboard.invalid"
    message = EmailMultiAlternatives(
        subject=_subject(job, report),
        body="\n".join(_plain_lines(context)),
        to=[mail.user.email],
        headers={"Message-ID": f"<retry-{job.pk}-{mail.pk}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("retries/mail/report.html", context), "text/html")
    return message


def _plain_lines(context: dict[str, Any]) -> Iterator[str]:
    """The same for programs that show no HTML; there is no markup in it, so nothing is escaped."""
    job, report = context["job"], context["report"]
    yield from (report.sentence, "")
    yield from (f"{grouped_words(count)} {word}" for word, count in context["numbers"])
    yield from report.happened
    if context["failures"]:
        yield from ("", _("What failed again:"))
    for failure, beside in context["failures"]:
        said = f"{failure.error_type or _('Failure')} {Truncator(failure.message).chars(200)}"
        yield f"- {grouped_words(failure.count)} × {said}{beside}"
    if more := context["more_failures"]:
        yield ngettext("- and %(n)s more kind of error", "- and %(n)s more kinds of errors", more) % {"n": more}
    if context["reasons"]:
        yield from ("", _("With a reason of their own:"))
    yield from (f"- {grouped_words(count)}: {why}" for _state, why, count in context["reasons"])
    yield ""
    for target in context["targets"]:
        yield f"{_('Task')}: {target.run.dag_id} / {target.run.run_id} / {target.task_id}"
    yield f"{_('Reason')}: {job.reason}"
    yield f"{_('Asked for by')}: {job.username}"
    yield context["url"] or _("Retry job %(job)s") % {"job": job.short_id}


def _beside_before(same: bool | None) -> str:
    if same is None:
        return ""
    return f" ({_('same as before')})" if same else f" ({_('another error than before')})"


def numbers_of(report: Report) -> list[tuple[str, int]]:
    """The report's numbers with their words, those that are zero left out except the first three."""
    named = [
        (_("retried"), report.retried),
        (_("recovered"), report.recovered),
        (_("failed again"), report.failed_again),
        (_("… with the same error as before"), report.same_error),
        (_("… with a new error"), report.new_error),
        (_("… with no error to compare"), report.error_unknown),
        (_("skipped"), report.skipped),
        (_("refused by Airflow"), report.refused),
        (_("cancelled, never sent"), report.cancelled),
        (_("lost"), report.lost),
    ]
    return [(word, count) for place, (word, count) in enumerate(named) if count or place < 3]


def _subject(job: RetryJob, report: Report) -> str:
    """In one line whatever the texts hold: a line break would be a header of its own."""
    if report.failed_again:
        words = ngettext("%(count)s failed again", "%(count)s failed again", report.failed_again)
        state = words % {"count": grouped_words(report.failed_again)}
    else:
        state = job.get_state_display()
    return " ".join(f"[Mapboard] {_('Retry')} {job.short_id}: {state}. {report.sentence}".split())[:200]
