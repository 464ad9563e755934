"""The list filters of a query string, alike on pages, in the REST API, in exports and in the retry panel."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext as _

from panel.domain.index_expression import IndexExpression, MalformedIndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import TEXT_LENGTH, Selection
from panel.problems import BadRequest, Unprocessable

NAMES: Final = (
    "outcome", "indices", "label", "error_group", "try_number", "try_number_gte", "duration_gte", "duration_lte", "q",
)  # fmt: skip
"""The names of the filters; ``outcome`` and ``error_group`` may be repeated."""

_GROUP: Final = re.compile(r"[0-9a-f]{16}")
_TRY: Final = re.compile(r"[0-9]{1,6}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_CLOCK: Final = re.compile(r"(?:(\d{1,5})h)?\s*(?:(\d{1,6})m)?\s*(?:(\d{1,9}(?:\.\d{1,6})?)s)?", re.ASCII)


def selection_from(params: QueryDict) -> Selection:
    """The selection that these parameters mean; other parameters are none of its business, empty ones do not filter.

    ``indices`` may be repeated: ticked boxes send one each where no JavaScript gathers them.

    A duration is seconds, or ``1h 30m 15s`` as pages show it.

    Raises BadRequest for an unknown outcome, error group, try or duration, Unprocessable for a malformed index
    expression and for bounds that nothing can lie between.
    """
    selection = Selection(
        outcomes=frozenset(_outcome(value) for value in params.getlist("outcome") if value),
        indices=_indices(",".join(value for value in params.getlist("indices") if value)),
        error_groups=frozenset(_error_group(value) for value in params.getlist("error_group") if value),
        label=_text(params, "label"),
        try_number=_try_number(params, "try_number"),
        try_number_gte=_try_number(params, "try_number_gte"),
        duration_gte=_duration(params, "duration_gte"),
        duration_lte=_duration(params, "duration_lte"),
        q=_text(params, "q"),
    )
    if selection.is_contradictory:
        problem = _("The longest duration is below the shortest one.")
        raise Unprocessable(problem, {"duration_lte": [problem]})
    return selection


def query_of(selection: Selection) -> str:
    """The query string that gives this selection back, without a question mark."""
    pairs: list[tuple[str, str]] = [("outcome", outcome.value) for outcome in Outcome if outcome in selection.outcomes]
    if selection.indices:
        pairs.append(("indices", str(selection.indices)))
    if selection.label:
        pairs.append(("label", selection.label))
    pairs += [("error_group", group) for group in sorted(selection.error_groups)]
    for name in ("try_number", "try_number_gte", "duration_gte", "duration_lte"):
        bound = getattr(selection, name)
        if bound is not None:
            pairs.append((name, f"{bound:.6f}".rstrip("0").rstrip(".") if isinstance(bound, float) else str(bound)))
    if selection.q:
        pairs.append(("q", selection.q))
    return urlencode(pairs)


def _outcome(text: str) -> Outcome:
    try:
        return Outcome(text)
    except ValueError as error:
        known = ", ".join(Outcome)
        raise BadRequest(
            _("There is no such outcome."), {"outcome": [_("One of %(known)s.") % {"known": known}]}
        ) from error


def _indices(text: str) -> IndexExpression:
    try:
        return IndexExpression.parse(text)
    except MalformedIndexExpression as error:
        raise Unprocessable(_("The indices cannot be read."), {"indices": [str(error)]}) from error


def _error_group(text: str) -> str:
    if not _GROUP.fullmatch(text):
        raise BadRequest(_("There is no such error group."), {"error_group": [_("An id of 16 hex digits.")]})
    return text


def _try_number(params: QueryDict, name: str) -> int | None:
    text = (params.get(name) or "").strip()
    if not text:
        return None
    if not _TRY.fullmatch(text):
        raise BadRequest(_("There is no such try."), {name: [_("A number, 0 or above.")]})
    return int(text)


def _duration(params: QueryDict, name: str) -> float | None:
    text = (params.get(name) or "").strip().lower()
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        raise BadRequest(_("This duration cannot be read."), {name: [_("Seconds, or 1h 30m 15s.")]})
    hours, minutes, seconds = (float(part or 0) for part in clock.groups())
    return hours * 3600 + minutes * 60 + seconds


def _text(params: QueryDict, name: str) -> str:
    text = (params.get(name) or "").strip()
    if len(text) > TEXT_LENGTH:
        raise BadRequest(
            _("The text to search for is too long."),
            {name: [_("At most %(most)d characters.") % {"most": TEXT_LENGTH}]},
        )
    return text.replace("\x00", "")
