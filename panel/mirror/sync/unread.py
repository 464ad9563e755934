"""Instances whose result is to be read, as far as that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from panel.domain.outcomes import Outcome, ResultState
from panel.domain.values import Kept
from panel.mirror.models import Instance


@dataclass(slots=True)
class Unread:
    """The instance that has this key, and what its result will have said of it: the same names and meanings as those of
    ``Instance``. Ten thousand of these are read and judged at once; objects of the model take as long to make as all
    the rest takes. The defaults are what the database holds while the result is unread (``rows.put_unread``).
    """

    pk: int
    map_index: int
    try_number: int
    start_date: datetime | None
    outcome: str = Outcome.UNKNOWN_RESULT.value
    error_type: str = ""
    error_message: str = ""
    error_folded: str = ""
    error_group: str = ""
    result_state: str = ResultState.UNREAD.value
    result_reason: str = ""
    result_try: int | None = None
    number_0: float | None = None
    number_1: float | None = None
    number_2: float | None = None
    number_3: float | None = None
    number_4: float | None = None
    number_5: float | None = None
    version: int = 0
    new_result: Kept | None = None
    new_numbers: dict[str, float] | None = None


_NOT_SURE: Final = frozenset({"version", "result_reason", "new_result", "new_numbers"})
"""Rows of earlier versions of Mapboard kept the reason why a result could not be read when it was to be read again."""
WHILE_UNREAD: Final[Mapping[str, Any]] = {
    field.name: field.default
    for field in fields(Unread)
    if field.default is not MISSING and field.name not in _NOT_SURE
}
"""What the columns hold that a result may change."""


def unread_rows(instances: QuerySet[Instance], *, dated: bool = True) -> list[Unread]:
    """These instances, whose results are unread, in their order; not ``dated`` where nobody will compare their start
    with anything: SQLite's moments take longer than all else."""
    if dated:
        return [Unread(*row) for row in instances.values_list("pk", "map_index", "try_number", "start_date")]
    return [Unread(*row, None) for row in instances.values_list("pk", "map_index", "try_number")]
