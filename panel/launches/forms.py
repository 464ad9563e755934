"""The launch form as a page shows it: fields with what stands in their controls, and the errors beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from typing import Any, Final
from uuid import uuid4

from django.utils.translation import gettext as _

from panel.launches.conf import conf_errors
from panel.launches.dag_forms import FormReading
from panel.launches.entries import Entry, Posted, Unreadable, entry_of_post, entry_of_value, instant_of, value_of_entry
from panel.launches.fields import TEXTS, Field, Kind, sections_of
from panel.launches.hints import hints_of
from panel.launches.json_view import json_text, not_for_fields, values_of_json
from panel.launches.models import Launch

NOTE: Final = "launch-note"
KEY: Final = "launch-key"
DIGEST: Final = "launch-form"
CONFIRM: Final = "launch-confirm"
BACK: Final = "launch-back"
VIEW: Final = "launch-view"
JSON_TEXT: Final = "launch-json"
AS_JSON: Final = "launch-as-json"
AS_FIELDS: Final = "launch-as-fields"
"""Names of the form's own controls: no param's key begins like that."""


@dataclass(slots=True)
class Control:
    """A field, its entry and its errors, for the template.

    ``instant`` is the moment of an untouched date-time in UTC, for showing it on the clock of whoever looks.
    """

    field: Field
    entry: Entry
    errors: list[str]
    focus: bool = False
    instant: str = ""
    parts: list[Control] = dataclasses.field(default_factory=list)

    @property
    def template(self) -> str:
        """Which partial of ``launches/controls.html`` draws it."""
        kind = self.field.kind
        if self.field.is_secret and kind in TEXTS:
            return "launches/controls.html#line"
        if kind is Kind.BOOLEAN and not self.is_tick:
            return "launches/controls.html#yes-no"
        return f"launches/controls.html#{_PARTIALS.get(kind, 'line')}"

    @property
    def is_required(self) -> bool:
        """Whether the person has to enter something."""
        return self.field.required and self.field.kind is not Kind.CONST

    @property
    def is_tick(self) -> bool:
        """A single checkbox, which carries its own label."""
        return self.field.kind is Kind.BOOLEAN and not (
            self.field.required or self.field.nullable or self.field.optional
        )

    @property
    def is_group(self) -> bool:
        return self.field.kind in {Kind.MULTI_SELECT, Kind.OBJECT}

    @property
    def may_be_empty(self) -> bool:
        """Whether a choice can be left open."""
        return self.field.nullable or self.field.optional

    @property
    def all_errors(self) -> list[str]:
        """Its own and those of its parts."""
        return self.errors + [f"{part.field.title}: {said}" for part in self.parts for said in part.errors]

    @property
    def has_no_choice(self) -> bool:
        """Nothing is chosen that can be: the person must see that, and not the first choice."""
        return not any(choice.token in self.entry.tokens for choice in self.field.choices)

    @property
    def input_type(self) -> str:
        if self.field.is_secret:
            return "password"
        return _INPUT_TYPES.get(self.field.kind, "text")

    def show_instants(self, value: Any) -> None:
        """The moments of untouched date-times, for the clock of whoever looks."""
        self.instant = instant_of(value) if self.field.kind is Kind.DATE_TIME else ""
        held = value if isinstance(value, Mapping) else {}
        for part in self.parts:
            part.show_instants(held.get(part.field.name))

    @property
    def rows(self) -> int:
        """Lines of a text area: what is there and one more, within reason."""
        return min(16, max(3, self.entry.text.count("\n") + 2))

    @property
    def hints(self) -> list[str]:
        return hints_of(self.field)

    @property
    def has_help(self) -> bool:
        return bool(self.field.help or self.hints)

    @property
    def described_by(self) -> str:
        parts = [("help", self.has_help), ("zone-name", self.field.kind is Kind.DATE_TIME), ("errors", self.errors)]
        return " ".join(f"{self.field.key}-{name}" for name, there in parts if there)


def control_of(one: Field, entry: Entry, errors: list[str]) -> Control:
    """A control, with those of an object's properties; messages about a property (``name: …``) stand beside it."""
    own, parts = list(errors), []
    for part in one.parts:
        about = f"{part.name}: "
        own, its = (
            [said for said in own if not said.startswith(about)],
            [said for said in own if said.startswith(about)],
        )
        parts.append(control_of(part, entry.parts.get(part.name, Entry()), [said.removeprefix(about) for said in its]))
    return Control(one, entry, own, parts=parts)


_PARTIALS: Final = {
    Kind.MULTILINE: "lines",
    Kind.STRINGS: "lines",
    Kind.NUMBERS: "lines",
    Kind.JSON: "lines",
    Kind.BOOLEAN: "tick",
    Kind.ENUM: "choose",
    Kind.MULTI_SELECT: "choose-many",
    Kind.DATE_TIME: "date-time",
    Kind.CONST: "const",
    Kind.OBJECT: "object",
}
_INPUT_TYPES: Final = {Kind.DATE: "date", Kind.TIME: "time", Kind.EMAIL: "email", Kind.URI: "url"}


