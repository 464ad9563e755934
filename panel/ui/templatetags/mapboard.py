"""Template tags and filters of every page (a builtin library: no ``{% load %}`` needed). docs/ui.md shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from panel.domain.histories import Pattern
from panel.domain.outcomes import Outcome
from panel.ui import looks, words
from panel.ui.bars import bar_of
from panel.ui.markdown import rendered

register = template.Library()


# ── Times and numbers ────────────────────────────────────────────────────────────────────────────────────────────
@register.filter
def ago(moment: datetime | None) -> str | SafeString:
    """``3 s ago``, kept ticking by static/js/times.js; the absolute time is its title."""
    if moment is None:
        return words.NOTHING
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        _utc(moment),
        _absolute(moment),
        words.ago_words(moment),
    )


@register.filter
def when(moment: datetime | None) -> str | SafeString:
    """The absolute time, turned into the viewer's zone by static/js/times.js."""
    if moment is None:
        return words.NOTHING
    return format_html('<time datetime="{}" data-local>{}</time>', _utc(moment), _absolute(moment))


@register.filter
def clock(moment: datetime) -> SafeString:
    """The time of day alone, for log lines; the whole on hover, both in the viewer's zone."""
    return format_html(
        '<time datetime="{}" title="{}" data-clock>{}</time>',
        moment.astimezone(UTC).isoformat(timespec="milliseconds"),
        _absolute(moment),
        timezone.localtime(moment).strftime("%H:%M:%S"),
    )


