"""From Airflow's row of a task instance to ours, and what of the known row still holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from panel.airflow import TaskInstance
from panel.domain import states
from panel.domain.error_groups import group_id
from panel.domain.outcome_rules import DEFAULT_RULE, Rule, Verdict, derive
from panel.domain.outcomes import VALUED, Outcome, ResultState
from panel.domain.result_fields import numbers_in
from panel.domain.texts import plain
from panel.domain.values import Kept, shortened
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.unread import Unread

LABEL_LENGTH: Final = 250
NOTE_LENGTH: Final = 2_000
TYPE_LENGTH: Final = 200
MESSAGE_LENGTH: Final = 4_000
FRAME_LENGTH: Final = 300

FIELDS: Final = [
    field.name
    for field in Instance._meta.concrete_fields
    if field.name not in {"id", "mapped_task", "map_index", "version"}
]
"""Everything a read may change."""
NUMBERS: Final = [name for name in FIELDS if name.startswith("number_")]
RESULT_COLUMNS: Final = [
    "outcome", "error_type", "error_message", "error_folded", "error_group",
    "result_state", "result_reason", "result_try", *NUMBERS,
]  # fmt: skip
"""What a result that was read may change."""
ERROR_COLUMNS: Final = ["error_type", "error_message", "error_folded", "error_frame", "error_group", "error_try"]
"""What an error that was read may change."""

_as_json: Final = msgspec.json.Encoder().encode
_STARTED: Final = states.ACTIVE | states.FINISHED | {"up_for_retry"}
_ENDED: Final = states.FINISHED | {"up_for_retry"}
HAS_ERROR: Final = frozenset({states.FAILED, "up_for_retry"})
"""States whose current try left an error in its log."""


class Listed(NamedTuple):
    """The columns that Airflow's lists tell, as they are stored: rows that agree in them have not changed.

    Airflow keeps the old try's times until a cleared instance starts again (AIRFLOW.md §5); an instance that has not
    started shows none.
    """

    map_index: int
    ti_id: str
    label: str
    state: str
    try_number: int
    max_tries: int
    scheduled_at: datetime | None
    queued_at: datetime | None
    start_date: datetime | None
    end_date: datetime | None
    duration: float | None
    note: str


_COLUMNS: Final = [field.attname for field in Instance._meta.concrete_fields]
_BLANK: Final = [field.get_default() for field in Instance._meta.concrete_fields]
_MAPPED_TASK: Final = _COLUMNS.index("mapped_task_id")
_PLACES: Final = [_COLUMNS.index(name) for name in Listed._fields]


def listed(row: TaskInstance) -> Listed:
    state = row.state or ""
    started, ended = state in _STARTED, state in _ENDED
    return Listed(
        row.map_index,
        plain(row.id, 40),
        _label(row),
        plain(state, 30),
        max(0, row.try_number),
        max(0, row.max_tries),
        row.scheduled_when,
        row.queued_when,
        row.start_date if started else None,
        row.end_date if ended else None,
        row.duration if ended else None,
        plain(row.note, NOTE_LENGTH),
    )


def instance_from(row: Listed, mapped_task: MappedTask, known: Instance | None) -> Instance:
    """The instance as it is now: what Airflow says, and of the known one only what belongs to the same try.

    A result outlives a clear as well, until the instance starts again (AIRFLOW.md §4).
    """
    values = _BLANK.copy()
    values[_MAPPED_TASK] = mapped_task.pk
    for place, value in zip(_PLACES, row, strict=True):
        values[place] = value
    fresh = Instance(*values)  # in the order of the columns: a quarter of the time it takes by name
    fresh.label_folded = row.label.casefold()[:LABEL_LENGTH] or None
    same_try = known is not None and (known.ti_id, known.try_number) == (row.ti_id, row.try_number)
    if row.state == states.SUCCESS:
        fresh.result_state = ResultState.UNREAD.value
    if known is not None and same_try:
        _keep(fresh, known)
    if fresh.result_state in {ResultState.NONE.value, ResultState.UNREAD.value}:
        fresh.outcome = derive(row.state or None, ResultState(fresh.result_state)).outcome.value
    return fresh


def put_result(instance: Instance | Unread, value: Any, preview_bytes: int, rule: Rule = DEFAULT_RULE) -> None:
    """The result was read. The outcome rule and the search for numbers see the whole value, the row keeps at most
    ``preview_bytes`` of it. ``rule`` is ``rule_for(mapped_task)``."""
    _settle_result(instance, ResultState.READ, shortened(value, preview_bytes, _as_json))
    instance.new_numbers = numbers_in(value)
    put_verdict(instance, derive(states.SUCCESS, ResultState.READ, value, rule))


def put_no_result(instance: Instance | Unread, result_state: ResultState, reason: str = "", value: Any = None) -> None:
    """There is no result to judge by: absent, forbidden, held elsewhere (``value`` is the reference) or unreadable."""
    _settle_result(instance, result_state, Kept(value), reason)
    put_verdict(instance, derive(states.SUCCESS, result_state))


def put_unread(instance: Instance) -> None:
    """The result is to be read, again perhaps; until then nothing is known of it."""
    _settle_result(instance, ResultState.UNREAD, Kept(None))
    instance.result_try = None
    put_verdict(instance, derive(states.SUCCESS, ResultState.UNREAD))


def put_verdict(instance: Instance | Unread, verdict: Verdict) -> None:
    """What the result says of an instance that succeeded."""
    instance.outcome = verdict.outcome.value
    if verdict.outcome is Outcome.SOFT_FAILURE:
        _put_error_text(instance, "", verdict.message)
        instance.error_group = group_id(verdict.outcome.value, "", instance.error_message)
    else:  # most of many: nothing to be said
        instance.error_type = instance.error_message = instance.error_folded = instance.error_group = ""


def put_error(instance: Instance, error_type: str, message: str, frame: str = "") -> None:
    """The log of the current try was read; all empty when it tells nothing."""
    instance.error_try = instance.try_number
    instance.error_frame = plain(frame[-FRAME_LENGTH:])
    _put_error_text(instance, error_type, message)
    _group_error(instance)


def lacks_error(instance: Instance) -> bool:
    """Whether the error of the current try is still to be read."""
    return instance.state in HAS_ERROR and instance.error_try != instance.try_number


def _keep(fresh: Instance, known: Instance) -> None:
    """What was read for this try stays, as long as the state still is one that has it."""
    if fresh.state == known.state == states.SUCCESS:
        for name in (
            "result_state", "result_reason", "result_try", "outcome",
            "error_type", "error_message", "error_folded", "error_group", *NUMBERS,
        ):  # fmt: skip
            setattr(fresh, name, getattr(known, name))
    elif fresh.state in HAS_ERROR and known.state in HAS_ERROR:
        for name in ("error_type", "error_message", "error_folded", "error_frame", "error_try"):
            setattr(fresh, name, getattr(known, name))
        if not lacks_error(fresh):
            _group_error(fresh)


def _group_error(instance: Instance) -> None:
    """Only failures for good form groups: a try that Airflow will repeat shows its error, no more."""
    failed = instance.state == states.FAILED
    outcome = Outcome.HARD_FAILURE.value
    instance.error_group = group_id(outcome, instance.error_type, instance.error_message) if failed else ""


def _settle_result(instance: Instance | Unread, result_state: ResultState, stored: Kept, reason: str = "") -> None:
    instance.result_state = result_state.value
    instance.new_result = stored if result_state in VALUED else None
    instance.new_numbers = None
    instance.number_0 = instance.number_1 = instance.number_2 = None
    instance.number_3 = instance.number_4 = instance.number_5 = None
    instance.result_reason = plain(reason, 300) if reason else ""
    instance.result_try = instance.try_number


def _put_error_text(instance: Instance | Unread, error_type: str, message: str) -> None:
    instance.error_type = plain(error_type, TYPE_LENGTH)
    instance.error_message = plain(message, MESSAGE_LENGTH)
    instance.error_folded = f"{instance.error_type} {instance.error_message}".strip().casefold()


def _label(row: TaskInstance) -> str:
    """Airflow shows the index itself where the Dag does not name its indices."""
    rendered = plain(row.rendered_map_index, LABEL_LENGTH)
    return "" if rendered == str(row.map_index) else rendered
