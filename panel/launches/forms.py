"""The launch form as a page shows it: fields with what stands in their controls, and the errors beside them."""

from __future__ import annotations

from collections.abc import Mapping
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
from panel.launches.models import Backfill, Launch

NOTE: Final = "launch-note"
KEY: Final = "launch-key"
DIGEST: Final = "launch-form"
CONFIRM: Final = "launch-confirm"
BACK: Final = "launch-back"
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
        return self.field.kind is Kind.BOOLEAN and not (self.field.required or self.field.nullable)

    @property
    def is_group(self) -> bool:
        return self.field.kind is Kind.MULTI_SELECT

    @property
    def has_no_choice(self) -> bool:
        """Nothing is chosen that can be: the person must see that, and not the first choice."""
        return not any(choice.token in self.entry.tokens for choice in self.field.choices)

    @property
    def input_type(self) -> str:
        if self.field.is_secret:
            return "password"
        return _INPUT_TYPES.get(self.field.kind, "text")

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
}
_INPUT_TYPES: Final = {Kind.DATE: "date", Kind.TIME: "time", Kind.EMAIL: "email", Kind.URI: "url"}


@dataclass
class LaunchForm:
    """Unbound (the defaults, or the values of an ``earlier`` launch or backfill) or posted.

    ``values`` are typed, by param; ``errors`` are messages by param, ``note_errors`` those about the note,
    ``problems`` those about the form as a whole.
    """

    reading: FormReading
    zone: tzinfo
    posted: Posted | None = None
    earlier: Launch | Backfill | None = None
    key: str = ""
    note: str = ""
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
        wrong = next((control for _title, controls in found for control in controls if control.errors), None)
        if wrong is not None:
            wrong.focus = True
        return found

    @property
    def wrong_controls(self) -> list[Control]:
        return [control for _title, controls in self.sections for control in controls if control.errors]

    def _control(self, one: Field) -> Control:
        errors = self.errors.get(one.name, [])
        if one.is_secret:  # never written into a page
            return Control(one, Entry(), errors)
        if self.posted is not None:
            return Control(one, entry_of_post(one, self.posted), errors)
        value = self.earlier.params.get(one.name, one.default) if self.earlier else one.default
        instant = instant_of(value) if one.kind is Kind.DATE_TIME else ""
        return Control(one, entry_of_value(one, value, self.zone), errors, instant=instant)

    def _read(self, posted: Posted) -> None:
        self.note = posted.get(NOTE, [""])[-1].replace("\r\n", "\n").strip()
        self.key = posted.get(KEY, [""])[-1]
        if posted.get(DIGEST, [""])[-1] != self.reading.digest:
            self.problems.append(
                _("The params of this Dag have changed since you opened the form. Look through it again, then launch.")
            )
        for one in self.fields:
            entry = entry_of_post(one, posted)
            if one.is_secret and one.default is not None and not (entry.text or entry.none):
                continue  # the Dag has a value of its own
            try:
                self.values[one.name] = value_of_entry(one, entry)
            except Unreadable as error:
                self.errors[one.name] = [str(error)]
        readable = [one for one in self.fields if one.name in self.values]
        self.errors |= conf_errors(readable, self.values)
