"""The page on which an admin makes a launch form: its texts, and a row for each param of the Dag.

Works without JavaScript: the order is numbers, the value of a param is typed into the control it has in the form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made_by
from datetime import tzinfo
from functools import cached_property
from typing import Any, Final

from django import forms
from django.contrib.auth.models import Group
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from panel.launches.conf import conf_errors
from panel.launches.controls import Control
from panel.launches.entries import Posted, Unreadable, entry_of_post, entry_of_value, value_of_entry
from panel.launches.fields import Field
from panel.launches.launch_forms_changing import FormContent
from panel.launches.models import FormDefinition
from panel.launches.shapes import Mode, Options, Shape, may_decide, may_depend, shapes_of, word_of

ASKED: Final = "asked"
OWN: Final = "own"
WAYS: Final = (
    (ASKED, gettext_lazy("Shown, with the Dag's default")),
    (OWN, gettext_lazy("Shown, with the default below")),
    (Mode.FIXED.value, gettext_lazy("Fixed to the value below")),
    (Mode.HIDDEN.value, gettext_lazy("Hidden, as the Dag has it")),
)
_OF_SECRETS: Final = frozenset({ASKED, Mode.HIDDEN.value})


class DefinitionForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("Title"), max_length=120)
    slug = forms.CharField(
        label=gettext_lazy("Short name"),
        max_length=50,
        help_text=gettext_lazy("For links: lower-case letters, digits and dashes."),
    )
    text = forms.CharField(
        label=gettext_lazy("Text for people"),
        required=False,
        max_length=5_000,
        help_text=gettext_lazy("What it does, and what to look at before."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    button = forms.CharField(
        label=gettext_lazy("Words of the button"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("With params in braces: Deploy {version} to {env}. Empty: Launch and the Dag's name."),
    )
    is_enabled = forms.BooleanField(label=gettext_lazy("Switched on"), required=False)
    is_protected = forms.BooleanField(
        label=gettext_lazy("Whatever is launched through it is protected"),
        required=False,
        help_text=gettext_lazy(
            "Confirmed by typing, and approved by somebody else unless the Dag's guard rails say that nobody has to."
        ),
    )
    groups = forms.MultipleChoiceField(
        label=gettext_lazy("Groups that may use it"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("They also need the right to launch. No group and no user: every deployer."),
    )
    users = forms.CharField(
        label=gettext_lazy("And users"), required=False, help_text=gettext_lazy("Names, separated by commas.")
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        names = Group.objects.order_by("name").values_list("name", flat=True)
        choice: Any = self.fields["groups"]
        choice.choices = [(name, name) for name in names]


@dataclass
class Row:
    """One param in the page. ``order`` is a place counted from one."""

    field: Field
    way: str
    control: Control
    order: str
    title: str = ""
    help: str = ""
    on: str = ""
    table: str = ""
    url: str = ""
    deciding: list[Field] = made_by(default_factory=list)
    errors: list[str] = made_by(default_factory=list)

    @property
    def ways(self) -> list[tuple[str, str]]:
        return [(way, str(words)) for way, words in WAYS if not self.field.is_secret or way in _OF_SECRETS]

    @property
    def has_options(self) -> bool:
        return may_depend(self.field)

    @property
    def uses_options(self) -> bool:
        return bool(self.on or self.table or self.url)

    @property
    def takes_value(self) -> bool:
        return self.way in {OWN, Mode.FIXED.value}


@dataclass
class FormEditing:
    """A definition (or none yet) as the page shows it, or what was posted. ``vanished``: params it still names."""

    fields: list[Field]
    zone: tzinfo
    definition: FormDefinition | None = None
    posted: Posted | None = None
    errors: dict[str, list[str]] = made_by(default_factory=dict)
    shapes: list[Shape] = made_by(default_factory=list)

    @cached_property
    def texts(self) -> DefinitionForm:
        if self.posted is None:
            return DefinitionForm(initial=_entered(self.definition))
        plain = {name: texts[-1] for name, texts in self.posted.items() if texts}
        return DefinitionForm(plain | {"groups": list(self.posted.get("groups", []))})

    @property
    def version(self) -> int:
        text = (self.posted or {}).get("version", [""])[-1]
        if text.isascii() and text.isdigit() and len(text) < 9:
            return int(text)
        return self.definition.version if self.definition and self.posted is None else 0

    @property
    def vanished(self) -> list[str]:
        known = {one.name for one in self.fields}
        stored = self.definition.shapes if self.definition else []
        return [shape["name"] for shape in stored if shape["name"] not in known]

    @cached_property
    def rows(self) -> list[Row]:
        if self.posted is not None:
            rows = [self._posted_row(one, self.posted) for one in self.fields]
            return sorted(rows, key=_place)
        stored = {shape.name: shape for shape in shapes_of(self.definition.shapes if self.definition else [])}
        names = {name: place for place, name in enumerate(stored)}
        ordered = sorted(self.fields, key=lambda one: names.get(one.name, len(names)))
        return [self._stored_row(one, stored.get(one.name), place) for place, one in enumerate(ordered, start=1)]

    def content(self) -> FormContent | None:
        """What the service takes; ``None`` when it cannot be read, which the page then says."""
        shapes = [self._shape(row) for row in self.rows]
        good = self.texts.is_valid() and not any(row.errors for row in self.rows)
        if not good:
            return None
        entered = self.texts.cleaned_data
        users = [name.strip() for name in entered["users"].replace("\n", ",").split(",") if name.strip()]
        entered["text"] = entered["text"].replace("\r\n", "\n")
        given = {
            name: entered[name] for name in ("slug", "title", "text", "button", "groups", "is_enabled", "is_protected")
        }
        return FormContent(**given, users=users, shapes=shapes)

    def add(self, message: str, messages: Mapping[str, list[str]]) -> None:
        """What the service refused, beside what it is about."""
        rows = {f"params.{row.field.name}": row for row in self.rows}
        placed = False
        for name, said in messages.items():
            placed = True
            if name in rows:
                rows[name].errors.extend(said)
            else:
                self.texts.add_error(name if name in self.texts.fields else None, said)
        if not placed:
            self.texts.add_error(None, message)

    def _stored_row(self, one: Field, shape: Shape | None, place: int) -> Row:
        shape = shape or Shape(one.name)
        way = (OWN if shape.has_value else ASKED) if shape.mode is Mode.SHOWN else shape.mode.value
        value = shape.value if shape.has_value else one.default
        entry = entry_of_value(one, None if one.is_secret else value, self.zone)
        options = shape.options or Options("")
        return Row(
            field=one,
            way=way,
            control=Control(one, entry, []),
            order=str(place),
            title=shape.title,
            help=shape.help,
            on=options.on,
            table=table_text(options.table),
            url=options.url,
            deciding=self._deciding(one),
        )

    def _posted_row(self, one: Field, posted: Posted) -> Row:
        def text(name: str) -> str:
            return posted.get(f"{one.key}-{name}", [""])[-1].replace("\r\n", "\n").strip()

        return Row(
            field=one,
            way=text("way") or ASKED,
            control=Control(one, entry_of_post(one, posted), []),
            order=text("order"),
            title=text("title"),
            help=text("help"),
            on=text("on"),
            table=text("table"),
            url=text("url"),
            deciding=self._deciding(one),
        )

    def _deciding(self, one: Field) -> list[Field]:
        return [other for other in self.fields if other.name != one.name and may_decide(other)]

    def _shape(self, row: Row) -> Shape:
        """What is wrong with it goes into the errors of the row."""
        if row.way not in dict(row.ways):
            row.errors.append(_("This is not one of the choices."))
        shape = {"name": row.field.name, "title": row.title, "help": row.help}
        mode = Mode.SHOWN if row.way in {ASKED, OWN} or row.errors else Mode(row.way)
        value = self._value(row) if row.takes_value and not row.errors else None
        options = _options(row) if row.has_options else None
        return Shape(**shape, mode=mode, has_value=row.takes_value and not row.errors, value=value, options=options)

    def _value(self, row: Row) -> Any:
        one = row.field
        try:
            value = value_of_entry(one, row.control.entry)
        except Unreadable as error:
            row.errors.append(str(error))
            return None
        row.errors.extend(conf_errors([one], {one.name: value}).get(one.name, []))
        return value


def table_text(table: Mapping[str, Sequence[Any]]) -> str:
    """``prod = eu, us``, a line a value; as JSON where a word holds what lines are made of."""
    words = [word_of(word) for listed in table.values() for word in listed] + list(table)
    if any(set(word) & set(",=\n{") or word != word.strip() or not word for word in words):
        return json.dumps(table, ensure_ascii=False, indent=1)
    return "\n".join(f"{word} = {', '.join(word_of(one) for one in listed)}" for word, listed in table.items())


def table_of_text(one: Field, text: str) -> dict[str, list[Any]]:
    """Raises Unreadable."""
    if text.startswith("{"):
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Unreadable(_("The table is neither lines such as prod = eu, us nor a JSON object.")) from error
        if not all(isinstance(listed, list) for listed in table.values()):
            raise Unreadable(_("A table gives a list of options for each value."))
        return dict(table)
    table = {}
    for line in filter(str.strip, text.splitlines()):
        word, equals, listed = (part.strip() for part in line.partition("="))
        if not (word and equals):
            raise Unreadable(_("“%(line)s” is not of the form: value = option, option.") % {"line": line.strip()[:60]})
        if word in table:
            raise Unreadable(_("“%(word)s” stands in the table more than once.") % {"word": word[:60]})
        table[word] = [_option(one, part.strip()) for part in listed.split(",") if part.strip()]
    return table


def _option(one: Field, text: str) -> Any:
    """A text that is one of the Dag's choices means it."""
    for choice in (*one.choices, *one.proposals):
        if text in (choice.token, choice.plain, choice.label):
            return choice.value
    return text


def _options(row: Row) -> Options | None:
    if not (row.table or row.url):
        if row.on:
            row.errors.append(_("Give a table of options, or an address."))
        return None
    try:
        return Options(row.on, table_of_text(row.field, row.table), row.url)
    except Unreadable as error:
        row.errors.append(str(error))
        return None


def _place(row: Row) -> float:
    try:
        place = float(row.order)
    except ValueError:
        return 1e9
    return place if place == place else 1e9  # noqa: PLR0124 - what is not a number is not equal to itself


def _entered(definition: FormDefinition | None) -> dict[str, Any]:
    if definition is None:
        return {"is_enabled": True}
    return {
        "title": definition.title,
        "slug": definition.slug,
        "text": definition.text,
        "button": definition.button,
        "is_enabled": definition.is_enabled,
        "is_protected": definition.is_protected,
        "groups": list(definition.groups.values_list("name", flat=True)),
        "users": ", ".join(definition.users.order_by("username").values_list("username", flat=True)),
    }
