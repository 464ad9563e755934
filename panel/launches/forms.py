"""The launch form as a page shows it: fields with what stands in their controls, and the errors beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from typing import Any, Final
from uuid import uuid4

from django.utils.translation import gettext as _

from panel.launches.button_words import Part, button_parts
from panel.launches.conf import conf_errors
from panel.launches.controls import Control, control_with_parts
from panel.launches.dag_forms import FormReading
from panel.launches.dependent_options import Offer, offer_of, with_offer
from panel.launches.entries import Entry, Posted, Unreadable, entry_of_post, entry_of_value, value_of_entry
from panel.launches.fields import Field, sections_of
from panel.launches.json_view import json_text, not_for_fields, values_of_json
from panel.launches.prefills import Prefill, link_query
from panel.launches.shaped_fields import ShapedFields

NOTE: Final = "launch-note"
KEY: Final = "launch-key"
DIGEST: Final = "launch-form"
CONFIRM: Final = "launch-confirm"
BACK: Final = "launch-back"
VIEW: Final = "launch-view"
JSON_TEXT: Final = "launch-json"
AS_JSON: Final = "launch-as-json"
AS_FIELDS: Final = "launch-as-fields"
OPTIONS: Final = "launch-options"
LINK: Final = "launch-link"
SAVE_PRESET: Final = "launch-save-preset"
PRESET_NAME: Final = "launch-preset-name"
PRESET_TEAM: Final = "launch-preset-team"
"""Names of the form's own controls: no param's key begins like that."""


@dataclass
class LaunchForm:
    """Unbound (the defaults, and what it ``start``s with) or posted; of the Dag's params as ``shape`` has them.

    ``values`` are typed, by param; ``errors`` are messages by param, ``note_errors`` those about the note,
    ``problems`` those about the form as a whole. ``wrong`` are the names of params whose entry is not right.
    ``as_json``: the values stand in one text, ``json_text``, and only secrets have fields.
    """

    reading: FormReading
    shape: ShapedFields
    zone: tzinfo
    posted: Posted | None = None
    start: Prefill | None = None
    key: str = ""
    note: str = ""
    as_json: bool = False
    json_text: str = ""
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
    def changes_view(self) -> bool:
        """Whether the other view was asked for, and not a launch."""
        return AS_JSON in (self.posted or {}) or AS_FIELDS in (self.posted or {})

    @property
    def has_changed_view(self) -> bool:
        return self.changes_view and (AS_JSON in (self.posted or {})) == self.as_json

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

    def control_of(self, name: str) -> Control:
        """One field by itself."""
        return next(self._control(one) for one in self.fields if one.name == name)

    def forget_errors(self) -> None:
        """Nothing was to be launched yet."""
        self.errors, self.problems, self.note_errors = {}, [], []

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
        errors, offer = self.errors.get(one.name, []), self.offers.get(one.name)
        if one.is_secret:  # never written into a page
            return Control(one, Entry(), errors)
        by = self.shape.by_name[self.shape.options[one.name].on].key if offer and self._is_decided(one) else ""
        if self.posted is not None and not self._came_as_json:
            return control_with_parts(one, entry_of_post(one, self.posted), errors, offer=offer, offered_by=by)
        value = self._beginning(one)
        entry = entry_of_value(one, value, self.zone)
        control = control_with_parts(one, entry, errors, offer=offer, offered_by=by)
        control.show_instants(value)
        return control

    @property
    def _came_as_json(self) -> bool:
        return VIEW in (self.posted or {})

    def _is_decided(self, one: Field) -> bool:
        """Whether its options depend on a field that is shown."""
        on = self.shape.options[one.name].on
        return any(other.name == on for other in self.shape.shown)

    def _beginning(self, one: Field) -> Any:
        before = self.values if self._came_as_json else self.start.values if self.start else {}
        return before.get(one.name, one.default)

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
            if self.posted is None or self._came_as_json:
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
        if VIEW in posted:
            self._read_json(posted)
        else:
            self._read_entries(posted)
        self.wrong = set(self.errors)
        self.values |= self.shape.fixed  # whatever was posted

    def _read_entries(self, posted: Posted) -> None:
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
        secret = [one for one in self.shape.shown if one.is_secret]
        self._read_fields(posted, secret)
        try:
            given = values_of_json(self.json_text)
        except Unreadable as error:
            self.errors[""] = error.messages
            return
        for one in secret:
            if one.name in given:
                self.errors[one.name] = [_("A secret has a field of its own. Type it there, not into the text.")]
                self.json_text = json_text(given, secret)
        self.values = given | self.values
        self.errors = self.reading.errors(self.shape.sent(self.values)) | self.errors
        if AS_FIELDS in posted:
            self.errors = {name: said for name, said in self.errors.items() if name in self.values}
            odd = not_for_fields(self.values, self.fields, self.zone)
            self.as_json = bool(odd)
            if odd:
                said = _("The fields cannot hold these values; they can be given as JSON only: %(names)s.")
                self.problems.append(said % {"names": ", ".join(odd)[:300]})
