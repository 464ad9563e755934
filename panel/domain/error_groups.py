"""Error groups: failures whose type and message agree once numbers, ids, paths, addresses and dates are masked."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_MASKS: Final = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?Z| ?UTC|[+-]\d\d:?\d\d)?)?", "<date>"),
        (r"\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b", "<time>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "<ip>"),
        # IPv6: all eight groups, or fewer around one "::"
        (r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b", "<ip>"),
        (r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){0,6}[0-9a-fA-F]{0,4}::(?:[0-9a-fA-F]{1,4}:){0,6}[0-9a-fA-F]{1,4}\b", "<ip>"),
        (r"\b[a-z][a-z0-9+.-]*://[^\s'\"]+", "<url>"),
        (r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<email>"),
        (r"(?<![\w<])/(?:[\w.@+=%-]+/)+[\w.@+=%-]*|\b[A-Za-z]:\\[\w.\\@+=%-]+", "<path>"),
        # what a database says of a key, and what an SQL statement was given
        (r"(?<=\)=)\([^()]{1,300}\)", "(<value>)"),
        (r"\[parameters: .*?[)}\]]\](?= |$)", "[parameters: <value>]"),
        # quoted text; but a quoted name (column, key) and what JSON says under a key tell errors apart
        (r"(?<!['\"]: )(?<![\w'])'(?=[^'<]*[^\w.:/'<-])[^'<]{1,300}'(?![\w'])", "'<text>'"),
        (r'(?<![\'"]: )(?<![\w"])"(?=[^"<]*[^\w.:/"<-])[^"<]{1,300}"(?![\w"])', '"<text>"'),
        (r"\b0x[0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{12,}\b", "<hex>"),
        # names of Kubernetes pods; random tokens, in which letters and digits alternate
        (r"-[bcdfghj-np-tv-xz2-9]{8,10}-[bcdfghj-np-tv-xz2-9]{5}\b", "-<id>"),
        (r"(?<![^\W_])(?=\w{4})(?:[A-Za-z]+\d+[A-Za-z]+\d|\d+[A-Za-z]+\d)[A-Za-z0-9]*(?![^\W_])", "<id>"),
        (r"\d+(?:[.,]\d+)*", "<n>"),
        (r"<(n|id|hex|text|value)>(?:, <\1>)+", r"<\1>, …"),
        (r"(['\"])<text>\1(?:, \1<text>\1)+", r"\1<text>\1, …"),
    )
)
_MASKED_LENGTH: Final = 500


def masked(message: str) -> str:
    """The message with its variable parts masked, at most 500 characters of its first 2,000."""
    text = " ".join(message[:2_000].split())
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text[:_MASKED_LENGTH]


def group_id(outcome: str, error_type: str, message: str) -> str:
    """The id of the group this failure belongs to: 16 hex digits, the same wherever and whenever it is derived."""
    key = "\x1f".join((outcome, error_type, masked(message)))
    return hashlib.sha256(key.encode()).hexdigest()[:16]
