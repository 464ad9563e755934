"""What the pages show of the mirror, put together from the selectors: lines of lists, and versions for pollers."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from panel.domain import states
from panel.domain.outcomes import FAILURES, SETTLED, Outcome
from panel.mirror import selectors
from panel.mirror.instance_lists import ListedInstance
from panel.mirror.models import Dag, DagRun, Instance, MappedTask
from panel.servers.models import Server

ACTIVE_LINES: Final = 40
ATTENTION_LINES: Final = 20
RUN_LINES: Final = 25


def revision(*parts: object) -> str:
    """A short word that changes when what is shown changes."""
    return f"{zlib.crc32(repr(parts).encode()):08x}"


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One mapped task in a list."""

    task: MappedTask
    counts: Mapping[str, int]

    @property
    def failing(self) -> int:
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)

    @property
    def failures(self) -> dict[str, int]:
        return {outcome: self.counts.get(outcome, 0) for outcome in Outcome if outcome in FAILURES}

    @property
    def done_share(self) -> float | None:
        return done_share(self.counts, self.task.total)


def done_share(counts: Mapping[str, int], total: int) -> float | None:
    """How much of the map has come to an end, 0 … 1; nothing for a map that is not expanded or empty."""
    if not total:
        return None
    ended = SETTLED - {Outcome.REMOVED} | {Outcome.UNKNOWN_RESULT}
    return sum(counts.get(outcome, 0) for outcome in ended) / total


def task_lines(tasks: Iterable[MappedTask]) -> list[TaskLine]:
    return [TaskLine(task, task.counts) for task in tasks]


def revision_of_tasks(tasks: Iterable[MappedTask]) -> str:
    return revision([(str(task.pk), task.version, task.run.state) for task in tasks])


# ── Home ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Home:
    """``synced_at`` is that of the oldest data among the servers that can be reached."""

    servers: list[Server]
    active: list[TaskLine]
    attention: list[TaskLine]

    @property
    def version(self) -> str:
        tasks = [line.task for line in (*self.active, *self.attention)]
        health = [(server.slug, server.healthy, server.version, server.last_error) for server in self.servers]
        return revision(revision_of_tasks(tasks), health)

    @property
    def unreachable(self) -> list[Server]:
        return [server for server in self.servers if server.healthy is False]

    @property
    def synced_at(self) -> datetime | None:
        reachable = [server for server in self.servers if server.healthy is not False] or self.servers
        known = [age for server in reachable if (age := synced_at_of(server)) is not None]
        return min(known) if known else None


def home_board() -> Home:
    active = list(selectors.active_tasks()[:ACTIVE_LINES])
    attention = selectors.attention_tasks().filter(run__state__in=states.FINISHED_RUN)[:ATTENTION_LINES]
    servers = list(Server.objects.select_related("mirror").order_by("slug"))
    return Home(servers=servers, active=task_lines(active), attention=task_lines(attention))


def synced_at_of(server: Server) -> datetime | None:
    """When the runs of this server were read last."""
    mirror = getattr(server, "mirror", None)
    return mirror.synced_at if mirror is not None else None


# ── Dags and runs ────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a list, with the counts of its mapped tasks together."""

    run: DagRun
    counts: Mapping[str, int]

    @property
    def seconds(self) -> float | None:
        return seconds_of(self.run)

    @property
    def revision(self) -> str:
        return revision(self.run.pk, self.run.state, self.counts, self.seconds)


@dataclass(frozen=True, slots=True)
class DagLine:
    dag: Dag
    last: RunLine | None


def seconds_of(run: DagRun) -> float | None:
    """How long the run took, or has taken so far."""
    if run.start_date is None:
        return None
    end = run.end_date or (timezone.now() if run.state not in states.FINISHED_RUN else None)
    return (end - run.start_date).total_seconds() if end else None


def server_of(slug: str) -> Server:
    """Raises Server.DoesNotExist."""
    return Server.objects.select_related("mirror").get(slug=slug)


def dag_lines(server: Server, *, search: str = "") -> tuple[list[DagLine], list[Dag]]:
    """(mapped Dags with their last run, the other Dags), both by name; ``search`` matches anywhere in id or name."""
    newest = DagRun.objects.filter(dag=OuterRef("pk"), deleted_at=None).order_by("-run_after", "-pk").values("pk")[:1]
    dags = list(selectors.dags_of(server).annotate(last_run_id=Subquery(newest)))
    wanted = search.casefold()
    dags = [dag for dag in dags if wanted in f"{dag.dag_id}\n{dag.display_name}".casefold()]
    mapped = [dag for dag in dags if dag.mapped_task_ids]
    runs = DagRun.objects.prefetch_related("mapped_tasks").in_bulk([dag.last_run_id for dag in mapped])
    lines = [DagLine(dag, _run_line(runs.get(dag.last_run_id))) for dag in mapped]
    return lines, [dag for dag in dags if not dag.mapped_task_ids]


def _run_line(run: DagRun | None) -> RunLine | None:
    return RunLine(run, selectors.outcomes_of_run(run)) if run is not None else None


def run_lines(dag: Dag) -> list[RunLine]:
    """The newest runs first."""
    return [RunLine(found.run, found.counts) for found in selectors.run_outcomes(dag, limit=RUN_LINES)]


# ── One mapped task ──────────────────────────────────────────────────────────────────────────────────────────────
def is_live(task: MappedTask) -> bool:
    """Whether the page should keep asking: something may still change, or a refresh was asked for."""
    if task.run.state not in states.FINISHED_RUN or not task.complete:
        return True
    if task.synced_at is None or task.errors_requested_at or task.resolution_requested_at:
        return True
    if task.refresh_requested_at is not None and task.refresh_requested_at > task.synced_at:
        return (timezone.now() - task.refresh_requested_at).total_seconds() < 15 * settings.MIRROR_FRESH_SECONDS
    return False


def instance_revision(row: Instance | ListedInstance) -> str:
    return str(row.version)


def neighbours(instance: Instance) -> tuple[int | None, int | None]:
    """The map indices before and after this one, as far as there are any."""
    others = selectors.instances(instance.mapped_task).values_list("map_index", flat=True)
    before = others.filter(map_index__lt=instance.map_index).order_by("-map_index").first()
    after = others.filter(map_index__gt=instance.map_index).order_by("map_index").first()
    return before, after
