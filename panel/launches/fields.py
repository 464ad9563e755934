"""The fields of a launch form, made from a Dag's params (``GET /dags/{dag_id}/details``, AIRFLOW.md §2). Pure.

Everything in a param comes from the Dag's author through Airflow: texts are untrusted and shapes may be odd, so that
what is not understood falls back to a JSON editor and never to an error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from panel.launches.schemas import Schema, holds_secret, list_of, properties_of, text_of, types_of
from panel.launches.validation import admits_null


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
    OBJECT = "object"
    JSON = "json"
    CONST = "const"


TEXTS: Final = frozenset({Kind.STRING, Kind.MULTILINE})
LISTS: Final = frozenset({Kind.MULTI_SELECT, Kind.STRINGS, Kind.NUMBERS})
EXPLICIT_NULL: Final = TEXTS | LISTS | {Kind.OBJECT}
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

    ``parts`` are the properties of an object, fields of their own; an ``optional`` one may be left out. ``help`` is
    markdown when ``help_is_markdown``.
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
    help_is_markdown: bool = False
    parts: tuple[Field, ...] = ()
    prefix: str = "p-"
    optional: bool = False

    @cached_property
    def key(self) -> str:
        if _PLAIN_NAME.fullmatch(self.name):
            return f"{self.prefix}{self.name}"
        # Two odd names never meet: no plain name holds a dash, and the digest tells odd ones apart.
        return f"{self.prefix}x-{hashlib.sha256(self.name.encode(errors='surrogatepass')).hexdigest()[:16]}"

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
        """Whether its value is never shown: ``format: password`` or ``writeOnly`` in the schema, or inside it."""
        return holds_secret(self.schema)

    @property
    def given_parts(self) -> Mapping[str, Any]:
        """The properties that the default holds."""
        return self.default if isinstance(self.default, Mapping) else {}

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


def field_of(name: str, param: Mapping[str, Any], prefix: str = "p-") -> Field:
    """One field. Required means: no default, and the schema does not admit null."""
    given = param.get("schema")
    schema: Schema = given if isinstance(given, Mapping) else {}
    default = param.get("value")
    null_fits = admits_null(schema)
    kind = _kind(default, schema)
    plain, markdown = (
        _first_text(param.get("description"), schema.get("description")),
        text_of(schema, "description_md"),
    )
    field = Field(
        name=name,
        kind=kind,
        default=default,
        required=default is None and not null_fits,
        nullable=null_fits and (default is None or "null" in types_of(schema) or None in list_of(schema, "enum")),
        title=text_of(schema, "title") or name,
        help=plain or markdown,
        help_is_markdown=bool(markdown) and not plain,
        section=text_of(schema, "section"),
        choices=_choices(kind, default, schema),
        proposals=_labelled(list_of(schema, "examples"), schema) if kind not in {Kind.MULTI_SELECT, Kind.ENUM} else (),
        schema=schema,
        prefix=prefix,
    )
    return _with_parts(field) if kind is Kind.JSON and types_of(schema) - {"null"} == {"object"} else field


def _with_parts(field: Field) -> Field:
    """An object whose properties can each be entered. Else (secrets, keys beside them) it stays JSON."""
    properties = properties_of(field.schema)
    beside = set(field.given_parts) - set(properties)
    if not properties or beside or field.is_secret or any(word in field.schema for word in _COMBINED):
        return field
    parts = tuple(_part(field, name, schema) for name, schema in properties.items())
    if any(part.kind in {Kind.JSON, Kind.OBJECT} for part in parts):
        return field
    return replace(field, kind=Kind.OBJECT, parts=parts)


def _part(field: Field, name: str, schema: Schema) -> Field:
    """A property as a field. Where the Dag gives no object at all, the property's own default is proposed."""
    proposed = schema.get("default") if field.default is None else None
    part = field_of(name, {"value": field.given_parts.get(name, proposed), "schema": schema}, prefix=f"{field.key}--")
    needed = name in list_of(field.schema, "required")
    return replace(part, required=needed and part.default is None and not part.nullable, optional=not needed)


def sections_of(fields: Sequence[Field]) -> list[Section]:
    """The fields by section, in the order in which sections first appear."""
    names = dict.fromkeys(field.section for field in fields)
    return [Section(name, tuple(field for field in fields if field.section == name)) for name in names]


def _kind(default: Any, schema: Schema) -> Kind:
    if "const" in schema:
        return Kind.CONST
    if list_of(schema, "enum"):
        return Kind.ENUM
    types = types_of(schema) - {"null"}
    if types == {"integer", "number"}:
        return Kind.NUMBER
    if len(types) == 1:
        return _kind_of_type(types.pop(), default, schema)
    if types or any(word in schema for word in _COMBINED):
        return Kind.JSON
    return _inferred(default, schema)


def _kind_of_type(name: str, default: Any, schema: Schema) -> Kind:
    if name == "string":
        return _BY_FORMAT.get(text_of(schema, "format"), Kind.STRING)
    if name == "array":
        return _kind_of_array(default, schema)
    simple = {"integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}
    return simple.get(name, Kind.JSON)


def _kind_of_array(default: Any, schema: Schema) -> Kind:
    items = schema.get("items")
    if list_of(schema, "examples") or (isinstance(items, Mapping) and list_of(items, "enum")):
        return Kind.MULTI_SELECT
    values = default if isinstance(default, list) else []
    item_types = types_of(items) if isinstance(items, Mapping) else {"string"} if items is None else set()
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
        return _labelled([value for value in list_of(schema, "enum") if value is not None], schema)
    if kind is not Kind.MULTI_SELECT:
        return ()
    items = schema.get("items")
    values = list_of(schema, "examples") or (list_of(items, "enum") if isinstance(items, Mapping) else [])
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


def _first_text(*texts: object) -> str:
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")


def _fits_a_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value.splitlines()) == 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
