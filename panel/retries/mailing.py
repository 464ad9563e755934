"""The report of a job by mail: ordered by a person, sent once by the worker when the job is over (``panel.mail``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives
from django.db.models import Q
from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.mail.messages import absolute, message
from panel.mail.outbox import Outbox, Unwanted
from panel.problems import Unprocessable
from panel.retries import selectors
from panel.retries.models import ReportMail, RetryJob
from panel.retries.report import Report, report_of
from panel.ui.words import grouped_words
from panel.wake import wake

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
    return _OUTBOX.wake_due()


def send_report(mail_id: int) -> None:
    """Send this mail if it is due and nobody else is at it."""
    _OUTBOX.send(mail_id)


def _message(mail: ReportMail) -> EmailMultiAlternatives:
    if not (can_mail(mail.user) and Action.VIEW in allowed_actions(mail.user)):
        raise Unwanted(_("They may no longer look, or have no address."))
    job = mail.job
    report = report_of(job)
    context = {
        "job": job,
        "report": report,
        "numbers": numbers_of(report),
        "failures": [(failure, _beside_before(failure.same)) for failure in report.failures[:MOST_GROUPS]],
        "more_failures": max(0, len(report.failures) - MOST_GROUPS),
        "reasons": report.reasons[:MOST_GROUPS],
        "targets": [target for target in selectors.targets(job) if not target.as_upstream][:MOST_GROUPS],
        "url": absolute(reverse("retries:job_detail", args=[job.pk])),
    }
    return message(
        to=mail.user.email,
        subject=_subject(job, report),
        lines=_plain_lines(context),
        template="retries/mail/report.html",
        context=context,
        name=f"retry-{job.pk}-{mail.pk}",
    )


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
    if report.failed_again:
        words = ngettext("%(count)s failed again", "%(count)s failed again", report.failed_again)
        state = words % {"count": grouped_words(report.failed_again)}
    else:
        state = job.get_state_display()
    return f"{_('Retry')} {job.short_id}: {state}. {report.sentence}"


_OUTBOX: Final = Outbox(
    ReportMail,
    "retries.send_report",
    compose=_message,
    since=lambda mail: mail.job.finished_at,
    ready=Q(job__finished_at__isnull=False),
    related=("job__server",),
)
