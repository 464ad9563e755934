"""Between what stands in the form's controls and typed values. Pure: no request, no database.

A posted form is ``{name: [texts]}``. Reading an entry gives the value with the type the Dag expects ("007" stays text,
4 stays a whole number), or Unreadable with a sentence for the person who typed it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from panel.launches.fields import LISTS, Field, Kind

Posted = Mapping[str, Sequence[str]]

TICKED: Final = "1"
_WHOLE: Final = re.compile(r"[+-]?[0-9]+(\.0*)?")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER: Final = 400


class Unreadable(ValueError):
    """The text in a control is not a value of the field's kind; ``messages`` say what to enter."""

    def __init__(self, *messages: str) -> None:
        super().__init__(" ".join(messages))
        self.messages = list(messages)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a field's controls show: as typed when it was posted, else the default."""

    text: str = ""
    tokens: frozenset[str] = frozenset()
    none: bool = False
    zone: str = ""
    parts: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        return not (self.text.strip() or self.none or any(self.tokens)) and all(
            part.is_blank for part in self.parts.values()
        )


def entry_of_value(field: Field, value: Any, zone: tzinfo) -> Entry:
    """The controls for a value, such as the default. Date-times are shown on the clock of ``zone``."""
    if field.kind is Kind.MULTI_SELECT:
        chosen = value if isinstance(value, list) else []
        return Entry(tokens=frozenset(json.dumps(item) for item in chosen), none=_shows_none(field, value))
    if field.kind in {Kind.ENUM, Kind.BOOLEAN}:
        token = "" if value is None else json.dumps(value)
        return Entry(text=token, tokens=frozenset({token} - {""}))
    if field.kind is Kind.DATE_TIME:
        return Entry(text=_clock(value, zone), zone=str(zone))
    if field.kind is Kind.OBJECT:
        return Entry(parts=_entries_of_parts(field, value, zone), none=_shows_none(field, value))
    if field.kind in LISTS:
        items = value if isinstance(value, list) else []
        return Entry(text="\n".join(_plain(item) for item in items), none=_shows_none(field, value))
    text = json.dumps(value, indent=2, ensure_ascii=False) if field.kind is Kind.JSON else _plain(value)
    return Entry(text="" if value is None else text, none=_shows_none(field, value))


def entry_of_post(field: Field, posted: Posted) -> Entry:
    """The controls as they were posted."""
    texts = posted.get(field.key, ())
    return Entry(
        text=_newlines(texts[-1]) if texts else "",
        tokens=frozenset(texts),
        none=posted.get(field.none_key, [""])[-1] == TICKED,
        zone=posted.get(field.zone_key, [""])[-1],
        parts={part.name: entry_of_post(part, posted) for part in field.parts},
    )


def value_of_entry(field: Field, entry: Entry) -> Any:
    """The typed value. Raises Unreadable."""
    if field.kind is Kind.CONST:
        return field.const
    if field.asks_for_none and entry.none:
        return _no_value(field, entry)
    if field.kind in _CONTROLS:
        return _CONTROLS[field.kind](field, entry)
    text = entry.text.strip()
    if not text:
        return _empty(field)
    return _read_date_time(field, text, entry.zone) if field.kind is Kind.DATE_TIME else _TEXTS[field.kind](text)


def _entries_of_parts(field: Field, value: Any, zone: tzinfo) -> dict[str, Entry]:
    """What the object does not hold is blank; where there is no object, what the properties propose."""
    if not isinstance(value, Mapping):
        value = {part.name: part.default for part in field.parts if part.default is not None}
    blank = Entry(zone=str(zone))
    return {
        part.name: entry_of_value(part, value[part.name], zone) if part.name in value else blank for part in field.parts
    }


def _read_object(field: Field, entry: Entry) -> dict[str, Any]:
    """Optional properties without an entry are left out, unless the default holds them just so."""
    read: dict[str, Any] = {}
    wrong: list[str] = []
    for part in field.parts:
        typed = entry.parts.get(part.name, Entry())
        if part.optional and typed.is_blank:
            if part.name in field.given_parts and entry_of_value(part, part.default, UTC).is_blank:
                read[part.name] = part.default
            continue
        try:
            read[part.name] = value_of_entry(part, typed)
        except Unreadable as error:
            wrong += [f"{part.name}: {said}" for said in error.messages]
    if wrong:
        raise Unreadable(*wrong)
    return {name: read[name] for name in [*field.given_parts, *read] if name in read}


def _no_value(field: Field, entry: Entry) -> None:
    if entry.text.strip() or (field.kind is Kind.MULTI_SELECT and entry.tokens):
        raise Unreadable(_("Either give a value or tick “no value”, not both."))


def _empty(field: Field) -> None:
    """These kinds have no empty value: nothing entered is null, where null fits."""
    if not field.nullable:
        raise Unreadable(_("Fill this in."))


def _read_words(field: Field, entry: Entry) -> str:
    if field.required and not entry.text:
        raise Unreadable(_("Fill this in."))
    return entry.text


def _read_boolean(field: Field, entry: Entry) -> bool | None:
    if not (field.required or field.nullable or field.optional):
        return json.dumps(True) in entry.tokens  # a checkbox: absent when it is not ticked
    if not entry.text and field.nullable:
        return None
    if entry.text not in {"true", "false"}:
        raise Unreadable(_("Choose yes or no."))
    return entry.text == "true"


