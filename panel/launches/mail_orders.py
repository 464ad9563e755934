"""Ordering mails about launches, in the transaction of what they are about. The worker sends them (``mailing``)."""

from __future__ import annotations

from itertools import islice

from django.conf import settings

from panel.launches.form_rights import form_objection
from panel.launches.models import Launch, LaunchMail
from panel.launches.selectors import approvers
from panel.wake import wake

TASK = "launches.send_mail"


def order_approval_mails(launch: Launch) -> None:
    """Tell everybody who may say yes or no, up to the number that a setting names."""
    if not settings.MAIL_ON:
        return
    server = launch.server
    may = (user for user in approvers(launch) if server is not None and not form_objection(launch, server, user))
    for user in islice(may, settings.LAUNCH_APPROVER_MAILS):
        mail, created = LaunchMail.objects.get_or_create(launch=launch, user=user, about=LaunchMail.About.APPROVAL)
        if created:
            wake(TASK, mail.pk)


def order_decision_mail(launch: Launch) -> None:
    """Tell the one who asked what was decided, or that nobody did in time."""
    if not (settings.MAIL_ON and settings.LAUNCH_APPROVER_MAILS and launch.user and launch.user.email):
        return
    mail, created = LaunchMail.objects.get_or_create(launch=launch, user=launch.user, about=LaunchMail.About.DECISION)
    if created:
        wake(TASK, mail.pk)
