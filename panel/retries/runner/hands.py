"""What people did by hand in Airflow to a run while a job watches it, by Airflow's audit log.

The rows alone do not tell: an index that was marked looks like one that ran, and a run set to "failed" turns every
index of a task that runs at that moment to failed, those that had succeeded too (AIRFLOW.md §5). Where the log may not
be read, what the rows do tell is said without a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, AuditEntry
from panel.airflow.audit import details
from panel.domain import states
from panel.domain.texts import plain
from panel.retries.models import RetryRun

CLOCKS_APART: Final = timedelta(seconds=2)
"""The api-server stamps the entry, a scheduler or worker the instance; a clock of ours the item."""
MARKS: Final = ("patch_task_instance", "bulk_task_instances", "patch_task_group_instances", "patch_dag_run")
DELETES: Final = ("delete_dag_run",)


@dataclass(frozen=True, slots=True)
class Hand:
    """One change by a person: ``state`` is what they set."""

    who: str
    when: datetime
    state: str = ""


@dataclass(slots=True)
class Hands:
    """The latest mark of each index (``(task_id, map_index)``; ``(task_id, None)``: all of them), and of the run.

    Their times are by Airflow's clock, which is ``ahead`` of the database's; what is asked for ``since`` by the latter.
    """

    ahead: timedelta
    indices: dict[tuple[str, int | None], Hand] = field(default_factory=dict)
    run: Hand | None = None
    deleted: Hand | None = None

    def mark_of(self, task_id: str, map_index: int, *, since: datetime | None) -> Hand | None:
        """The mark that this index was last given after ``since``."""
        found = [self.indices.get((task_id, map_index)), self.indices.get((task_id, None))]
        marks = [hand for hand in found if hand is not None and self._is_after(hand, since)]
        return max(marks, key=lambda hand: hand.when, default=None)

    def run_mark(self, *, since: datetime | None) -> Hand | None:
        return self.run if self.run is not None and self._is_after(self.run, since) else None

    def _is_after(self, hand: Hand, moment: datetime | None) -> bool:
        return moment is None or hand.when >= moment + self.ahead - CLOCKS_APART


def hands_on(run: RetryRun, airflow: Airflow, *, since: datetime, ahead: timedelta) -> Hands:
    """What people did to this run since then, by the database's clock, of which Airflow's is ``ahead``; nothing where
    we may not read it.
    """
    found = Hands(ahead)
    since += ahead - CLOCKS_APART
    try:
        entries = airflow.audit.list(run.dag_id, run.run_id, events=[*MARKS, *DELETES], since=since)
    except AirflowError:
        return found
    for entry in reversed(entries):  # the latest is first, and wins
        _take(found, entry)
    return found


def run_marked_words(hand: Hand) -> str:
    """What was done to the run, for its place on the job's page."""
    words = _("%(who)s marked the run as %(state)s by hand in Airflow: what ran was stopped, what waited was skipped.")
    return words % {"who": hand.who or _("Somebody"), "state": hand.state}


def run_deleted_words(hand: Hand | None) -> str:
    if hand is None:
        return _("The run was deleted in Airflow.")
    return _("%(who)s deleted the run in Airflow.") % {"who": hand.who or _("Somebody")}


def _take(found: Hands, entry: AuditEntry) -> None:
    body = details(entry)
    who = plain(entry.owner or "")[:100]
    if entry.event in DELETES:
        found.deleted = Hand(who, entry.when)
        return
    if entry.event == "patch_dag_run":
        if (state := str(body.get("state") or "")) in states.FINISHED_RUN:
            found.run = Hand(who, entry.when, state)
        return
    for one in _marked(entry, body):
        state = str(one.get("new_state") or "")
        task_id = str(one.get("task_id") or entry.task_id or "")
        if state in states.FINISHED and task_id:
            found.indices[task_id, _index(one.get("map_index"))] = Hand(who, entry.when, state)


def _marked(entry: AuditEntry, body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The marks of one entry: a single one, or the entities of a bulk change."""
    if entry.event != "bulk_task_instances":
        return [body]
    actions = [action for action in body.get("actions") or [] if isinstance(action, dict)]
    found = [
        entity for action in actions for entity in action.get("entities") or [] if action.get("action") == "update"
    ]
    return [entity for entity in found if isinstance(entity, dict)]


def _index(value: Any) -> int | None:
    """The audit log has it as text, a bulk change as a number; no index means the whole task."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
