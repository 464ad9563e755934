"""The options of a param that depend on the value of another one: of a table, or of an HTTP source.

What a source said last is kept: it is used for a while without asking again, and offered with its age while the source
does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.launches.conf import digest
from panel.launches.fields import Choice, Field, Kind
from panel.launches.models import KnownOptions
from panel.launches.option_source import Away, NotReadable, Option, completed_url, read_options
from panel.launches.shaped_fields import ShapedFields
from panel.launches.shapes import Options, word_of
from panel.launches.validation import messages_for

FRESH: Final = timedelta(seconds=60)
KEPT: Final = timedelta(days=30)
FAILED_SECONDS: Final = 15
"""So long a source that failed is not asked again, nor anything else of a host that is away: a page waits once."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The options of a field now. ``said``: why there are none, or what to know about them; ``read_at``: when they were
    read that are only the last known ones. ``is_known``: a value can be judged by them."""

    choices: tuple[Choice, ...] = ()
    said: str = ""
    read_at: datetime | None = None
    is_known: bool = True


def offer_of(shaped: ShapedFields, name: str, params: Mapping[str, Any]) -> Offer:
    """The options of this param for a launch with these params."""
    options, one = shaped.options[name], shaped.by_name[name]
    word = ""
    if options.on:
        other = shaped.by_name[options.on]
        word = word_of(params.get(options.on, shaped.fixed.get(options.on, other.default)))
        if not word:
            return Offer(said=_("Choose “%(other)s” first.") % {"other": other.title}, is_known=False)
    if options.url:
        return _read_offer(one, options, word)
    listed = options.table.get(word)
    if not listed:
        said = _("There are no options for %(other)s = %(word)s.") % {"other": shaped.by_name[options.on].title,
                                                                     "word": word[:60]}  # fmt: skip
        return Offer(said=said)
    return _fitting(one, [(value, "") for value in listed])


def with_offer(one: Field, offer: Offer) -> Field:
    """The field with these choices and no others."""
    kind = Kind.MULTI_SELECT if one.kind in {Kind.MULTI_SELECT, Kind.STRINGS} else Kind.ENUM
    return replace(one, kind=kind, choices=offer.choices, proposals=())


def option_errors(shaped: ShapedFields, params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Messages by param for values that are not among their options now. May ask a source: not in a transaction."""
    errors = {}
    for name in shaped.options:
        if params.get(name) is not None:
            offer = offer_of(shaped, name, params)
            if said := _objection(offer, params[name]):
                errors[name] = [said]
    return errors


def _objection(offer: Offer, value: Any) -> str:
    tokens = {choice.token for choice in offer.choices}
    items = value if isinstance(value, list) else [value]
    strange = [item for item in items if json.dumps(item) not in tokens]
    if not strange:
        return ""
    if offer.said and not offer.choices:
        return offer.said
    return _("%(value)s is not one of the options.") % {"value": word_of(strange[0])[:100]}


def _read_offer(one: Field, options: Options, word: str) -> Offer:
    try:
        url = completed_url(options.url, word)
    except NotReadable as error:
        return Offer(said=str(error))
    key = digest(url)
    known = KnownOptions.objects.filter(url_hash=key).first()
    if known is not None and known.read_at > timezone.now() - FRESH:
        return _fitting(one, known.options)
    try:
        listed = _asked(key, url)
    except NotReadable as error:
        if known is None:
            said = _("The options cannot be read: %(why)s Try again, or tell an administrator.") % {"why": error}
            return Offer(said=said, is_known=False)
        said = _("The options cannot be read now: %(why)s These are the last known ones.") % {"why": error}
        return replace(_fitting(one, known.options, said), read_at=known.read_at)
    return _fitting(one, listed)


def _asked(key: str, url: str) -> list[Option]:
    of_url, of_host = f"launches.options.{key}", f"launches.options.{digest(urlsplit(url).netloc)}"
    if why := cache.get(of_url) or cache.get(of_host):
        raise NotReadable(why)
    try:
        listed = read_options(url)
    except NotReadable as error:
        cache.set(of_host if isinstance(error, Away) else of_url, str(error), FAILED_SECONDS)
        raise
    now = timezone.now()
    KnownOptions.objects.update_or_create(url_hash=key, defaults={"options_json": json.dumps(listed), "read_at": now})
    KnownOptions.objects.filter(read_at__lt=now - KEPT).delete()
    return listed


def _fitting(one: Field, listed: Sequence[Option], said: str = "") -> Offer:
    """Only what the Dag would take; how many are left out is said."""
    items = one.schema.get("items")
    is_list = one.kind in {Kind.MULTI_SELECT, Kind.STRINGS}
    schema = (items if isinstance(items, Mapping) else {}) if is_list else one.schema
    labels = {choice.token: choice.label for choice in (*one.choices, *one.proposals)}
    choices: dict[str, Choice] = {}
    left_out = 0
    for value, label in listed:
        choice = Choice(value, label or labels.get(json.dumps(value)) or word_of(value))
        if messages_for(schema, value):
            left_out += 1
        else:
            choices.setdefault(choice.token, choice)
    parts = [said]
    if left_out:
        parts.append(
            ngettext("%(n)s option does not fit what the Dag asks for.", "%(n)s options do not fit what the Dag asks "
                     "for.", left_out) % {"n": left_out}
        )  # fmt: skip
    if not choices and not left_out:
        parts.append(_("There are no options."))
    return Offer(tuple(choices.values()), " ".join(part for part in parts if part))
