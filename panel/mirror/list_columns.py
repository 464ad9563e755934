"""The columns of the list on the page of a mapped task: those that are always there, and those that one chooses.

Cells are put together here and not in a template: a list has hundreds, and a page must be quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from panel.mirror.instance_lists import ListedInstance
from panel.mirror.models import MappedTask
from panel.mirror.result_fields import columns_of
from panel.problems import BadRequest
from panel.ui import looks, words
from panel.ui.templatetags.mapboard import ago, ident, instance_state_hint, one_line_json

Cell = str | SafeString

_OOB: Final = SafeString(' hx-swap-oob="true"')


@dataclass(frozen=True, slots=True)
class Column:
    """``name`` is that of the URL; ``ordering`` that of instance_lists.ORDERINGS, "" where nothing sorts by it."""

    name: str
    title: str
    cell: Callable[[ListedInstance], Cell]
    ordering: str = ""
    css: str = ""
    named: bool = False
    """Whether a card on the phone says its title."""

    @property
    def head_css(self) -> str:
        return "number" if "number" in self.css else ""


class RowPainter:
    """Table rows of instances under these columns; ``page_url`` is the path of the mapped task's page."""

    def __init__(self, columns: Sequence[Column], page_url: str) -> None:
        self._page_url = page_url
        self._cells = [column.cell for column in columns]
        self._row = (
            '<tr id="row-{index}" data-rev="{revision}"{swap}><td class="tick"><label>'
            '<input type="checkbox" name="indices" value="{index}" data-index="{index}" id="pick-{index}"'
            ' aria-label="{select}"></label></td>'
            '<th scope="row" class="number index"><a href="{page}{index}/" id="open-{index}">{index}</a></th>'
            f"{''.join(self._opening(column) + '{}</td>' for column in columns)}</tr>"
        )
        self._select = _("Select index %(index)s")

    def row(self, instance: ListedInstance, *, revision: str, oob: bool = False) -> SafeString:
        """``oob``: as htmx puts it in place of the row with the same id."""
        return format_html(
            self._row,
            *[cell(instance) for cell in self._cells],
            index=instance.map_index,
            revision=revision,
            swap=_OOB if oob else "",
            select=self._select % {"index": instance.map_index},
            page=self._page_url,
        )

    @staticmethod
    def _opening(column: Column) -> str:
        """A part of the format of a row: names of result fields may hold anything."""
        if column.named:
            tag = format_html('<td class="{}" data-label="{}">', column.css, column.title)
        else:
            tag = format_html('<td class="{}">', column.css)
        return tag.replace("{", "{{").replace("}", "}}")


def columns(mapped_task: MappedTask, chosen: Sequence[str]) -> list[Column]:
    """The columns to be shown, in order. Raises BadRequest for a name there is not."""
    optional = optional_columns(mapped_task)
    unknown = [name for name in chosen if name not in optional]
    if unknown:
        known = ", ".join(optional)
        raise BadRequest(_("There is no such column."), {"columns": [_("Any of %(known)s.") % {"known": known}]})
    shown = [optional[name] for name in optional if name in chosen]
    return [*_usual(), *shown, _result()]


def optional_columns(mapped_task: MappedTask) -> dict[str, Column]:
    """Those one may add, by name: a column of the instances, or a numeric field of the results."""
    found = [
        Column("end_date", _("ended"), lambda row: _ago(row.end_date), "end_date", "nowrap added", named=True),
        Column("queue_wait", _("queue wait"), _queue_wait, css="number added", named=True),
        Column("state", _("state in Airflow"), lambda row: row.state, css="nowrap added", named=True),
        Column("error_frame", _("raised at"), lambda row: _clipped(row.error_frame, 80), css="clip mono", named=True),
        Column("note", _("note"), lambda row: _clipped(row.note, 200), css="clip", named=True),
    ]
    found += [_number(name, column) for name, column in columns_of(mapped_task).items()]
    return {column.name: column for column in found}


def _usual() -> list[Column]:
    return [
        Column("label", _("label"), lambda row: ident(row.label, 44) if row.label else "", "label", "label"),
        Column("outcome", _("outcome"), _outcome, "outcome", "nowrap outcome"),
        Column("try_number", _("try"), lambda row: str(row.try_number), "try_number", "number tries", named=True),
        Column("start_date", _("started"), lambda row: _ago(row.start_date), "start_date", "nowrap started"),
        Column("duration", _("duration"), lambda row: _duration(row.duration), "duration", "number push"),
    ]


def _result() -> Column:
    return Column("message", _("error / result"), _message, css="clip grow")


def _number(name: str, column: str) -> Column:
    return Column(column, name, lambda row: _amount(getattr(row, column)), column, "number added", named=True)


def _outcome(row: ListedInstance) -> SafeString:
    return format_html("{}{}", _badge(row.outcome, get_language()), instance_state_hint(row.outcome, row.state))


@cache
def _badge(outcome: str, _language: str | None) -> SafeString:
    look = looks.outcome_look(outcome)
    return format_html(
        '<span class="badge tone-{}"><svg class="icon" aria-hidden="true" focusable="false">'
        '<use href="#{}"></use></svg>{}</span>',
        look.tone,
        look.symbol,
        look.word,
    )


def _ago(moment: datetime | None) -> Cell:
    return ago(moment) if moment else ""


def _amount(number: float | None) -> str:
    return "" if number is None else words.amount_words(number)


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else words.duration_words(seconds)


def _queue_wait(row: ListedInstance) -> str:
    if row.queued_at is None or row.start_date is None:
        return ""
    return words.duration_words(max(0.0, (row.start_date - row.queued_at).total_seconds()))


def _clipped(text: str, length: int) -> Cell:
    return format_html('<span title="{}">{}</span>', text[:1000], text[:length]) if text else ""


def _message(row: ListedInstance) -> Cell:
    if row.error_type or row.error_message:
        kind = (
            format_html("<strong>{}</strong> ", words.cut_in_the_middle(row.error_type, 60)) if row.error_type else ""
        )
        return format_html('<span title="{}">{}{}</span>', row.error_message[:1000], kind, row.error_message[:300])
    if row.result_state == "read":
        return format_html('<span class="mono muted">{}</span>', one_line_json(row.result))
    return format_html('<span class="muted">{}</span>', row.result_reason) if row.result_reason else ""
