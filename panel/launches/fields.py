"""The fields of a launch form, made from a Dag's params (``GET /dags/{dag_id}/details``, AIRFLOW.md §2). Pure.

Everything in a param comes from the Dag's author through Airflow: texts are untrusted and shapes may be odd, so that
what is not understood falls back to a JSON editor and never to an error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from panel.launches.validation import admits_null

Schema = Mapping[str, Any]


class Kind(StrEnum):
    """How a field is entered; the ``type`` of the REST API."""

    STRING = "string"
    MULTILINE = "multiline"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ENUM = "enum"
    MULTI_SELECT = "multi_select"
    DATE = "date"
    DATE_TIME = "date-time"
    TIME = "time"
    EMAIL = "email"
    URI = "uri"
    STRINGS = "strings"
    NUMBERS = "numbers"
    JSON = "json"
    CONST = "const"


TEXTS: Final = frozenset({Kind.STRING, Kind.MULTILINE})
LISTS: Final = frozenset({Kind.MULTI_SELECT, Kind.STRINGS, Kind.NUMBERS})
EXPLICIT_NULL: Final = TEXTS | LISTS
"""Kinds whose empty entry is a value of its own, so that "no value" needs a box to tick."""

_BY_FORMAT: Final[dict[str, Kind]] = {
    "multiline": Kind.MULTILINE,
    "date": Kind.DATE,
    "date-time": Kind.DATE_TIME,
    "time": Kind.TIME,
    "email": Kind.EMAIL,
    "idn-email": Kind.EMAIL,
    "uri": Kind.URI,
    "iri": Kind.URI,
}
_LIMITS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
)
_COMBINED: Final = ("oneOf", "anyOf", "allOf", "not", "if", "$ref")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that can be chosen, with the label the Dag gave it. ``token`` stands for it in the posted form."""

    value: Any
    label: str

    @property
    def token(self) -> str:
        return json.dumps(self.value)

    @property
    def plain(self) -> str:
        """As one would type it."""
        return self.value if isinstance(self.value, str) else self.token