@dataclass
class LaunchForm:
    """Unbound (the defaults, or the values of an ``earlier`` launch) or posted.

    ``values`` are typed, by param; ``errors`` are messages by param, ``note_errors`` those about the note,
    ``problems`` those about the form as a whole. ``as_json``: the values stand in one text, ``json_text``, and only
    secrets have fields.
    """

    reading: FormReading
    zone: tzinfo
    posted: Posted | None = None
    earlier: Launch | None = None
    key: str = ""
    note: str = ""
    as_json: bool = False
    json_text: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    note_errors: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.posted is not None:
            self._read(self.posted)
        elif self.earlier is not None:
            self.note = self.earlier.note
            self.errors = dict(self.earlier.fields)
        self.key = self.key or str(uuid4())

    @cached_property
    def fields(self) -> list[Field]:
        return self.reading.fields

    @property
    def confirm(self) -> str:
        """What was typed to confirm it."""
        return (self.posted or {}).get(CONFIRM, [""])[-1].strip()

    @property
    def changes_view(self) -> bool:
        """Whether the other view was asked for, and not a launch."""
        return AS_JSON in (self.posted or {}) or AS_FIELDS in (self.posted or {})

    @property
    def has_changed_view(self) -> bool:
        return (AS_JSON in (self.posted or {})) == self.as_json

    @property
    def carried(self) -> list[tuple[str, str]]:
        """What was posted, to be posted again with the confirmation. Secrets are not written into a page: they are
        typed again."""
        secret = {one.key for one in self.fields if one.is_secret}
        left_out = secret | {CONFIRM, BACK, "csrfmiddlewaretoken"}
        return [(name, text) for name, texts in (self.posted or {}).items() if name not in left_out for text in texts]

    @property
    def secrets(self) -> list[Control]:
        """Those that were typed, and have to be typed again."""
        return [self._control(one) for one in self.fields if one.is_secret and one.name in self.values]

    @property
    def all_secrets(self) -> list[Control]:
        return [self._control(one) for one in self.fields if one.is_secret]

    @property
    def is_good(self) -> bool:
        return not self.errors and not self.problems

    def add(self, message: str, errors: Mapping[str, list[str]]) -> None:
        """What the service found besides; messages about what has no control stand with the form's own."""
        known = {one.name for one in self.fields}
        self.problems.append(message)
        for name, messages in errors.items():
            if name in known:
                self.errors.setdefault(name, []).extend(messages)
            elif name == "note":
                self.note_errors.extend(messages)
            else:
                self.problems.extend(f"{name}: {said}" for said in messages)

    def renew_key(self) -> None:
        """The next submission is a launch of its own."""
        self.key = str(uuid4())

    @cached_property
    def sections(self) -> list[tuple[str, list[Control]]]:
        found = [(one.title, [self._control(field) for field in one.fields]) for one in sections_of(self.fields)]
        wrong = next((control for _title, controls in found for control in controls if control.all_errors), None)
        if wrong is not None:
            next((part for part in wrong.parts if part.errors), wrong).focus = True
        return found

    @property
    def wrong_controls(self) -> list[Control]:
        return [control for _title, controls in self.sections for control in controls if control.all_errors]

    @property
    def json_errors(self) -> list[str]:
        """What is wrong with the values, param by param."""
        return [f"{name}: {said}" if name else said for name, messages in self.errors.items() for said in messages]

    @property
    def json_rows(self) -> int:
        return min(30, max(8, self.json_text.count("\n") + 2))

    def _control(self, one: Field) -> Control:
        errors = self.errors.get(one.name, [])
        if one.is_secret:  # never written into a page
            return Control(one, Entry(), errors)
        if self.posted is not None and VIEW not in self.posted:
            return control_of(one, entry_of_post(one, self.posted), errors)
        before = self.values if self.posted is not None else self.earlier.params if self.earlier else {}
        value = before.get(one.name, one.default)
        control = control_of(one, entry_of_value(one, value, self.zone), errors)
        control.show_instants(value)
        return control

    def _read(self, posted: Posted) -> None:
        self.note = posted.get(NOTE, [""])[-1].replace("\r\n", "\n").strip()
        self.key = posted.get(KEY, [""])[-1]
        if posted.get(DIGEST, [""])[-1] != self.reading.digest:
            self.problems.append(
                _("The params of this Dag have changed since you opened the form. Look through it again, then launch.")
            )
        if VIEW in posted:
            self._read_json(posted)
        else:
            self._read_fields(posted, self.fields)
            readable = [one for one in self.fields if one.name in self.values]
            if AS_JSON in posted:  # what nothing was entered for is asked for when it is launched
                blank = {one.name for one in self.fields if entry_of_post(one, posted).is_blank}
                self.errors = {name: said for name, said in self.errors.items() if name not in blank}
                self.as_json = not self.errors
            self.errors |= conf_errors(readable, self.values)
            self.json_text = json_text(self.values, self.fields)

    def _read_fields(self, posted: Posted, fields: Sequence[Field]) -> None:
        for one in fields:
            entry = entry_of_post(one, posted)
            if one.is_secret and one.default is not None and not (entry.text or entry.none):
                continue  # the Dag has a value of its own
            try:
                self.values[one.name] = value_of_entry(one, entry)
            except Unreadable as error:
                self.errors[one.name] = error.messages

    def _read_json(self, posted: Posted) -> None:
        """The text holds everything but the secrets."""
        self.as_json = True
        self.json_text = posted.get(JSON_TEXT, [""])[-1].replace("\r\n", "\n")
        secret = [one for one in self.fields if one.is_secret]
        self._read_fields(posted, secret)
        try:
            given = values_of_json(self.json_text)
        except Unreadable as error:
            self.errors[""] = error.messages
            return
        for one in secret:
            if one.name in given:
                self.errors[one.name] = [_("A secret has a field of its own. Type it there, not into the text.")]
                self.json_text = json_text(given, self.fields)
        self.values = given | self.values
        self.errors = self.reading.errors(self.values) | self.errors
        if AS_FIELDS in posted:
            self.errors = {name: said for name, said in self.errors.items() if name in self.values}
            odd = not_for_fields(self.values, self.fields, self.zone)
            self.as_json = bool(odd)
            if odd:
                said = _("The fields cannot hold these values; they can be given as JSON only: %(names)s.")
                self.problems.append(said % {"names": ", ".join(odd)[:300]})