def _read_choice(field: Field, entry: Entry) -> Any:
    if not entry.text:
        if field.nullable:
            return None
        raise Unreadable(_("Choose one."))
    for choice in field.choices:
        if choice.token == entry.text:
            return choice.value
    raise Unreadable(_("This is not one of the choices."))


def _read_choices(field: Field, entry: Entry) -> list[Any]:
    chosen = [choice.value for choice in field.choices if choice.token in entry.tokens]
    if field.required and not entry.tokens:
        raise Unreadable(_("Choose at least one."))
    if len(chosen) != len(entry.tokens):
        raise Unreadable(_("This is not one of the choices."))
    return chosen


def _read_lines(field: Field, entry: Entry) -> list[Any]:
    """One item a line; lines without anything on them are left out."""
    lines = [line for line in entry.text.split("\n") if line.strip()]
    if field.required and not lines:
        raise Unreadable(_("Fill this in."))
    return [_number_on_line(line) for line in lines] if field.kind is Kind.NUMBERS else lines


def _read_whole(text: str) -> int:
    if not _WHOLE.fullmatch(text) or len(text) > _LONGEST_NUMBER:
        raise Unreadable(_("Enter a whole number, digits only."))
    return int(text.partition(".")[0])


def _number_on_line(line: str) -> int | float:
    try:
        return _number(line.strip())
    except Unreadable as error:
        raise Unreadable(_("“%(line)s”: %(why)s") % {"line": line.strip()[:60], "why": error}) from error


def _number(text: str) -> int | float:
    """A number typed with a point or an exponent is a float, any other an int, as JSON has it."""
    if not _NUMBER.fullmatch(text) or len(text) > _LONGEST_NUMBER:
        raise Unreadable(_("Enter a number, with a point for decimals."))
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _read_time(text: str) -> str:
    """Browsers leave out zero seconds; Airflow wants them."""
    return f"{text}:00" if re.fullmatch(r"\d\d:\d\d", text) else text


def _read_date_time(field: Field, text: str, zone_name: str) -> str:
    """RFC 3339. The default goes out as the Dag wrote it when nothing was changed."""
    moment, zone = _moment(text), zone_of(zone_name)
    if moment is None or zone is None:
        raise Unreadable(_("Enter a date and time, such as 2026-11-22 10:00."))
    if moment.tzinfo is not None:
        return moment.isoformat()
    default = _moment(field.default)
    if default is not None and default.tzinfo is not None and _clock(field.default, zone) == _said(moment):
        return str(field.default)
    aware = moment.replace(tzinfo=zone)
    if _clock(aware.isoformat(), UTC) == "":
        raise Unreadable(_("This date is out of range."))
    if not exists(aware):
        raise Unreadable(_("This time does not exist in %(zone)s: the clocks jump over it.") % {"zone": zone})
    return aware.isoformat()


def json_of_text(text: str) -> Any:
    """The value of a JSON text. Raises Unreadable, also for a key that stands twice in one object."""
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        raise Unreadable(
            _("This is not JSON: %(why)s in line %(line)s, column %(column)s.")
            % {"why": error.msg, "line": error.lineno, "column": error.colno}
        ) from error
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(_("This JSON holds a number too long to read, or is nested too deeply.")) from error


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(_("“%(name)s” stands more than once.") % {"name": twice[:60]})
    return found


_TEXTS: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.INTEGER: _read_whole,
    Kind.NUMBER: _number,
    Kind.DATE: str,
    Kind.TIME: _read_time,
    Kind.EMAIL: str,
    Kind.URI: str,
    Kind.JSON: json_of_text,
}
"""Kinds for which an empty control is no value at all."""

_CONTROLS: Final[dict[Kind, Callable[[Field, Entry], Any]]] = {
    Kind.STRING: _read_words,
    Kind.MULTILINE: _read_words,
    Kind.BOOLEAN: _read_boolean,
    Kind.ENUM: _read_choice,
    Kind.MULTI_SELECT: _read_choices,
    Kind.STRINGS: _read_lines,
    Kind.NUMBERS: _read_lines,
    Kind.OBJECT: _read_object,
}


def _shows_none(field: Field, value: Any) -> bool:
    return field.asks_for_none and value is None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _newlines(text: str) -> str:
    """Browsers post CR LF from a text area, whatever was put into it."""
    return text.replace("\r\n", "\n")


def _clock(value: Any, zone: tzinfo) -> str:
    """What a date-time control shows for ``value``: the clock of ``zone``; a text without zone as it stands."""
    moment = _moment(value)
    try:
        if moment is not None and moment.tzinfo is not None:
            moment = moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return ""
    return _said(moment) if moment is not None else ""


def instant_of(value: Any) -> str:
    """The moment a date-time means, in UTC with a ``Z``; ``""`` for one without a zone."""
    moment = _moment(value)
    clock = _clock(value, UTC) if moment is not None and moment.tzinfo is not None else ""
    return f"{clock}Z" if clock else ""


def exists(moment: datetime) -> bool:
    """Whether the clocks of its zone do not jump over it."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) == moment.replace(tzinfo=None)


def _said(moment: datetime) -> str:
    """As browsers read it: no more than milliseconds."""
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def zone_of(name: str) -> tzinfo | None:
    """The time zone of that name, UTC for ``""``; ``None`` where there is none."""
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, KeyError, OSError):  # not a name, not known, a directory
        return None