@dataclass(frozen=True)
class Field:
    """One param as a form field.

    ``choices`` are all there is (enum) or what the Dag proposes for a multi-select; ``proposals`` are suggestions that
    do not bind. ``nullable``: the person may say "no value". ``key`` is safe as an HTML id and name.
    """

    name: str
    kind: Kind
    default: Any
    required: bool
    nullable: bool
    title: str
    help: str
    section: str
    choices: tuple[Choice, ...]
    proposals: tuple[Choice, ...]
    schema: Schema

    @cached_property
    def key(self) -> str:
        if _PLAIN_NAME.fullmatch(self.name):
            return f"p-{self.name}"
        # Two odd names never meet: no plain name holds a dash, and the digest tells odd ones apart.
        return f"p-x-{hashlib.sha256(self.name.encode(errors='surrogatepass')).hexdigest()[:16]}"

    @property
    def none_key(self) -> str:
        return f"{self.key}-none"

    @property
    def zone_key(self) -> str:
        return f"{self.key}-zone"

    @property
    def asks_for_none(self) -> bool:
        return self.nullable and self.kind in EXPLICIT_NULL

    @property
    def limits(self) -> dict[str, Any]:
        """The schema's bounds, by their JSON-schema names."""
        return {name: self.schema[name] for name in _LIMITS if name in self.schema}

    @property
    def const(self) -> Any:
        return self.schema.get("const")

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown: ``format: password`` or ``writeOnly`` in the schema."""
        return self.schema.get("format") == "password" or self.schema.get("writeOnly") is True

    @property
    def shown_default(self) -> Any:
        """A const is all there is to enter: it stands in for a default that was not given."""
        if self.is_secret:
            return None
        return self.const if self.kind is Kind.CONST and self.default is None else self.default


@dataclass(frozen=True, slots=True)
class Section:
    """Fields under one heading, ``""`` for those without one."""

    title: str
    fields: tuple[Field, ...]


def fields_of(params: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Field]:
    """The fields of ``[(name, {"value", "schema", "description"})]``, in the same order."""
    return [field_of(name, param) for name, param in params]


def field_of(name: str, param: Mapping[str, Any]) -> Field:
    """One field. Required means: no default, and the schema does not admit null."""
    given = param.get("schema")
    schema: Schema = given if isinstance(given, Mapping) else {}
    default = param.get("value")
    null_fits = admits_null(schema)
    kind = _kind(default, schema)
    return Field(
        name=name,
        kind=kind,
        default=default,
        required=default is None and not null_fits,
        nullable=null_fits and (default is None or "null" in _types(schema) or None in _list(schema, "enum")),
        title=_text(schema, "title") or name,
        help=_first_text(param.get("description"), schema.get("description"), schema.get("description_md")),
        section=_text(schema, "section"),
        choices=_choices(kind, default, schema),
        proposals=_labelled(_list(schema, "examples"), schema) if kind not in {Kind.MULTI_SELECT, Kind.ENUM} else (),
        schema=schema,
    )


def sections_of(fields: Sequence[Field]) -> list[Section]:
    """The fields by section, in the order in which sections first appear."""
    names = dict.fromkeys(field.section for field in fields)
    return [Section(name, tuple(field for field in fields if field.section == name)) for name in names]


def _kind(default: Any, schema: Schema) -> Kind:
    if "const" in schema:
        return Kind.CONST
    if _list(schema, "enum"):
        return Kind.ENUM
    types = _types(schema) - {"null"}
    if types == {"integer", "number"}:
        return Kind.NUMBER
    if len(types) == 1:
        return _kind_of_type(types.pop(), default, schema)
    if types or any(word in schema for word in _COMBINED):
        return Kind.JSON
    return _inferred(default, schema)


def _kind_of_type(name: str, default: Any, schema: Schema) -> Kind:
    if name == "string":
        return _BY_FORMAT.get(_text(schema, "format"), Kind.STRING)
    if name == "array":
        return _kind_of_array(default, schema)
    simple = {"integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}
    return simple.get(name, Kind.JSON)


def _kind_of_array(default: Any, schema: Schema) -> Kind:
    items = schema.get("items")
    if _list(schema, "examples") or (isinstance(items, Mapping) and _list(items, "enum")):
        return Kind.MULTI_SELECT
    values = default if isinstance(default, list) else []
    item_types = _types(items) if isinstance(items, Mapping) else {"string"} if items is None else set()
    if item_types == {"string"} and all(_fits_a_line(value) for value in values):
        return Kind.STRINGS
    if item_types and item_types <= {"integer", "number"} and all(_is_number(value) for value in values):
        return Kind.NUMBERS
    return Kind.JSON


def _inferred(default: Any, schema: Schema) -> Kind:
    """The kind of a param without a type: what its value looks like."""
    if isinstance(default, bool):
        return Kind.BOOLEAN
    if isinstance(default, int | float):
        return Kind.NUMBER
    if isinstance(default, str) or default is None:
        return _kind_of_type("string", default, schema)
    if isinstance(default, list) and default and all(_fits_a_line(value) for value in default):
        return _kind_of_array(default, schema)
    return Kind.JSON


def _choices(kind: Kind, default: Any, schema: Schema) -> tuple[Choice, ...]:
    if kind is Kind.ENUM:
        return _labelled([value for value in _list(schema, "enum") if value is not None], schema)
    if kind is not Kind.MULTI_SELECT:
        return ()
    items = schema.get("items")
    values = _list(schema, "examples") or (_list(items, "enum") if isinstance(items, Mapping) else [])
    # A default beside the proposals must stay choosable.
    extra = default if isinstance(default, list) else []
    return _labelled([*values, *extra], schema)


def _labelled(values: Sequence[Any], schema: Schema) -> tuple[Choice, ...]:
    """Each value once. The keys of ``values_display`` are strings, whatever the type of the value."""
    shown = schema.get("values_display")
    labels = shown if isinstance(shown, Mapping) else {}
    choices: dict[str, Choice] = {}
    for value in values:
        key = value if isinstance(value, str) else json.dumps(value)
        label = labels.get(key, labels.get(str(value)))
        choice = Choice(value, label if isinstance(label, str) and label else key)
        choices.setdefault(choice.token, choice)
    return tuple(choices.values())


def _types(schema: Schema) -> set[str]:
    given = schema.get("type")
    names = given if isinstance(given, list) else [given]
    return {name for name in names if isinstance(name, str)}


def _list(schema: Schema, name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []


def _text(schema: Schema, name: str) -> str:
    value = schema.get(name)
    return value.strip() if isinstance(value, str) else ""


def _first_text(*texts: object) -> str:
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")


def _fits_a_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value.splitlines()) == 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
