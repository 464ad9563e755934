"""Between typed values and the plain texts that stand for them in a link or in a table: ``1.2.3``, ``true``, ``4``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from panel.launches.entries import Entry, Unreadable, json_of_text, value_of_entry
from panel.launches.fields import LISTS, Choice, Field, Kind


def value_of_texts(one: Field, texts: Sequence[str]) -> Any:
    """The value that these texts mean for this field; several make a list. Raises Unreadable."""
    if one.kind is Kind.MULTI_SELECT:
        return [_chosen(one, text).value for text in texts if text]
    if one.kind in LISTS:
        return value_of_entry(one, Entry(text="\n".join(texts))) if any(texts) else []
    if len(texts) > 1:
        raise Unreadable(_("Only one value is possible here."))
    text = texts[0]
    if one.kind is Kind.ENUM:
        return None if not text and one.nullable else _chosen(one, text).value
    if one.kind is Kind.BOOLEAN:
        return _truth(one, text)
    if one.kind is Kind.OBJECT:
        return json_of_text(text)
    return value_of_entry(one, Entry(text=text))


def texts_of_value(one: Field, value: Any) -> list[str] | None:
    """What stands for this value in a link; ``None`` for "no value" where an empty text would be one."""
    if value is None:
        return None if one.asks_for_none else [""]
    if one.kind is Kind.MULTI_SELECT and isinstance(value, list):
        return [_text_of_choice(one, item) for item in value] or [""]
    if one.kind in LISTS and isinstance(value, list):
        return [item if isinstance(item, str) else json.dumps(item) for item in value] or [""]
    if one.kind is Kind.ENUM:
        return [_text_of_choice(one, value)]
    if one.kind in {Kind.JSON, Kind.OBJECT}:
        return [json.dumps(value, ensure_ascii=False, separators=(",", ":"))]
    return [value if isinstance(value, str) else json.dumps(value)]


def _truth(one: Field, text: str) -> bool | None:
    if not text and one.nullable:
        return None
    if text not in {"true", "false"}:
        raise Unreadable(_("Either true or false."))
    return text == "true"


def _chosen(one: Field, text: str) -> Choice:
    for way in ("token", "plain", "label"):
        for choice in one.choices:
            if getattr(choice, way) == text:
                return choice
    raise Unreadable(_("This is not one of the choices."))


def _text_of_choice(one: Field, value: Any) -> str:
    """Plainly, unless another choice looks the same: the text "1" beside the number."""
    plain = Choice(value, "").plain
    alike = [choice for choice in one.choices if plain in (choice.plain, choice.token)]
    return plain if len(alike) <= 1 else json.dumps(value)
