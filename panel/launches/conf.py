"""Checks everything a launch gives to a Dag at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.utils.translation import gettext as _

from panel.launches.fields import Field
from panel.launches.models import Backfill, Launch
from panel.launches.validation import messages_for, unsendable

MOST_UNKNOWN: Final = 20


def conf_errors(fields: Sequence[Field], params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Messages by param: what does not fit, what is missing, what the Dag has no param for."""
    errors: dict[str, list[str]] = {}
    for field in fields:
        if field.name in params:
            messages = messages_for(field.schema, params[field.name])
            if messages and field.is_secret:
                messages = [_("This does not fit what the Dag asks for here.")]  # others may say the value
        else:
            messages = [_("Fill this in.")] if field.required else []
        if messages:
            errors[field.name] = messages
    for name in unknown_names(fields, params)[:MOST_UNKNOWN]:
        errors[name[:200]] = [_("The Dag has no such param.")]
    return errors


def unknown_names(fields: Sequence[Field], params: Mapping[str, Any]) -> list[str]:
    """Params that the Dag does not name."""
    return sorted(set(params) - {field.name for field in fields})


def unsendable_params(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """What can be said about params without knowing the Dag's form: what no server could take."""
    return {
        name[:200]: [problem] for name, value in params.items() if (problem := unsendable(name) or unsendable(value))
    }


def digest(*parts: Any) -> str:
    """A hash over JSON values that tells 4 from 4.0 and from "4"."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def secret_names(fields: Sequence[Field]) -> list[str]:
    """The params whose values are shown nowhere."""
    return [field.name for field in fields if field.is_secret]


def secret_texts(launch: Launch | Backfill) -> list[str]:
    """The secret values of a launch as others may write them, the longest first."""
    params = launch.params
    values = [params[name] for name in launch.secret_params if params.get(name) not in (None, "", True, False)]
    texts = {
        text for value in values for text in ({value} if isinstance(value, str) else {json.dumps(value), str(value)})
    }
    quoted = {repr(text)[1:-1] for text in texts}
    return sorted(texts | quoted, key=len, reverse=True)
