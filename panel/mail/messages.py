"""A mail as Mapboard writes them: plain text, the same as HTML, one line of subject, an id that stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

LONGEST_SUBJECT: Final = 200


def message(
    *, to: str, subject: str, lines: Iterable[str], template: str, context: dict[str, Any], name: str
) -> EmailMultiAlternatives:
    """``name`` makes the Message-ID: a repetition of the same mail has the same one. The template is the HTML part; in
    the plain lines there is no markup, so nothing is escaped."""
    host = urlsplit(settings.MAPBOARD_URL).hostname or "mapboard.invalid"
    built = EmailMultiAlternatives(
        # In one line whatever the texts hold: a line break would be a header of its own.
        subject=" ".join(f"[Mapboard] {subject}".split())[:LONGEST_SUBJECT],
        body="\n".join(lines),
        to=[to],
        headers={"Message-ID": f"<{name}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    built.attach_alternative(render_to_string(template, context), "text/html")
    return built


def absolute(path: str) -> str:
    """The address of a page for somebody who reads mail; ``""`` while nobody has said where Mapboard is."""
    return f"{settings.MAPBOARD_URL}{path}" if settings.MAPBOARD_URL else ""