@register.filter
def markdown(text: str) -> str | SafeString:
    """A text in markdown as harmless HTML (panel/ui/markdown.py)."""
    return rendered(text)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _absolute(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")


@register.filter
def duration(seconds: float | timedelta | None) -> str:
    return words.duration_words(seconds)


@register.filter
def round_duration(seconds: float) -> str:
    return words.round_words(seconds)


@register.filter
def pace(per_minute: float | None) -> str:
    return words.pace_words(per_minute)


@register.simple_tag
def between(low: float, high: float) -> str:
    """``6–8 min``: the bounds of a guess, rounded outwards."""
    return words.between_words(low, high)


@register.filter
def grouped(number: float | None) -> str:
    return words.grouped_words(number)


@register.filter
def amount(number: float | None) -> str:
    return words.amount_words(number)


@register.filter
def change(rate: float) -> str:
    return words.change_words(rate)


@register.filter
def percent(rate: float | None) -> str:
    return words.percent_words(rate)


@register.filter
def limit(rate: float | None) -> str:
    return words.limit_words(rate)


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────
@register.filter
def middle(text: object, length: int = 40) -> str:
    return words.cut_in_the_middle(str(text), length)


@register.simple_tag
def ident(text: object, length: int = 40) -> SafeString:
    """An id cut in the middle, whole on hover and to screen readers' title."""
    whole = str(text)
    return format_html('<span class="ident" title="{}">{}</span>', whole, words.cut_in_the_middle(whole, length))


@register.filter
def pretty_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def one_line_json(value: Any, length: int = 200) -> str:
    """A value as it would stand in a list: one line, cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= length else f"{text[:length]}…"


@register.filter
def item(mapping: Mapping[str, Any], key: str) -> Any:
    """``mapping[key]``, or nothing."""
    return mapping.get(key)


# ── States ───────────────────────────────────────────────────────────────────────────────────────────────────────
@register.inclusion_tag("components/badge.html")
def outcome_badge(outcome: str, short: bool = False) -> dict[str, Any]:
    look = looks.outcome_look(outcome)
    return {"look": look, "word": looks.outcome_word_short(outcome) if short else look.word}


@register.inclusion_tag("components/badge.html")
def state_badge(state: str | None) -> dict[str, Any]:
    """The state of a Dag run, task instance, retry job, item of one, or launch."""
    look = looks.state_look(state)
    return {"look": look, "word": look.word}


@register.filter
def or_marked(state: str, marks_as: str) -> str:
    """An item's state, with the word for it in a job that marks: there nothing recovers, it is marked."""
    return "marked" if marks_as and state == "recovered" else state


@register.simple_tag
def outcome_icon(outcome: str) -> SafeString:
    """The icon in its colour, with the word for screen readers and on hover."""
    look = looks.outcome_look(outcome)
    return format_html(
        '<span class="badge tone-{}" title="{}"><svg class="icon" aria-hidden="true" focusable="false">'
        '<use href="#{}"></use></svg><span class="visually-hidden">{}</span></span>',
        look.tone,
        look.word,
        look.symbol,
        look.word,
    )


@register.simple_tag
def instance_state_hint(outcome: str, state: str) -> str | SafeString:
    """Airflow's word where it says more than the outcome: ``queued`` of a waiting one."""
    word = looks.state_look(state).word
    if outcome not in {Outcome.WAITING, Outcome.RUNNING} or str(word) == str(looks.outcome_look(outcome).word):
        return ""
    return format_html(' <span class="muted small">{}</span>', word)


@register.simple_tag
def icon(name: str) -> SafeString:
    """One of templates/components/icons.html, for the eye only."""
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="#icon-{}"></use></svg>', name)


@register.filter
def pattern_word(pattern: Pattern) -> looks.Text:
    return looks.PATTERNS[pattern][0]


@register.filter
def pattern_meaning(pattern: Pattern) -> looks.Text:
    return looks.PATTERNS[pattern][1]


@register.filter
def outcome_word(outcome: str) -> looks.Text:
    return looks.outcome_look(outcome).word


# ── Counts ───────────────────────────────────────────────────────────────────────────────────────────────────────
@register.inclusion_tag("components/bar.html")
def outcome_bar(counts: Mapping[str, int], total: int | None = None, tall: bool = False) -> dict[str, Any]:
    """A stacked bar of ``{outcome: n}``; ``removed`` is left out as it is from totals."""
    shown = [(o.value, looks.OUTCOMES[o], counts.get(o, 0)) for o in Outcome if o is not Outcome.REMOVED]
    return {"bar": bar_of(shown, total), "tall": tall}


@register.inclusion_tag("components/bar.html")
def state_bar(counts: Mapping[str, int], total: int | None = None, tall: bool = False) -> dict[str, Any]:
    """A stacked bar of ``{state: n}`` in the mapping's order: the progress of a retry job."""
    shown = [(state, looks.state_look(state), count) for state, count in counts.items()]
    return {"bar": bar_of(shown, total), "tall": tall}


@register.inclusion_tag("components/bar.html")
def share_bar(count: int, largest: int, outcome: str) -> dict[str, Any]:
    """How large one count is beside the largest."""
    return {"bar": bar_of([(outcome, looks.outcome_look(outcome), count)], largest), "tall": False}


@register.inclusion_tag("components/legend.html")
def outcome_legend(counts: Mapping[str, int]) -> dict[str, Any]:
    """The counts that are not zero, as icon and number, for narrow places."""
    return {"parts": _present((looks.OUTCOMES[o], counts.get(o, 0)) for o in Outcome)}


@register.inclusion_tag("components/legend.html")
def state_legend(counts: Mapping[str, int]) -> dict[str, Any]:
    return {"parts": _present((looks.state_look(state), count) for state, count in counts.items())}


def _present(pairs: Iterable[tuple[looks.Look, int]]) -> list[dict[str, Any]]:
    return [{"look": look, "count": count} for look, count in pairs if count]


@register.inclusion_tag("components/tile.html")
def outcome_tile(outcome: str, count: int, href: str, *, selected: bool = False, target: str = "") -> dict[str, Any]:
    """A count that is a filter. ``target`` is the id of the part of the page that htmx swaps."""
    return {
        "look": looks.outcome_look(outcome),
        "word": looks.outcome_word_short(outcome),
        "outcome": outcome,
        "count": count,
        "href": href,
        "selected": selected,
        "target": target,
    }


@register.inclusion_tag("components/tile.html")
def state_tile(state: str, count: int, href: str = "", *, selected: bool = False, target: str = "") -> dict[str, Any]:
    look = looks.state_look(state)
    return {
        "look": look,
        "word": look.word,
        "outcome": state,
        "count": count,
        "href": href,
        "selected": selected,
        "target": target,
    }


# ── Freshness, sorting, places ───────────────────────────────────────────────────────────────────────────────────
@register.inclusion_tag("components/freshness.html")
def freshness(
    synced_at: datetime | None, server: Any = None, *, live: bool = False, oob: bool = False
) -> dict[str, Any]:
    """How old the page's data is; says so when the server cannot be reached. One a page (id ``freshness``)."""
    return {
        "synced_at": synced_at,
        "live": live,
        "oob": oob,
        "down": server is not None and server.healthy is False,
        "since": getattr(server, "unreachable_since", None) or getattr(server, "last_error_at", None),
        "error": getattr(server, "last_error", ""),
        "server_name": getattr(server, "name", ""),
    }


@register.inclusion_tag("components/sort_header.html", takes_context=True)
def sort_header(
    context: RequestContext, field: str, label: str, ordering: str, target: str = "", css: str = ""
) -> dict[str, Any]:
    """A column head that sorts: first ascending, then descending; the list starts again at its first page."""
    ascending, descending = ordering == field, ordering == f"-{field}"
    query = context["request"].GET.copy()
    query.pop("cursor", None)
    query["ordering"] = f"-{field}" if ascending else field
    return {
        "field": field,
        "label": label,
        "href": f"{context['request'].path}?{query.urlencode()}",
        "direction": "ascending" if ascending else "descending" if descending else "none",
        "hint": _("sorted ascending") if ascending else _("sorted descending") if descending else "",
        "target": target,
        "css": css,
    }


@register.inclusion_tag("components/pager.html", takes_context=True)
def pager(context: RequestContext, page: Any, target: str = "") -> dict[str, Any]:
    """Links to the keyset pages beside this one (a ``panel.keyset.Page``)."""

    def link(cursor: str | None) -> str:
        if cursor is None:
            return ""
        query = context["request"].GET.copy()
        query["cursor"] = cursor
        return f"{context['request'].path}?{query.urlencode()}"

    return {"next": link(page.next_cursor), "previous": link(page.previous_cursor), "target": target}
