"""What a field asks for, said before somebody gets it wrong."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.launches.fields import Field, Kind


def hints_of(field: Field) -> list[str]:
    """Short sentences about kind and limits, besides the Dag's own help."""
    hints = [_kind_hint(field), *_range_hints(field.limits), *_size_hints(field.limits)]
    return [hint for hint in hints if hint]


def _kind_hint(field: Field) -> str:
    if field.is_secret:
        return (
            _("Never shown again. Empty: the Dag's own value.")
            if field.default is not None
            else _("Never shown again.")
        )
    hints = {
        Kind.STRINGS: _("One item a line."),
        Kind.NUMBERS: _("One number a line."),
        Kind.JSON: _("As JSON: text in double quotes, null for no value."),
        Kind.CONST: _("Always this value."),
    }
    return hints.get(field.kind, "")


def _range_hints(limits: dict[str, Any]) -> list[str]:
    low, high = limits.get("minimum"), limits.get("maximum")
    if low is not None and high is not None:
        hints = [_("From %(low)s to %(high)s.") % {"low": low, "high": high}]
    elif low is not None:
        hints = [_("%(low)s or more.") % {"low": low}]
    elif high is not None:
        hints = [_("%(high)s or less.") % {"high": high}]
    else:
        hints = []
    if "exclusiveMinimum" in limits:
        hints.append(_("More than %(low)s.") % {"low": limits["exclusiveMinimum"]})
    if "exclusiveMaximum" in limits:
        hints.append(_("Less than %(high)s.") % {"high": limits["exclusiveMaximum"]})
    if "multipleOf" in limits:
        hints.append(_("A multiple of %(step)s.") % {"step": limits["multipleOf"]})
    return hints


def _size_hints(limits: dict[str, Any]) -> list[str]:
    hints = []
    if isinstance(least := limits.get("minLength"), int) and least > 0:
        hints.append(ngettext("At least %(n)d character.", "At least %(n)d characters.", least) % {"n": least})
    if isinstance(most := limits.get("maxLength"), int):
        hints.append(ngettext("At most %(n)d character.", "At most %(n)d characters.", most) % {"n": most})
    if isinstance(least := limits.get("minItems"), int) and least > 0:
        hints.append(ngettext("At least %(n)d item.", "At least %(n)d items.", least) % {"n": least})
    if isinstance(most := limits.get("maxItems"), int):
        hints.append(ngettext("At most %(n)d item.", "At most %(n)d items.", most) % {"n": most})
    if isinstance(pattern := limits.get("pattern"), str):
        hints.append(_("Must match %(pattern)s") % {"pattern": pattern[:300]})
    return hints
