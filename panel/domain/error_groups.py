"""Error groups: failures whose type and message agree once numbers, ids, paths, addresses and dates are masked."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_MASKS: Final = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "<date>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "<ip>"),
        (r"\b[a-z][a-z0-9+.-]*://[^\s'\"]+", "<url>"),
        (r"(?<![\w<])/(?:[\w.@+-]+/)+[\w.@+-]*", "<path>"),
        (r"\b0x[0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{12,}\b", "<hex>"),
        (r"\d+(?:[.,]\d+)*", "<n>"),
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
