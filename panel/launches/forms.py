"""The launch form as a page shows it: fields with what stands in their controls, and the errors beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from typing import Any, Final
from uuid import uuid4

from django.utils.translation import gettext as _

from panel.launches.button_words import Part, button_parts
from panel.launches.conf import conf_errors
from panel.launches.dag_forms import FormReading
from panel.launches.dependent_options import Offer, offer_of, with_offer
from panel.launches.entries import Entry, Posted, Unreadable, entry_of_post, entry_of_value, instant_of, value_of_entry
from panel.launches.fields import TEXTS, Field, Kind, sections_of
from panel.launches.hints import hints_of
from panel.launches.prefills import Prefill, link_query
from panel.launches.shaped_fields import ShapedFields

NOTE: Final = "launch-note"
KEY: Final = "launch-key"
DIGEST: Final = "launch-form"
CONFIRM: Final = "launch-confirm"
BACK: Final = "launch-back"
OPTIONS: Final = "launch-options"
LINK: Final = "launch-link"
SAVE_PRESET: Final = "launch-save-preset"
PRESET_NAME: Final = "launch-preset-name"
PRESET_TEAM: Final = "launch-preset-team"
"""Names of the form's own controls: no param's key begins like that."""


@dataclass(slots=True)
class Control:
    """A field, its entry and its errors, for the template.

    ``instant`` is the moment of an untouched date-time in UTC, for showing it on the clock of whoever looks. ``offer``
    are the options of a field that depend on another one, whose control has the key ``offered_by``.
    """

    field: Field
    entry: Entry
    errors: list[str]
    focus: bool = False
    instant: str = ""
    offer: Offer | None = None
    offered_by: str = ""

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
        parts = [
            ("help", self.has_help),
            ("offer", self.offer and self.offer.said),
            ("zone-name", self.field.kind is Kind.DATE_TIME),
            ("errors", self.errors),
        ]
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
    """Unbound (the defaults, and what it ``start``s with) or posted; of the Dag's params as ``shape`` has them.

    ``values`` are typed, by param; ``errors`` are messages by param, ``note_errors`` those about the note,
    ``problems`` those about the form as a whole. ``wrong`` are the names of params whose entry is not right.
    """

    reading: FormReading
    shape: ShapedFields
    zone: tzinfo
    posted: Posted | None = None
    start: Prefill | None = None
    key: str = ""
    note: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    note_errors: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.posted is not None:
            self._read(self.posted)
        elif self.start is not None:
            self.note = self.start.note
            self.errors = dict(self.start.errors)
        self.key = self.key or str(uuid4())

    @cached_property
    def fields(self) -> list[Field]:
        """What is asked for, with the options that there are now."""
        offers = self.offers
        return [with_offer(one, offers[one.name]) if one.name in offers else one for one in self.shape.shown]

    @cached_property
    def offers(self) -> dict[str, Offer]:
        """The options of those that depend on another param."""
        if not self.shape.options:
            return {}
        deciding = self._deciding_values()
        return {name: offer_of(self.shape, name, deciding) for name in self.shape.options}

    @property
    def digest(self) -> str:
        """Changes with the Dag's params and with the launch form."""
        version = self.shape.definition.version if self.shape.definition else None
        return self.reading.digest if version is None else f"{self.reading.digest}-{version}"

    @property
    def said(self) -> list[str]:
        """What to know about the values that the form begins with."""
        found = list(self.start.said) if self.start else []
        for one in self.fields:
            if self.posted is None and (said := self._not_offered(one)):
                found.append(said)
        return found

    @property
    def kept_values(self) -> dict[str, Any]:
        """What may stand in a preset or a link: read, right, and no secret."""
        secret = {one.name for one in self.fields if one.is_secret}
        asked_for = {one.name for one in self.fields} - secret - self.wrong
        return {name: value for name, value in self.values.items() if name in asked_for}

    @property
    def button(self) -> list[Part]:
        """The words that the form's admin gave its button; empty without any."""
        if self.posted is not None:
            return button_parts(self.shape, self.values)
        return button_parts(self.shape, {one.name: self._beginning(one) for one in self.fields if not one.is_secret})

    @property
    def left_out(self) -> list[str]:
        """Titles of the fields that are not among the kept values."""
        kept = self.kept_values
        return [one.title for one in self.fields if one.name not in kept]

    @property
    def link(self) -> str:
        """The query string that brings the values back; ``""`` when it would be too long."""
        return link_query(self.shape, self.kept_values)

    @property
    def texts(self) -> dict[str, str]:
        """What stands in the controls of the form beside the params."""
        posted = self.posted or {}
        return {name: posted.get(name, [""])[-1] for name in (PRESET_NAME, PRESET_TEAM)}

    @property
    def confirm(self) -> str:
        """What was typed to confirm it."""
        return (self.posted or {}).get(CONFIRM, [""])[-1].strip()

    @property
    def carried(self) -> list[tuple[str, str]]:
        """What was posted, to be posted again with the confirmation. Secrets are not written into a page: they are
        typed again."""
        secret = {one.key for one in self.fields if one.is_secret}
        left_out = secret | {CONFIRM, BACK, OPTIONS, LINK, SAVE_PRESET, "csrfmiddlewaretoken"}
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

    def control_of(self, name: str) -> Control:
        """One field by itself."""
        return next(self._control(one) for one in self.fields if one.name == name)

    def forget_errors(self) -> None:
        """Nothing was to be launched yet."""
        self.errors, self.problems, self.note_errors = {}, [], []

    @property
    def wrong_controls(self) -> list[Control]:
        return [control for _title, controls in self.sections for control in controls if control.errors]

    def _control(self, one: Field) -> Control:
        errors, offer = self.errors.get(one.name, []), self.offers.get(one.name)
        if one.is_secret:  # never written into a page
            return Control(one, Entry(), errors)
        by = self.shape.by_name[self.shape.options[one.name].on].key if offer and self._is_decided(one) else ""
        if self.posted is not None:
            return Control(one, entry_of_post(one, self.posted), errors, offer=offer, offered_by=by)
        value = self._beginning(one)
        instant = instant_of(value) if one.kind is Kind.DATE_TIME else ""
        entry = entry_of_value(one, value, self.zone)
        return Control(one, entry, errors, instant=instant, offer=offer, offered_by=by)

    def _is_decided(self, one: Field) -> bool:
        """Whether its options depend on a field that is shown."""
        on = self.shape.options[one.name].on
        return any(other.name == on for other in self.shape.shown)

    def _beginning(self, one: Field) -> Any:
        return self.start.values.get(one.name, one.default) if self.start else one.default

    def _not_offered(self, one: Field) -> str:
        """That the value which a field begins with is not among its options."""
        offer, value = self.offers.get(one.name), self._beginning(one)
        if offer is None or value is None or not offer.choices or not (self.start and one.name in self.start.values):
            return ""
        tokens = {choice.token for choice in offer.choices}
        strange = [item for item in (value if isinstance(value, list) else [value]) if json.dumps(item) not in tokens]
        if not strange:
            return ""
        return _("“%(value)s” is not among the options of “%(title)s” now.") % {
            "value": str(strange[0])[:60],
            "title": one.title,
        }

    def _deciding_values(self) -> dict[str, Any]:
        """The values that options depend on, as they stand in the form; what cannot be read is none."""
        names = {options.on for options in self.shape.options.values()}
        values: dict[str, Any] = {}
        for one in self.shape.shown:
            if one.name not in names:
                continue
            if self.posted is None:
                values[one.name] = self._beginning(one)
                continue
            try:
                values[one.name] = value_of_entry(one, entry_of_post(one, self.posted))
            except Unreadable:
                values[one.name] = None
        return values

    def _read(self, posted: Posted) -> None:
        self.note = posted.get(NOTE, [""])[-1].replace("\r\n", "\n").strip()
        self.key = posted.get(KEY, [""])[-1]
        if posted.get(DIGEST, [""])[-1] != self.digest:
            self.problems.append(
                _("The params of this Dag have changed since you opened the form. Look through it again, then launch.")
                if self.shape.definition is None
                else _("This form or its Dag has changed since you opened it. Look through it again, then launch.")
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
        self.wrong = set(self.errors)
        self.values |= self.shape.fixed  # whatever was posted
