"""Texts in a form that both databases can hold."""

from __future__ import annotations


def plain(text: str | None, length: int | None = None) -> str:
    """The text cut to ``length``, without NUL (PostgreSQL refuses it) and without lone surrogates."""
    cut = (text or "")[:length]
    if cut.isascii() and "\x00" not in cut:
        return cut
    return cut.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
