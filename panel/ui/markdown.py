"""Markdown that others wrote, as HTML that can do no harm: the one place where HTML is made from a text.

The markdown comes from the authors of Dags (Airflow's ``description_md``) and from our admins. HTML inside it is shown
as text, pictures are left out (they would be fetched from anywhere), and what was rendered passes a sanitiser with a
short list of what may stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.token import Token

LONGEST: Final = 20_000
"""Characters that are rendered; a longer text is shown as it was written."""

_TAGS: Final = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


def _heading_opened(_self: object, _tokens: Sequence[Token], _place: int, *_more: object) -> str:
    return "<p><strong>"


def _heading_closed(_self: object, _tokens: Sequence[Token], _place: int, *_more: object) -> str:
    return "</strong></p>\n"


def _picture(_self: object, tokens: Sequence[Token], place: int, *_more: object) -> str:
    return escape(tokens[place].content)


_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_MARKDOWN.add_render_rule("heading_open", _heading_opened)
_MARKDOWN.add_render_rule("heading_close", _heading_closed)
_MARKDOWN.add_render_rule("image", _picture)


def rendered(text: str) -> SafeString | str:
    """HTML of a markdown text; the text itself when it is too long.

    Headings become bold lines: a help text must not change the outline of the page it stands in.
    """
    if len(text) > LONGEST:
        return text
    html = _MARKDOWN.render(text)
    return SafeString(  # it has passed the sanitiser
        nh3.clean(
            html,
            tags=_TAGS,
            attributes={"a": {"href"}, "ol": {"start"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
    )
