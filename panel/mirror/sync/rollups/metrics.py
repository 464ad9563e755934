"""Durations, throughput, the time that is left, and what the plots are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from django.db.models import CharField, Max
from django.db.models.functions import Cast
from django.utils import timezone

from panel.domain.metrics import left_in, measure
from panel.domain.outcomes import Outcome
from panel.domain.plots import histogram, timeline
from panel.domain.timings import STARTED, Span, Timings
from panel.mirror.models import Instance, MappedTask

AGAIN_SECONDS: Final = 60.0
"""How long the metrics of a map at work hold while no row changes: its throughput falls with time."""


def rolled_up(mapped_task: MappedTask) -> dict[str, Any]:
    """``metrics`` and ``plots``; nothing while what is there still holds. Reads every row that ran.

    ``plots``: ``{"basis", "measured_at", "reading", "durations": Histogram, "timeline": Timeline}``, moments in POSIX
    seconds; ``reading`` is ``[moment, results read by then]`` while results are unread.
    """
    now = timezone.now().timestamp()
    basis = _basis(mapped_task)
    at_work = left_in(mapped_task.counts) > 0
    known = mapped_task.plots
    age = now - known.get("measured_at", 0)
    if known.get("basis") == basis and not (at_work and age >= AGAIN_SECONDS):
        return {}
    timings = Timings.of(_spans(mapped_task))
    reading = [now, _results_read(mapped_task)] if mapped_task.unread_results else None
    results_eta = _results_eta(mapped_task.unread_results, known.get("reading"), reading)
    metrics = measure(mapped_task.counts, timings, now=now, results_eta_seconds=results_eta)
    plots = {
        "basis": basis,
        "measured_at": now,
        "reading": reading,
        "durations": histogram(timings.durations).as_dict(),
        "timeline": timeline(timings, until=now if at_work else None).as_dict(),
    }
    return {"metrics": metrics.as_dict(), "plots": plots}


def _basis(mapped_task: MappedTask) -> str:
    """Changes with every row that is written (the index instances_by_version tells) and every one that is dropped."""
    latest = Instance.objects.filter(mapped_task=mapped_task).aggregate(latest=Max("version"))["latest"]
    return f"{latest or 0}.{sum(mapped_task.counts.values())}"


def _spans(mapped_task: MappedTask) -> Iterator[Span]:
    """Times as text: Django takes four times as long to make datetimes of SQLite's as to read the rows."""
    rows = Instance.objects.filter(mapped_task=mapped_task, outcome__in=sorted(STARTED)).order_by()
    texts = [Cast(name, CharField()) for name in ("queued_at", "start_date", "end_date")]
    for outcome, queued, started, ended, duration in rows.values_list("outcome", *texts, "duration").iterator(5_000):
        yield Span(outcome, _seconds(queued), _seconds(started), _seconds(ended), duration)


def _seconds(text: str | None) -> float | None:
    """Both databases are asked in UTC; PostgreSQL says so (``+00``), SQLite does not."""
    if text is None:
        return None
    return datetime.fromisoformat(text if "+" in text else f"{text}+00:00").timestamp()


def _results_read(mapped_task: MappedTask) -> int:
    counts: dict[str, int] = mapped_task.counts
    ended_well = (Outcome.SUCCESS, Outcome.SOFT_FAILURE, Outcome.UNKNOWN_RESULT)
    return sum(counts.get(outcome, 0) for outcome in ended_well) - mapped_task.unread_results


def _results_eta(unread: int, before: list[float] | None, after: list[float] | None) -> float | None:
    """By how many were read since the pass before."""
    if before is None or after is None or after[0] <= before[0] or after[1] <= before[1]:
        return None
    return unread * (after[0] - before[0]) / (after[1] - before[1])
