"""Which results are soft failures: a rule of two JSON pointers, and the verdict that follows from it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any, Final

from panel.domain import states
from panel.domain.json_pointers import MISSING, found_at, parts_of
from panel.domain.outcomes import OUTCOME_BY_STATE, Outcome, ResultState
from panel.domain.values import CUT

VALUE_LENGTH: Final = 100
MOST_VALUES: Final = 20
LONGEST_BITS: Final = 256
"""Of a whole number that is a status; Python refuses to write very long ones."""

_MESSAGE_KEYS: Final = ("error", "message", "reason")
_FRACTION: Final = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99}(e[+-]?[0-9]{1,3})?|e[+-]?[0-9]{1,3})")
_EXACT: Final = 2**53


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and, for a soft failure, the message found in the result."""

    outcome: Outcome
    message: str = ""


_WELL: Final = Verdict(Outcome.SUCCESS)
"""Of most of many."""


@dataclass(frozen=True)
class Rule:
    """A result is a soft failure when what ``status_pointer`` finds in it is one of ``failing_values``.

    Values are compared as ``comparable`` texts. An empty status pointer means the result itself. The message is what
    ``message_pointer`` finds; where that is empty or finds nothing, the first of ``error``, ``message``, ``reason``.

    Raises MalformedPointer.
    """

    status_pointer: str
    failing_values: tuple[str, ...]
    message_pointer: str = ""

    def __post_init__(self) -> None:
        _ = self._status, self._messages  # a malformed pointer is told now, not at the first result

    @cached_property
    def revision(self) -> str:
        """16 hex digits that name what the rule says."""
        content = [self.status_pointer, sorted(self._failing), self.message_pointer]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def status_in(self, result: Any) -> Any:
        """What the status pointer finds, or MISSING."""
        return found_at(result, self._status)

    def fails(self, status: Any) -> bool:
        return comparable(status) in self._failing

    def message_in(self, result: Any) -> Any:
        """What the message of a failure is made of; ``None`` where there is nothing."""
        found = (found_at(result, place) for place in self._messages)
        return next((message for message in found if message is not MISSING and message), None)

    def is_sure_of(self, preview: Any) -> bool:
        """Whether the preview of a value leads to the verdict that the whole value would lead to."""
        if may_hide(preview, self._status):
            return False
        if not self.fails(self.status_in(preview)):
            return True
        for place in self._messages:
            if may_hide(preview, place):
                return False
            if found_at(preview, place) not in (MISSING, None, "", False, 0):
                break
        return True

    @cached_property
    def _status(self) -> tuple[str, ...]:
        return parts_of(self.status_pointer)

    @cached_property
    def _messages(self) -> list[tuple[str, ...]]:
        """Where a message may be, the first that says something counts."""
        given = parts_of(self.message_pointer)
        return [*([given] if given else []), *((key,) for key in _MESSAGE_KEYS)]

    @cached_property
    def _failing(self) -> frozenset[str]:
        return frozenset(text for text in map(comparable, self.failing_values) if text)


DEFAULT_RULE: Final = Rule("/status", ("failed", "failure", "error"))
"""Holds where nobody set a rule."""


def derive(state: str | None, result_state: ResultState, result: Any = None, rule: Rule = DEFAULT_RULE) -> Verdict:
    """The verdict on one instance. Never raises, whatever the result is.

    ``result`` is the whole value, before any shortening, and is looked at only when ``result_state`` is ``READ``.
    States that are not known count as waiting, so that a newer Airflow does not break a page.
    """
    if state != states.SUCCESS:
        return Verdict(OUTCOME_BY_STATE.get(state or "", Outcome.WAITING))
    if result_state is ResultState.READ:
        if rule.fails(rule.status_in(result)):
            return Verdict(Outcome.SOFT_FAILURE, _as_text(rule.message_in(result)))
        return _WELL
    return Verdict(Outcome.SUCCESS if result_state is ResultState.ABSENT else Outcome.UNKNOWN_RESULT)


def may_hide(preview: Any, parts: tuple[str, ...]) -> bool:
    """Whether the whole value may hold something else at this place than its preview (``values.shortened``)."""
    for part in parts:
        if _is_cut_at(preview, part):
            return True
        preview = found_at(preview, (part,))
    return preview.endswith(CUT) if isinstance(preview, str) else isinstance(preview, list | dict)


def _is_cut_at(preview: Any, part: str) -> bool:
    if isinstance(preview, dict):
        return part not in preview and any(key.endswith(CUT) for key in preview)
    if isinstance(preview, list):
        cut = bool(preview) and isinstance(preview[-1], str) and preview[-1].startswith(CUT)
        return cut and found_at(preview[:-1], (part,)) is MISSING
    return isinstance(preview, str) and preview.endswith(CUT)


def comparable(value: Any) -> str | None:
    """The text by which a status is compared: ``false``, ``0``, ``3.5``, ``null``, or a string without regard to case,
    outer and repeated blanks. ``None`` for what is no status: a list, a mapping, a missing or an endless number."""
    if isinstance(value, str):
        return _comparable_text(value) if len(value) <= VALUE_LENGTH else _folded(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= LONGEST_BITS else None
    return _number_text(value) if isinstance(value, float) else None


@lru_cache(maxsize=256)  # the results of a map have few statuses
def _comparable_text(text: str) -> str:
    return _folded(text)


def _folded(text: str) -> str:
    text = " ".join(text.split()).casefold()
    return (_FRACTION.fullmatch(text) and _number_text(float(text))) or text


def _number_text(number: float) -> str | None:
    if not isfinite(number):
        return None
    return str(int(number)) if number == int(number) and abs(number) < _EXACT else repr(number)


def _as_text(message: Any) -> str:
    if message is None:
        return ""
    if isinstance(message, str):
        return message
    try:
        return repr(message)
    except (RecursionError, ValueError):  # nested without end; a number of more than 4,300 digits
        return type(message).__name__
