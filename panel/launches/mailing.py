"""What the mails about launches say, written when they are sent: by then it may have been decided, or be too late.

A mail leads to the page where one decides; no address in it decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.launches.approvals import why_not_decide
from panel.launches.comparison import Row, compared
from panel.launches.dag_forms import known_fields
from panel.launches.mail_orders import TASK
from panel.launches.models import Launch, LaunchMail
from panel.launches.selectors import last_launch
from panel.launches.states import State
from panel.mail.messages import absolute, message
from panel.mail.outbox import Outbox, Unwanted
from panel.ui.templatetags.mapboard import one_line_json

MOST_VALUES: Final = 50
LONGEST_VALUE: Final = 200


def wake_due_mails() -> int:
    """Wake every mail that is due; how many."""
    return _OUTBOX.wake_due()


def send_mail(mail_id: int) -> None:
    """Send this mail if it is due and nobody else is at it."""
    _OUTBOX.send(mail_id)


def _message(mail: LaunchMail) -> EmailMultiAlternatives:
    if not mail.user.email:
        raise Unwanted(_("They have no address by now."))
    return _approval(mail) if mail.about == LaunchMail.About.APPROVAL else _decision(mail)


def _approval(mail: LaunchMail) -> EmailMultiAlternatives:
    launch = mail.launch
    if Action.LAUNCH not in allowed_actions(mail.user):
        raise Unwanted(_("They may no longer approve launches."))
    if said := why_not_decide(mail.user, launch):
        raise Unwanted(said)
    if launch.server is None:
        raise Unwanted(_("This Airflow server was removed from Mapboard."))
    fields = known_fields(launch.server, launch.dag_id)
    last = last_launch(launch.server, launch.dag_id, before=launch.created_at)
    comparison = compared(fields, launch.params, last, secrets=launch.secret_params)
    context = {
        "launch": launch,
        "where": launch.server.name,
        "comparison": comparison,
        "rows": comparison.rows[:MOST_VALUES],
        "more": max(0, len(comparison.rows) - MOST_VALUES),
        "until": moment_words(launch.expires_at),
        "url": _url(launch),
    }
    subject = _("%(name)s asks for your yes or no: launch of %(dag)s") % {"name": launch.username, "dag": launch.dag_id}
    return _built(mail, subject, _approval_lines(context), "launches/mail/approval.html", context)


def _approval_lines(context: dict[str, Any]) -> Iterator[str]:
    launch, comparison = context["launch"], context["comparison"]
    asks = _("%(name)s asks to launch %(dag)s on %(server)s.")
    yield asks % {"name": launch.username, "dag": launch.dag_id, "server": context["where"]}
    if launch.note:
        yield f"{_('Note')}: {launch.note}"
    yield ""
    yield from (f"- {_value_line(row)}" for row in context["rows"])
    if context["more"]:
        yield ngettext("- and %(n)s more", "- and %(n)s more", context["more"]) % {"n": context["more"]}
    if comparison.last is None:
        yield _("This Dag was not launched from here before: there is nothing to compare with.")
    else:
        words = ngettext(
            "%(n)s value differs from the last launch, by %(name)s.",
            "%(n)s values differ from the last launch, by %(name)s.",
            comparison.changes,
        )
        yield words % {"n": comparison.changes, "name": comparison.last.username}
    yield ""
    yield _("Nothing is started before somebody else approves it. Without an answer it expires at %(until)s.") % {
        "until": context["until"]
    }
    yield ""
    yield context["url"] or _("Launch %(id)s") % {"id": launch.pk}


def _value_line(row: Row) -> str:
    line = f"{row.title}: {one_line_json(row.value, LONGEST_VALUE)}"
    if row.changed:
        return _("%(line)s (last time: %(last)s)") % {"line": line, "last": one_line_json(row.last, LONGEST_VALUE)}
    return line if row.is_given else _("%(line)s (default)") % {"line": line}


def _decision(mail: LaunchMail) -> EmailMultiAlternatives:
    launch = mail.launch
    if Action.VIEW not in allowed_actions(mail.user):
        raise Unwanted(_("They may no longer look."))
    sentence = _decided(launch)
    context = {"launch": launch, "sentence": sentence, "url": _url(launch)}
    return _built(mail, sentence, _decision_lines(context), "launches/mail/decision.html", context)


def _decision_lines(context: dict[str, Any]) -> Iterator[str]:
    launch = context["launch"]
    yield context["sentence"]
    if launch.decision_comment:
        yield f"{_('Comment')}: {launch.decision_comment}"
    if launch.note:
        yield f"{_('Your note')}: {launch.note}"
    yield ""
    yield context["url"] or _("Launch %(id)s") % {"id": launch.pk}


def _decided(launch: Launch) -> str:
    names = {"name": launch.decided_by_name, "dag": launch.dag_id}
    if launch.state == State.REJECTED:
        return _("%(name)s rejected your launch of %(dag)s. Nothing was started.") % names
    if launch.state == State.EXPIRED:
        return _("Nobody approved your launch of %(dag)s in time. Nothing was started.") % names
    if launch.decided_at is None:
        raise Unwanted(_("Nothing was decided."))
    return _("%(name)s approved your launch of %(dag)s.") % names


def _built(
    mail: LaunchMail, subject: str, lines: Iterator[str], template: str, context: dict[str, Any]
) -> EmailMultiAlternatives:
    name = f"launch-{mail.launch_id}-{mail.pk}"
    return message(
        to=mail.user.email,
        subject=Truncator(subject).chars(180),
        lines=lines,
        template=template,
        context=context,
        name=name,
    )


def _url(launch: Launch) -> str:
    return absolute(reverse("launches:launch_detail", args=[launch.pk]))


def moment_words(moment: datetime | None) -> str:
    """With its zone: a mail is read anywhere."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M %Z") if moment else ""


_OUTBOX: Final = Outbox(
    LaunchMail, TASK, compose=_message, since=lambda mail: mail.created_at, related=("launch__server", "launch__user")
)
