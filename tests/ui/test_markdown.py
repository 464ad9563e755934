"""Markdown of strangers: what it may become on our pages, and what it may not."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.template import engines

from panel.ui.markdown import LONGEST, rendered


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bold** and `code`", "<p><strong>bold</strong> and <code>code</code></p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("3. c", '<ol start="3">\n<li>c</li>\n</ol>'),
        ("a  \nb", "<p>a<br>\nb</p>"),
        (
            "[docs](https://docs.example/a?b=1&c=2)",
            '<p><a href="https://docs.example/a?b=1&amp;c=2" rel="noopener noreferrer nofollow">docs</a></p>',
        ),
        ("# A heading", "<p><strong>A heading</strong></p>"),
        ("![a <picture>](https://tracker.example/x.png)", "<p>a &lt;picture&gt;</p>"),
    ],
)
def test_it_becomes_plain_html(text, html):
    assert rendered(text).strip() == html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt&colon;alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "<javascript:alert(1)>",
        '[a](https://x.example "t\\" onmouseover=alert(1) x=\\"")',
        "[a]: javascript:alert(1)\n\n[a]",
        "`<script>`",
        "<style>*{display:none}</style>",
        '<a href="https://x.example" style="position:fixed">x</a>',
        "```html\n<iframe src=//x.example></iframe>\n```",
    ],
)
def test_nothing_in_it_runs_or_reaches_out(text):
    found = Elements()
    found.feed(rendered(text))
    assert found.tags <= {"p", "a", "code", "pre"}
    assert {name for name, _value in found.attributes} <= {"rel", "href", "title"}
    assert {value for name, value in found.attributes if name == "href"} <= {"https://x.example"}


class Elements(HTMLParser):
    """What a browser would make elements of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)


def test_a_text_too_long_to_render_is_shown_escaped_as_it_stands():
    text = "<b>" + "*" * LONGEST
    shown = engines["django"].from_string("{{ text|markdown }}").render({"text": text})
    assert shown == "&lt;b&gt;" + "*" * LONGEST
