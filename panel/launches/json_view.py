"""All values of a launch form as one JSON text, for those who would rather paste than click. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from django.utils.translation import gettext as _

from panel.launches.conf import digest, unknown_names
from panel.launches.entries import Unreadable, entry_of_value, instant_of, json_of_text, value_of_entry
from panel.launches.fields import Field, Kind


def json_text(values: Mapping[str, Any], fields: Sequence[Field]) -> str:
    """The values without the secret ones, which are never written into a page."""
    hidden = {field.name for field in fields if field.is_secret}
    shown = {name: value for name, value in values.items() if name not in hidden}
    return json.dumps(shown, indent=2, ensure_ascii=False)


def values_of_json(text: str) -> dict[str, Any]:
    """The params in a text. Raises Unreadable."""
    values = json_of_text(text or "{}")
    if not isinstance(values, dict):
        raise Unreadable(_("Write one JSON object: the params by name, in braces."))
    return values


def not_for_fields(values: Mapping[str, Any], fields: Sequence[Field], zone: tzinfo) -> list[str]:
    """Names of values that the fields cannot hold: what is not a param, and what a control would change."""
    given = [field for field in fields if field.name in values and not field.is_secret]
    changed = [field.name for field in given if not _is_held(field, values[field.name], zone)]
    return unknown_names(fields, values) + changed


def _is_held(field: Field, value: Any, zone: tzinfo) -> bool:
    try:
        back = value_of_entry(field, entry_of_value(field, value, zone))
    except Unreadable:
        return value is None or value == ""  # an empty control, with a message beside it
    if field.kind is Kind.DATE_TIME and instant_of(value):
        return instant_of(back) == instant_of(value)
    return digest(back) == digest(value)
