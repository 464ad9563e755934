"""Addresses: the base URL of a server, and paths under it with every id quoted."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from panel.airflow.errors import NotFound

API: Final = "/api/v2"


def checked_base_url(base_url: str) -> str:
    """The base URL without its last slash. Raises ValueError with a sentence fit for a form.

    http or https, a host, perhaps a port and a path prefix; no user name, query or fragment.
    """
    text = base_url.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError("The base URL cannot be read.") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError("The base URL must begin with http:// or https://.")
    if not parts.hostname:
        raise ValueError("The base URL names no host.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The base URL must not hold a user name or a password.")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("The base URL must not hold “?” or “#”.")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("The base URL must not hold spaces.")
    return text.rstrip("/")


def path(*segments: str | int) -> str:
    """A path under the base URL. The first segment is a fixed path; the others are ids or words and are quoted whole.

    ``path(API, "dags", "a/b")`` is ``/api/v2/dags/a%2Fb``. Raises NotFound for an id that no path can carry: an
    empty one, and the dots that would climb out of the path.
    """
    fixed, *rest = segments
    for segment in rest:
        if segment in ("", ".", ".."):
            raise NotFound(404, f"No id can be “{segment}”.")
    return "/".join((str(fixed), *(quote(str(segment), safe="") for segment in rest)))
