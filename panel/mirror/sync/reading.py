"""What every way of reading results needs: the rows that lack theirs, the rule to judge by, and how to settle them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from panel.airflow import Airflow
from panel.domain.outcome_rules import Rule
from panel.domain.outcomes import Outcome, ResultState
from panel.domain.texts import plain
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.references import is_reference
from panel.mirror.sync.rows import RESULT_COLUMNS, put_no_result, put_result
from panel.mirror.sync.store import store_columns, store_settled
from panel.mirror.sync.unread import WHILE_UNREAD, Unread

Item = TypeVar("Item")
NO_VALUE: Final = object()
"""In place of a value: the instance returned none."""
CLOCKS_APART: Final = timedelta(seconds=1)
"""The start is stamped by the worker, the XCom by the api-server."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One pass over the results of one mapped task."""

    airflow: Airflow
    claim: Claim[MappedTask]
    rule: Rule
    preview_bytes: int = field(default_factory=lambda: settings.RESULT_PREVIEW_BYTES)

    @property
    def mapped_task(self) -> MappedTask:
        return self.claim.row

    @property
    def address(self) -> tuple[str, str, str]:
        run = self.mapped_task.run
        return run.dag.dag_id, run.run_id, self.mapped_task.task_id

    def unread(self) -> QuerySet[Instance]:
        """Instances whose result is to be read."""
        unknown = Instance.objects.filter(
            mapped_task=self.mapped_task, outcome=Outcome.UNKNOWN_RESULT.value
        )  # an index
        return unknown.filter(result_state=ResultState.UNREAD.value).order_by("map_index")

    def settle(self, instance: Unread, value: Any, since: datetime | None = None) -> None:
        """This is the value that Airflow holds, ``since`` then; one that is older than the try is never taken. NO_VALUE
        where it holds none."""
        if value is NO_VALUE:
            put_no_result(instance, ResultState.ABSENT)
        elif is_stale(since, instance.start_date):
            reason = _("What Airflow holds is older than this try.")
            put_no_result(instance, ResultState.UNREADABLE, reason)
        elif is_reference(self.mapped_task, value):
            reason = _("The result is kept outside Airflow's database; Airflow gives only where.")
            put_no_result(instance, ResultState.EXTERNAL, reason, plain(value))
        else:
            put_result(instance, value, self.preview_bytes, self.rule)

    def store(self, rows: Sequence[Unread]) -> None:
        """These rows are settled."""
        if rows:
            store_columns(self.claim, rows, RESULT_COLUMNS, before=WHILE_UNREAD)

    def settle_and_store(self, settled: Callable[[Sequence[Item]], Sequence[Unread]], items: Sequence[Item]) -> None:
        """Store the rows that are ``settled`` by these items; as ``store_settled``."""
        store_settled(self.claim, settled, items, RESULT_COLUMNS, before=WHILE_UNREAD)


def is_stale(since: datetime | None, start_date: datetime | None) -> bool:
    """An XCom outlives a clear until the new try starts (AIRFLOW.md §4)."""
    return since is not None and start_date is not None and since < start_date - CLOCKS_APART
