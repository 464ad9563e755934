"""The states of a backfill and of its runs, in the words of the REST API."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class BackfillState(models.TextChoices):
    """``submitting`` until Airflow has it or refuses it. ``done``: all its runs have ended, however. ``cancelled``:
    before anything was sent, or in Airflow, where runs that had begun go on."""

    SUBMITTING = "submitting", _("submitting")
    REFUSED = "refused", _("refused")
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    DONE = "done", _("done")
    CANCELLED = "cancelled", _("cancelled")


UNFINISHED: Final = frozenset({BackfillState.RUNNING, BackfillState.PAUSED})
"""Airflow has it and goes on with it; it admits no second one of the Dag."""
OPEN: Final = frozenset({BackfillState.SUBMITTING, *UNFINISHED})


class Reprocess(models.TextChoices):
    """What becomes of a date that has a run already, by Airflow's names."""

    NONE = "none", _("Leave it: only dates without a run are run")
    FAILED = "failed", _("Run it again if it failed")
    COMPLETED = "completed", _("Run it again, whether it failed or succeeded")


WAITING: Final = "waiting"
"""Planned, and not seen in Airflow yet."""
LEFT_OUT: Final = "left_out"
"""Planned, but Airflow made no run: another one of that date was on its way."""
NEVER_RAN: Final = "never_ran"
"""Cancelled while it was queued; Airflow says ``failed``."""

RUN_STATES: Final = ("success", "failed", NEVER_RAN, "running", "queued", WAITING, LEFT_OUT)
"""Of the runs of a backfill, in the order of a bar."""
MOVING: Final = frozenset({"running", "queued"})
"""States of runs that change by themselves."""
