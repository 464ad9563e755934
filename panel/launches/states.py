"""The states of a launch, in the words of the REST API."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """``submitting`` until Airflow has the run or refuses it; then the state of the run itself."""

    AWAITING_APPROVAL = "awaiting_approval", _("awaiting approval")
    REJECTED = "rejected", _("rejected")
    EXPIRED = "expired", _("expired")
    SUBMITTING = "submitting", _("submitting")
    REFUSED = "refused", _("refused")
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCESS = "success", _("success")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class StopState(models.TextChoices):
    """``asked`` until it is known what became of it; ``needless``: the run was over before, or there is none."""

    ASKED = "asked", _("asked")
    DONE = "done", _("done")
    NEEDLESS = "needless", _("needless")
    REFUSED = "refused", _("refused")


RUN_STATES: Final = frozenset({State.QUEUED, State.RUNNING, State.SUCCESS, State.FAILED})
"""Airflow has the run. A finished run can go on again, when some of its instances are retried."""

UNFINISHED_RUN: Final = frozenset({State.QUEUED, State.RUNNING})
OCCUPYING: Final = frozenset({State.SUBMITTING, State.QUEUED, State.RUNNING})
"""On its way or at work: what counts as an active run of its Dag."""
LIVE: Final = frozenset({State.AWAITING_APPROVAL, *OCCUPYING})
"""States that change by themselves, so that pages keep asking."""
