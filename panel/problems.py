"""What a service raises when it will not do what was asked; pages and API answer it alike."""

from __future__ import annotations

from collections.abc import Mapping


class Problem(Exception):
    """Said to the person who asked.

    ``message`` is a sentence fit for a page, ``fields`` hold messages by the (dotted) name of the field they are
    about, ``code`` is for programs.
    """

    http_status = 400
    default_code = "bad_request"

    def __init__(self, message: str, fields: Mapping[str, list[str]] | None = None, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})
        self.code = code or self.default_code


class BadRequest(Problem):
    """An unknown filter, a bad cursor."""


class Unprocessable(Problem):
    """It reads, but does not make sense."""

    http_status = 422
    default_code = "invalid"


class Conflicting(Problem):
    """It contradicts what is there."""

    http_status = 409
    default_code = "conflict"


class TooMany(Problem):
    """Later, or less. ``retry_after_seconds``: when it may be asked again; 0 where waiting does not help."""

    http_status = 429
    default_code = "too_many"

    def __init__(self, message: str, *, code: str = "", retry_after_seconds: int = 0) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds
