"""Mails about launches."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from panel.launches.models.launches import Launch
from panel.mail.outgoing import Outgoing


class LaunchMail(Outgoing):
    """To somebody who may approve the launch, or to the one who asked for it, about what came of that."""

    class About(models.TextChoices):
        APPROVAL = "approval", _("it waits for your yes or no")
        DECISION = "decision", _("what was decided")

    launch = models.ForeignKey(Launch, on_delete=models.CASCADE, related_name="mails")
    about = models.CharField(max_length=10, choices=About)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["launch", "user", "about"], name="launch_mail_once_a_person")]
        indexes = [models.Index(fields=["next_at"], name="launch_mails_due")]

    def __str__(self) -> str:
        return f"{self.launch_id} {self.user_id} {self.about}"
