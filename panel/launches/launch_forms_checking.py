"""Whether a launch form makes sense for the Dag it is of: said by field, before it is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.utils.translation import gettext as _

from panel.launches.fields import Field, Kind
from panel.launches.option_source import NotReadable, check_source
from panel.launches.shapes import DEPENDING, Mode, Options, Shape, may_decide, may_depend, placeholders
from panel.launches.validation import messages_for, unsendable

TITLE_LENGTH: Final = 120
TEXT_LENGTH: Final = 5_000
WORDS_LENGTH: Final = 200
HELP_LENGTH: Final = 2_000
MOST_OPTIONS: Final = 2_000
SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
TAKEN_SLUGS: Final = frozenset({"add", "only"})
"""Words that addresses beside the forms' use."""

Messages = dict[str, list[str]]


def text_mistakes(texts: Mapping[str, str]) -> Messages:
    """Of ``slug``, ``title``, ``text`` and ``button``."""
    found: Messages = {}
    if not SLUG.fullmatch(texts["slug"]) or texts["slug"] in TAKEN_SLUGS:
        found["slug"] = [_("Lower-case letters, digits and dashes, at most 50; not “add” or “only”.")]
    for name, most in (("title", TITLE_LENGTH), ("text", TEXT_LENGTH), ("button", WORDS_LENGTH)):
        if len(texts[name]) > most or unsendable(texts[name]):
            found[name] = [_("At most %(n)s plain characters.") % {"n": most}]
    if not texts["title"].strip():
        found["title"] = [_("Give it a title for people.")]
    return found


def button_mistakes(words: str, fields: Sequence[Field]) -> list[str]:
    """Placeholders that name no param, or a secret one."""
    known = {one.name: one for one in fields}
    said = []
    for name in placeholders(words):
        if name not in known:
            said.append(_("The Dag has no param “%(name)s”.") % {"name": name[:60]})
        elif known[name].is_secret:
            said.append(_("“%(name)s” is a secret and is shown nowhere.") % {"name": name[:60]})
    if words.count("{") != words.count("}") or words.count("{") != len(placeholders(words)):
        said.append(_("A brace is open. Write {param} with the name of a param."))
    return said


def shape_mistakes_by_name(shapes: Sequence[Shape], fields: Sequence[Field]) -> Messages:
    """Messages by param."""
    known, found = {one.name: one for one in fields}, {}
    by_name = {shape.name: shape for shape in shapes}
    for shape in shapes:
        one = known.get(shape.name)
        said = _of_shape(shape, one, by_name, known) if one else [_("The Dag has no such param. Take it out.")]
        if sum(other.name == shape.name for other in shapes) > 1:
            said.append(_("It stands in the form more than once."))
        if said:
            found[shape.name[:200]] = said
    return found


def _of_shape(shape: Shape, one: Field, by_name: Mapping[str, Shape], known: Mapping[str, Field]) -> list[str]:
    said = []
    if len(shape.title) > TITLE_LENGTH or len(shape.help) > HELP_LENGTH or unsendable([shape.title, shape.help]):
        said.append(
            _("Its title has at most %(title)s plain characters, its help %(help)s.")
            % {"title": TITLE_LENGTH, "help": HELP_LENGTH}
        )
    if shape.has_value and one.is_secret:
        said.append(_("A secret is not kept in a form."))
    elif shape.has_value and shape.mode is Mode.HIDDEN:
        said.append(_("What is hidden has no value here: the Dag's own default holds."))
    elif shape.has_value:
        said += messages_for(one.schema, shape.value)
    elif shape.mode is Mode.FIXED:
        said.append(_("Say which value it is fixed to."))
    if shape.mode is Mode.HIDDEN and one.required:
        said.append(_("The Dag needs a value for it, so it cannot be hidden. Fix it instead."))
    if shape.options is not None:
        said += _of_options(shape, shape.options, one, by_name, known)
    return said


def _of_options(
    shape: Shape, options: Options, one: Field, by_name: Mapping[str, Shape], known: Mapping[str, Field]
) -> list[str]:
    other = known.get(options.on)
    if shape.mode is not Mode.SHOWN:
        return [_("Only a param that is shown has options.")]
    if not may_depend(one):
        kinds = ", ".join(sorted(kind.value for kind in DEPENDING))
        return [_("Only params of these kinds can have options of their own: %(kinds)s.") % {"kinds": kinds}]
    if options.on and (other is None or options.on == one.name):
        return [_("Its options depend on “%(on)s”, which is no other param of the Dag.") % {"on": options.on[:60]}]
    if other is not None and not may_decide(other):
        return [_("Options cannot depend on “%(on)s”: its value is not one word.") % {"on": other.name}]
    deciding = by_name.get(options.on)
    if deciding is not None and deciding.options is not None:
        return [_("“%(on)s” has options that depend on a third param; one step is all there is.") % {"on": options.on}]
    return _of_source(options) if options.url else _of_table(options, one)


def _of_source(options: Options) -> list[str]:
    if options.table:
        return [_("Either a table or an address, not both.")]
    names = set(placeholders(options.url))
    if names - {options.on}:
        return [_("The address may hold {param} for the param that the options depend on, and for no other.")]
    if options.on and not names:
        return [_("The address does not use {%(on)s}.") % {"on": options.on}]
    try:
        check_source(options.url)
    except NotReadable as error:
        return [str(error)]
    return []


def _of_table(options: Options, one: Field) -> list[str]:
    if not options.on:
        return [_("Say which param the options depend on.")]
    if not options.table:
        return [_("The table is empty. Give options for at least one value.")]
    if not all(isinstance(listed, list) for listed in options.table.values()):
        return [_("A table gives a list of options for each value.")]
    if sum(len(listed) for listed in options.table.values()) > MOST_OPTIONS:
        return [_("At most %(n)s options.") % {"n": MOST_OPTIONS}]
    items = one.schema.get("items")
    is_list = one.kind in {Kind.MULTI_SELECT, Kind.STRINGS}
    schema: Mapping[str, Any] = (items if isinstance(items, Mapping) else {}) if is_list else one.schema
    said: dict[str, None] = {}
    for listed in options.table.values():
        for value in listed:
            for message in messages_for(schema, value):
                said[f"{value}: {message}"[:300]] = None
    return list(said)[:10]
