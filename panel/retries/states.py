"""The states of retry jobs and their items, as the REST API spells them (one home for words and meaning)."""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Action(TextChoices):
    """What a job does to its instances."""

    RETRY = "retry", _("Retry")
    MARK_SUCCESS = "mark_success", _("Mark as success")
    MARK_FAILED = "mark_failed", _("Mark as failed")
    MARK_SKIPPED = "mark_skipped", _("Mark as skipped")

    @property
    def marks_as(self) -> str:
        """Airflow's state that it sets; "" for a retry."""
        return "" if self is Action.RETRY else self.value.removeprefix("mark_")


class JobState(TextChoices):
    PLANNED = "planned", _("planned")
    SCHEDULED = "scheduled", _("scheduled")
    RUNNING = "running", _("sending")
    PAUSED = "paused", _("paused")
    WATCHING = "watching", _("waiting for results")
    DONE = "done", _("done")
    CANCELLED = "cancelled", _("cancelled")
    FAILED = "failed", _("failed")


SENDING_JOBS: Final = frozenset({JobState.PLANNED, JobState.RUNNING})
"""Jobs that still send; the others only wait for results, or for a person."""

PAUSABLE: Final = frozenset({JobState.PLANNED, JobState.SCHEDULED, JobState.RUNNING})
UNFINISHED_JOBS: Final = PAUSABLE | {JobState.PAUSED, JobState.WATCHING}
CANCELLABLE: Final = PAUSABLE | {JobState.PAUSED}


class ItemState(TextChoices):
    PENDING = "pending", _("pending")
    SENDING = "sending", _("being sent")
    SENT = "sent", _("sent")
    SKIPPED = "skipped", _("skipped")
    REFUSED = "refused", _("refused")
    RECOVERED = "recovered", _("recovered")
    FAILED_AGAIN = "failed_again", _("failed again")
    CANCELLED = "cancelled", _("cancelled")
    LOST = "lost", _("lost")


OPEN_ITEMS: Final = (ItemState.PENDING, ItemState.SENDING, ItemState.SENT)
"""An index that has such an item anywhere belongs to that job alone."""

SETTLED_ITEMS: Final = tuple(state for state in ItemState if state not in OPEN_ITEMS)


class WaitsFor(TextChoices):
    """What a job that still sends waits for before its next request."""

    TIME = "time", _("the time it was put off to")
    WINDOW = "window", _("the hours in which it may send")
    CANARY = "canary", _("the results of its careful first part")
    WAVE = "wave", _("the results of the wave that is under way")
    WAVE_PAUSE = "wave_pause", _("the pause after a wave")
    PACE = "pace", _("its pace")
    SLOW_ANSWER = "slow_answer", _("an Airflow that answers slowly to recover")
    DOWNSTREAM = "downstream", _("the last indices to end, before the tasks downstream run again")


class ChunkKind(TextChoices):
    ITEMS = "items", _("indices")
    DOWNSTREAM = "downstream", _("downstream")
    RELEASE = "release", _("restart of the run")


class ChunkState(TextChoices):
    SENDING = "sending", _("being sent")
    SENT = "sent", _("sent")
    UNSENT = "unsent", _("not sent")
