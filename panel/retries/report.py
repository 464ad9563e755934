"""What a job did, in one sentence that a person can paste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.retries import selectors
from panel.retries.models import RetryItem, RetryJob
from panel.retries.selectors import FailureAgain
from panel.retries.states import ItemState

MOST_NAMED = 3


def closing_sentence(job: RetryJob) -> str:
    """``69 retried, 66 recovered, 3 failed again (KeyError, same as before).``"""
    counts = selectors.counts(job)
    sent = RetryItem.objects.filter(job=job).exclude(sent_at=None).count()
    parts = [
        ngettext("%(count)s retried", "%(count)s retried", sent) % {"count": sent},
        *_endings(counts, selectors.failures_again(job)),
    ]
    return ", ".join(parts) + "."


def _endings(counts: Mapping[str, int], failures: Sequence[FailureAgain]) -> list[str]:
    words = {
        ItemState.RECOVERED: _("%(count)s recovered"),
        ItemState.FAILED_AGAIN: _("%(count)s failed again%(errors)s"),
        ItemState.LOST: _("%(count)s lost"),
        ItemState.SKIPPED: _("%(count)s left out"),
        ItemState.REFUSED: _("%(count)s refused by Airflow"),
        ItemState.CANCELLED: _("%(count)s not sent"),
    }
    return [
        text % {"count": counts[state], "errors": _errors(failures)}
        for state, text in words.items()
        if counts[state] or state == ItemState.RECOVERED
    ]


def _errors(failures: Sequence[FailureAgain]) -> str:
    named = []
    for failure in failures[:MOST_NAMED]:
        name = failure.error_type or failure.message[:60]
        if not name:
            continue
        if failure.same:
            name = _("%(error)s, same as before") % {"error": name}
        elif failure.same is False:
            name = _("%(error)s, not as before") % {"error": name}
        named.append(name)
    if not named:
        return ""
    more = len(failures) - MOST_NAMED
    if more > 0:
        named.append(ngettext("%(count)s more error", "%(count)s more errors", more) % {"count": more})
    return f" ({'; '.join(named)})"
