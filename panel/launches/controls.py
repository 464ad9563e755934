"""One field of the launch form as the page draws it: which control, what stands in it, what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from panel.launches.dependent_options import Offer
from panel.launches.entries import Entry, instant_of
from panel.launches.fields import TEXTS, Field, Kind
from panel.launches.hints import hints_of


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
    parts: list[Control] = dataclasses.field(default_factory=list)
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
        parts = [
            ("help", self.has_help),
            ("offer", self.offer and self.offer.said),
            ("zone-name", self.field.kind is Kind.DATE_TIME),
            ("errors", self.errors),
        ]
        return " ".join(f"{self.field.key}-{name}" for name, there in parts if there)


def control_with_parts(
    one: Field, entry: Entry, errors: list[str], *, offer: Offer | None = None, offered_by: str = ""
) -> Control:
    """A control, with those of an object's properties; messages about a property (``name: …``) stand beside it."""
    own, parts = list(errors), []
    for part in one.parts:
        about = f"{part.name}: "
        its = [said.removeprefix(about) for said in own if said.startswith(about)]
        own = [said for said in own if not said.startswith(about)]
        parts.append(control_with_parts(part, entry.parts.get(part.name, Entry()), its))
    return Control(one, entry, own, parts=parts, offer=offer, offered_by=offered_by)


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
