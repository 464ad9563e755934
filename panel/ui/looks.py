"""How a state looks: one word, one tone (colour), one icon, the same on every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from panel.domain.histories import Pattern
from panel.domain.outcomes import Outcome

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Look:
    """``tone`` names the CSS custom properties ``--tone-…`` and, with ``icon-`` in front, the SVG symbol."""

    word: Text
    tone: str
    icon: str = ""

    @property
    def symbol(self) -> str:
        return f"icon-{self.icon or self.tone}"


OUTCOMES: Final[dict[str, Look]] = {
    Outcome.SUCCESS: Look(_("success"), "success"),
    Outcome.SOFT_FAILURE: Look(_("soft failure"), "soft_failure"),
    Outcome.HARD_FAILURE: Look(_("hard failure"), "hard_failure"),
    Outcome.UPSTREAM_FAILED: Look(_("upstream failed"), "upstream_failed"),
    Outcome.RETRYING: Look(_("retrying"), "retrying"),
    Outcome.RUNNING: Look(_("running"), "running"),
    Outcome.WAITING: Look(_("waiting"), "waiting"),
    Outcome.SKIPPED: Look(_("skipped"), "skipped"),
    Outcome.UNKNOWN_RESULT: Look(_("result unknown"), "unknown_result"),
    Outcome.REMOVED: Look(_("removed"), "removed"),
}

STATES: Final[dict[str, Look]] = {
    # Airflow's own, of Dag runs and of task instances
    "success": Look(_("success"), "success"),
    "failed": Look(_("failed"), "hard_failure"),
    "running": Look(_("running"), "running"),
    "queued": Look(_("queued"), "waiting"),
    "scheduled": Look(_("scheduled"), "waiting"),
    "none": Look(_("no status"), "waiting"),
    "restarting": Look(_("restarting"), "running"),
    "deferred": Look(_("deferred"), "running"),
    "up_for_reschedule": Look(_("up for reschedule"), "running"),
    "up_for_retry": Look(_("up for retry"), "retrying"),
    "upstream_failed": Look(_("upstream failed"), "upstream_failed"),
    "skipped": Look(_("skipped"), "skipped"),
    "removed": Look(_("removed"), "removed"),
    # of retry jobs
    "planned": Look(_("planned"), "waiting"),
    "paused": Look(_("paused"), "soft_failure", "pause"),
    "watching": Look(_("watching"), "running"),
    "done": Look(_("done"), "success"),
    "cancelled": Look(_("cancelled"), "removed", "cancelled"),
    # of their items
    "pending": Look(_("pending"), "waiting"),
    "sending": Look(_("sending"), "running"),
    "sent": Look(_("sent"), "running", "sent"),
    "recovered": Look(_("recovered"), "success"),
    "marked": Look(_("marked"), "success"),
    "failed_again": Look(_("failed again"), "hard_failure"),
    "refused": Look(_("refused"), "upstream_failed", "refused"),
    "lost": Look(_("lost"), "unknown_result"),
    # of launches
    "awaiting_approval": Look(_("awaiting approval"), "soft_failure", "pause"),
    "rejected": Look(_("rejected"), "hard_failure", "refused"),
    "expired": Look(_("expired"), "removed", "cancelled"),
    "submitting": Look(_("submitting"), "waiting", "sent"),
    # of the runs of a backfill
    "waiting": Look(_("waiting"), "waiting"),
    "never_ran": Look(_("never ran"), "removed", "cancelled"),
    "left_out": Look(_("left out"), "skipped"),
}

_ABBREVIATED: Final[dict[str, Text]] = {
    Outcome.SOFT_FAILURE: pgettext_lazy("outcome, short", "soft"),
    Outcome.HARD_FAILURE: pgettext_lazy("outcome, short", "hard"),
    Outcome.UPSTREAM_FAILED: pgettext_lazy("outcome, short", "upstream"),
    Outcome.UNKNOWN_RESULT: pgettext_lazy("outcome, short", "unknown"),
}

PATTERNS: Final[dict[Pattern, tuple[Text, Text]]] = {
    Pattern.NEW: (_("newly failing"), _("worked in every run before")),
    Pattern.FLAKY: (_("flaky"), _("failed before, worked again, and fails now")),
    Pattern.STILL: (_("still failing"), _("failed the last time too")),
    Pattern.ALWAYS: (_("always failing"), _("failed in every run before")),
    Pattern.FIRST: (_("not seen before"), _("no run before says anything about it")),
}
"""What a failure is beside the runs before it, and what that means."""


def outcome_look(outcome: str) -> Look:
    """The look of an outcome; an unknown word is shown as it stands."""
    return OUTCOMES.get(outcome) or Look(outcome, "waiting")


def state_look(state: str | None) -> Look:
    """The look of any state of a run, instance, retry job, item or launch; unknown words as they stand."""
    return STATES.get(state or "none") or Look((state or "").replace("_", " "), "waiting")


def outcome_word_short(outcome: str) -> Text:
    """For tiles: ``soft``, ``hard``."""
    return _ABBREVIATED.get(outcome) or outcome_look(outcome).word
