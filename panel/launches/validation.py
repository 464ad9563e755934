"""Checks params against their JSON schemas before Airflow sees them: all errors at once, in plain words.

Airflow itself checks too, but stops at the first error and, on a usual install, lets wrong date-times and URIs pass
(its ``jsonschema`` lacks the optional packages for formats; AIRFLOW.md §2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import SchemaError, UndefinedTypeCheck, UnknownType, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

FORMATS: Final = FormatChecker()
"""Every format that JSON schema names. The tests prove that each is installed and turns a bad value down."""

MESSAGES_PER_FIELD: Final = 10
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_TIME: Final = re.compile(r"\d\d:\d\d:\d\d")
_BAD_SCHEMA: Final = (SchemaError, UnknownType, UndefinedTypeCheck, Unresolvable, re.error, RecursionError)


@FORMATS.checks("email")
def _is_email(value: object) -> bool:
    return not isinstance(value, str) or _EMAIL.fullmatch(value) is not None


@FORMATS.checks("time", raises=ValueError)
def _is_time(value: object) -> bool:
    """``HH:MM:SS``, as Airflow's own check has it."""
    if not isinstance(value, str):
        return True
    return _TIME.fullmatch(value) is not None and bool(datetime.strptime(value, "%H:%M:%S"))  # noqa: DTZ007 - no date


def admits_null(schema: Mapping[str, Any]) -> bool:
    """Whether ``null`` fits; a schema that cannot be read is taken not to admit it."""
    return _errors(schema, None) == []


def messages_for(schema: Mapping[str, Any], value: Any) -> list[str]:
    """What is wrong with ``value``, one sentence each; empty when it fits.

    A schema that is not one is left to Airflow, which judges every param again.
    """
    if problem := unsendable(value):
        return [problem]
    sentences = dict.fromkeys(_sentence(error) for error in _errors(schema, value) or [])
    return list(sentences)[:MESSAGES_PER_FIELD]


def unsendable(value: Any) -> str:
    """Why ``value`` cannot travel as JSON into Airflow's database; ``""`` when it can."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            if "\x00" in part or any("\ud800" <= character <= "\udfff" for character in part):
                return _("This holds a character that cannot be stored. Remove it.")
        elif isinstance(part, float):
            if not math.isfinite(part):
                return _("This number is too large, or not a number.")
        elif isinstance(part, Mapping):
            pending.extend(part.keys())
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return ""


def _errors(schema: Mapping[str, Any], value: Any) -> list[ValidationError] | None:
    """The errors, ordered by place; ``None`` for a schema that is not one."""
    kind: type[Validator] = validator_for(schema, default=Draft202012Validator)
    # An empty registry: a "$ref" in somebody's Dag must not make this server fetch a URL.
    checker = kind(dict(schema), registry=Registry(), format_checker=FORMATS)
    try:
        kind.check_schema(dict(schema))
        return sorted(checker.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
    except _BAD_SCHEMA:
        return None


def _sentence(error: ValidationError) -> str:
    """With the place inside a list or an object in front; items are counted from one, as lines are."""
    parts = [_("item %(n)d") % {"n": part + 1} if isinstance(part, int) else part for part in error.absolute_path]
    said, place = _said(error), " › ".join(parts)
    return f"{place[:200]}: {said}" if place else said


def _said(error: ValidationError) -> str:
    limit: Any = error.validator_value
    simple = {
        "minimum": _("Enter %(limit)s or more."),
        "maximum": _("Enter %(limit)s or less."),
        "exclusiveMinimum": _("Enter more than %(limit)s."),
        "exclusiveMaximum": _("Enter less than %(limit)s."),
        "multipleOf": _("Enter a multiple of %(limit)s."),
        "pattern": _("This does not have the form that is asked for: it must match %(limit)s"),
        "const": _("Only %(limit)s is possible here."),
        "uniqueItems": _("An item is given more than once."),
    }
    word = str(error.validator)
    if word in simple:
        return simple[word] % {"limit": _short(limit)}
    if word in _COUNTED:
        return _counted(word, int(limit))
    if word == "type":
        names = limit if isinstance(limit, list) else [limit]
        return _("This must be %(types)s.") % {"types": _(" or ").join(_type_name(str(name)) for name in names)}
    if word == "enum":
        return _("This is not one of the choices. Choose one of: %(choices)s") % {
            "choices": _short(", ".join(_short(value) for value in limit))
        }
    if word == "format":
        return _format_sentence(str(limit))
    return _structural(word, error)


_COUNTED: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})


def _counted(word: str, limit: int) -> str:
    sentences = {
        "minLength": ngettext("Enter at least %(n)s character.", "Enter at least %(n)s characters.", limit),
        "maxLength": ngettext("Enter at most %(n)s character.", "Enter at most %(n)s characters.", limit),
        "minItems": ngettext("Give at least %(n)s item.", "Give at least %(n)s items.", limit),
        "maxItems": ngettext("Give at most %(n)s item.", "Give at most %(n)s items.", limit),
        "minProperties": ngettext("Give at least %(n)s key.", "Give at least %(n)s keys.", limit),
        "maxProperties": ngettext("Give at most %(n)s key.", "Give at most %(n)s keys.", limit),
    }
    return sentences[word] % {"n": limit}


def _structural(word: str, error: ValidationError) -> str:
    limit: Any = error.validator_value
    if word == "required" and isinstance(error.instance, Mapping):
        names = [name for name in limit if name not in error.instance]
        return _("Missing: %(names)s.") % {"names": _short(", ".join(str(name) for name in names))}
    if word == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        names = [name for name in error.instance if name not in known]
        return _("Not known here: %(names)s.") % {"names": _short(", ".join(names))}
    if word in {"oneOf", "anyOf"}:
        nearest = best_match(error.context)
        if nearest is None:
            return _("This fits more than one of the allowed forms; it must fit exactly one.")
        return _("This fits none of the allowed forms. The nearest one says: %(why)s") % {"why": _said(nearest)}
    return _("This does not fit the schema of the Dag: %(why)s") % {"why": _short(error.message)}


def _format_sentence(name: str) -> str:
    sentences = {
        "date": _("Enter a date as YYYY-MM-DD, such as 2026-11-22."),
        "date-time": _("Enter a date and time with its zone, such as 2026-11-22T10:00:00Z."),
        "time": _("Enter a time as HH:MM:SS, such as 14:30:00."),
        "email": _("Enter an e-mail address, such as name@example.org."),
        "uri": _("Enter a whole address, such as https://example.org/file."),
        "uuid": _("Enter a UUID, such as 123e4567-e89b-12d3-a456-426614174000."),
        "ipv4": _("Enter an IPv4 address, such as 192.0.2.1."),
        "ipv6": _("Enter an IPv6 address, such as 2001:db8::1."),
        "hostname": _("Enter a host name, such as db.example.org."),
        "regex": _("This is not a regular expression."),
        "duration": _("Enter a duration such as PT15M or P1D."),
    }
    return sentences.get(name) or _("This is not of the format %(name)s.") % {"name": _short(name)}


def _type_name(name: str) -> str:
    names = {
        "string": _("text"),
        "integer": _("a whole number"),
        "number": _("a number"),
        "boolean": _("true or false"),
        "array": _("a list"),
        "object": _("an object"),
        "null": _("no value"),
    }
    return names.get(name, name)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:299] + "…"
