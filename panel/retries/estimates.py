"""How long a retry may take, and what it adds to Airflow's work: bounds, by what the tasks did so far. No queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final, Self

from django.core import signing

from panel.mirror.models import MappedTask
from panel.retries.choice import Plan, RunChoice, TaskChoice
from panel.retries.models import FIRST_CHUNK
from panel.retries.policies import Policy

SECONDS_TO_CLEAR_ONE: Final = 0.0055
"""AIRFLOW.md §5."""
SECONDS_TO_START: Final = 5.0
SECONDS_TO_MARK_ONE: Final = 0.04
"""Alone or among others: a PATCH of 200 took 7 s on Airflow 3.3.2."""
LOOKED_AT_ONCE: Final = 100
"""Right before each chunk is cleared, its instances are listed, so many a request."""
REQUESTS_TO_CLOSE: Final = 2
"""The same once for what is downstream; where nothing is, reading the run and starting it."""
_SALT: Final = "retries.estimate"


@dataclass(frozen=True, slots=True)
class Load:
    """``at_once``: the most instances that may run together, by what did so far (``None``: nothing is known).
    ``pools``: the slots that so many take, by pool. ``requests``: to Airflow's REST API, to send everything; reading
    what comes of it is the mirror's usual work.
    """

    at_once: int | None
    pools: dict[str, int]
    requests: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds from the start until every index has a result, at least and at most."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Part:
    """One task of a plan: how many instances, and what it did so far (seconds, instances a minute, instances)."""

    count: int
    as_upstream: bool
    pool: str
    pool_slots: int
    p50: float | None
    p95: float | None
    per_minute: float | None
    peak: float | None

    @classmethod
    def of(cls, task: TaskChoice, metrics: dict[str, Any]) -> Self:
        return cls(
            len(task.chosen),
            task.as_upstream,
            task.pool,
            task.pool_slots,
            metrics.get("duration_p50"),
            metrics.get("duration_p95"),
            metrics.get("throughput_per_minute"),
            metrics.get("concurrency_peak"),
        )

    @property
    def at_once(self) -> int | None:
        if self.count == 1:
            return 1
        return min(self.count, int(self.peak)) if self.peak else None

    @property
    def is_known(self) -> bool:
        return self.as_upstream or self.p50 is not None or bool(self.per_minute)

    def fast(self, share: float) -> float:
        """Seconds of so much of it where as many run together as ever did."""
        typical, so_far = self.p50 or 0.0, self._so_far(share)
        together = share * self.count * typical / self.peak if self.peak else so_far
        return max(typical, min(together, so_far) if so_far else together)

    def slow(self, share: float) -> float:
        """Seconds of so much of it at the pace so far, and one that takes long at the end."""
        return self._so_far(share) + (self.p95 or self.p50 or 0.0)

    def _so_far(self, share: float) -> float:
        return share * self.count / self.per_minute * 60 if self.per_minute else 0.0


@dataclass(frozen=True, slots=True)
class Basis:
    """What an estimate is made from, whatever the policy. ``runs`` are ``(indices, followers)`` of each run, the latter
    the instances of a mapped group that run again with an index; ``groups`` counts the error groups.
    """

    runs: list[tuple[int, int]]
    parts: list[Part]
    groups: int

    @classmethod
    def of(cls, plan: Plan, mapped_tasks: Sequence[MappedTask]) -> Self:
        known = {one.pk: one.metrics for one in mapped_tasks}
        chosen = [one for task in plan.tasks if not task.as_upstream for one in task.chosen]
        return cls(
            [(run.count, _followers(run)) for run in plan.runs],
            [Part.of(task, known.get(task.mapped_task_id) or {}) for task in plan.tasks],
            len({one.error_group or one.outcome for one in chosen}),
        )

    def signed(self) -> str:
        """As a text that a page gives back while its policy is typed: then nothing has to be asked again."""
        body = [self.runs, [astuple(part) for part in self.parts], self.groups]
        return signing.dumps(body, salt=_SALT, compress=True)

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ``signing.BadSignature`` for what ``signed`` did not give."""
        runs, parts, groups = signing.loads(text, salt=_SALT)
        return cls([(count, followers) for count, followers in runs], [Part(*part) for part in parts], groups)

    @property
    def count(self) -> int:
        return sum(count for count, _followers in self.runs)

    def stages(self, policy: Policy) -> list[int]:
        """Indices of each part that waits for the results of the one before: the careful first part, each wave."""
        first = min(self.count, self.groups if policy.canary_by_group else policy.canary or 0)
        rest = self.count - first
        size = policy.wave_size or rest
        waves = [min(size, rest - start) for start in range(0, rest, size)] if rest else []
        return ([first] if first else []) + waves

    def chunks(self, policy: Policy) -> list[int]:
        """Requests of each stage; at most, where a stage has indices of several runs."""
        stages = self.stages(policy)
        sizes = [max(1, policy.chunk_size // (1 + followers)) for _count, followers in self.runs]
        if len(stages) == 1:
            return [sum(math.ceil(count / size) for (count, _), size in zip(self.runs, sizes, strict=True))]
        return [math.ceil(indices / min(sizes)) + min(indices, len(self.runs)) - 1 for indices in stages]


def estimate_load(basis: Basis, policy: Policy) -> Load:
    """An upper bound: that all tasks of the plan are at their busiest together, or a whole wave is."""
    largest = max(basis.stages(policy), default=0)
    peaks: dict[str, int] = {}
    at_once: int | None = 0
    for part in basis.parts:
        most = part.at_once
        at_once = None if most is None or at_once is None else at_once + most
        if most is not None and part.pool:
            peaks[part.pool] = peaks.get(part.pool, 0) + min(most, largest) * part.pool_slots
    size = min(largest, policy.chunk_size)
    chunks = sum(basis.chunks(policy)) + (size > FIRST_CHUNK and not policy.chunks_per_minute)
    requests = chunks * (1 + math.ceil(size / LOOKED_AT_ONCE)) + len(basis.runs) * REQUESTS_TO_CLOSE
    return Load(at_once=None if at_once is None else min(at_once, largest), pools=peaks, requests=requests)


def estimate_seconds(basis: Basis, policy: Policy) -> Bounds | None:
    """Of the first round, without the hours in which nothing may be sent; ``None`` where nothing ran yet.

    At least: everything at its fastest, and the pace is kept. At most: each stage starts, is sent at the pace and only
    then runs as slowly as so far.
    """
    if not basis.count or not all(part.is_known for part in basis.parts):
        return None
    gap = 60 / policy.chunks_per_minute if policy.chunks_per_minute else 0.0
    stages, chunks = basis.stages(policy), basis.chunks(policy)
    clears = basis.count * SECONDS_TO_CLEAR_ONE
    waves = len(stages) - (1 if policy.canary or policy.canary_by_group else 0)
    pauses = max(0, waves - 1) * (policy.wave_pause_seconds or 0)
    shares = [indices / basis.count for indices in stages]
    fast = sum(max((part.fast(share) for part in basis.parts), default=0.0) for share in shares)
    slow = sum(sum(part.slow(share) for part in basis.parts) for share in shares)
    fewest = max(len(stages), math.ceil(basis.count / max(1, policy.chunk_size)))
    last = max((part.p50 or 0.0 for part in basis.parts), default=0.0)
    low = max(fast, (fewest - 1) * gap + last) + pauses
    high = len(stages) * SECONDS_TO_START + clears + (sum(chunks) - 1) * gap + slow + pauses
    return Bounds(round(low, 1), round(max(low, high), 1))


def seconds_to_mark(plan: Plan) -> Bounds:
    seconds = round(1 + plan.count * SECONDS_TO_MARK_ONE, 1)
    return Bounds(seconds, seconds)


def _followers(run: RunChoice) -> int:
    return max((len(below) for below in run.followers.values()), default=0)
