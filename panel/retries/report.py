"""What a job did: the numbers of its report, and one sentence that a person can paste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.retries import selectors
from panel.retries.models import RetryItem, RetryJob
from panel.retries.selectors import FailureAgain
from panel.retries.states import OPEN_ITEMS, ItemState
from panel.ui.words import grouped_words

MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Report:
    """``retried``: indices that were sent. ``failed_again`` is ``same_error`` + ``new_error`` + ``error_unknown`` (no
    error was logged before or now, or it had not failed before). ``unfinished``: no final word yet. ``left_out`` were
    asked for and not taken on: ``[{"why", "task_id", "count", "indices"}]``.
    """

    retried: int
    recovered: int
    failed_again: int
    same_error: int
    new_error: int
    error_unknown: int
    skipped: int
    refused: int
    cancelled: int
    lost: int
    unfinished: int
    failures: Sequence[FailureAgain]
    reasons: Sequence[tuple[str, str, int]]
    left_out: Sequence[Mapping[str, Any]]
    happened: Sequence[str]
    sentence: str


def report_of(job: RetryJob) -> Report:
    """The report so far; final once the job is over."""
    counts, retried = selectors.counts(job), _retried(job)
    failures, same = selectors.failures_again(job), selectors.same_error_counts(job)
    return Report(
        retried=retried,
        recovered=counts[ItemState.RECOVERED],
        failed_again=counts[ItemState.FAILED_AGAIN],
        same_error=same[True],
        new_error=same[False],
        error_unknown=same[None],
        skipped=counts[ItemState.SKIPPED],
        refused=counts[ItemState.REFUSED],
        cancelled=counts[ItemState.CANCELLED],
        lost=counts[ItemState.LOST],
        unfinished=sum(counts[state] for state in OPEN_ITEMS),
        failures=failures,
        reasons=selectors.reasons(job),
        left_out=job.left_out,
        happened=[run.happened for run in selectors.what_happened(job) if run.happened],
        sentence=_sentence(job, retried, counts, failures),
    )


def closing_sentence(job: RetryJob) -> str:
    """``69 retried, 66 recovered, 3 failed again (KeyError, same as before).``"""
    return _sentence(job, _retried(job), selectors.counts(job), selectors.failures_again(job))


def _retried(job: RetryJob) -> int:
    return RetryItem.objects.filter(job=job).exclude(sent_at=None).count()


def _sentence(job: RetryJob, retried: int, counts: Mapping[str, int], failures: Sequence[FailureAgain]) -> str:
    if job.marks_as:  # nothing of it ran: there is nothing to have recovered
        return ", ".join([_marked(job, retried), *_endings(counts, failures)[1:]]) + "."
    parts = [
        ngettext("%(count)s retried", "%(count)s retried", retried) % {"count": grouped_words(retried)},
        *_endings(counts, failures),
    ]
    return ", ".join(parts) + "."


def _marked(job: RetryJob, count: int) -> str:
    words = ngettext("%(count)s marked as %(state)s", "%(count)s marked as %(state)s", count)
    return words % {"count": grouped_words(count), "state": job.marks_as}


def _endings(counts: Mapping[str, int], failures: Sequence[FailureAgain]) -> list[str]:
    words = {
        ItemState.RECOVERED: _("%(count)s recovered"),
        ItemState.FAILED_AGAIN: _("%(count)s failed again%(errors)s"),
        ItemState.LOST: _("%(count)s lost"),
        ItemState.SKIPPED: _("%(count)s skipped"),
        ItemState.REFUSED: _("%(count)s refused by Airflow"),
        ItemState.CANCELLED: _("%(count)s not sent"),
    }
    return [
        text % {"count": grouped_words(counts[state]), "errors": _errors(failures)}
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
