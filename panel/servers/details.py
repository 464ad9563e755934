"""What a person says about a server, checked the same way for the page and the command."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Final

from django.utils.translation import gettext as _

from panel.airflow import MOST_IN_FLIGHT, checked_base_url
from panel.problems import Unprocessable
from panel.servers.models import Server

SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
LONGEST_CA: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class ServerDetails:
    """A server as entered. An empty ``secret`` keeps the one that is stored."""

    name: str
    base_url: str
    authentication: Server.Authentication
    username: str = ""
    secret: str = field(default="", repr=False)
    ca_pem: str = ""
    max_in_flight: int = 4


def checked_slug(slug: str) -> str:
    """Raises Unprocessable with ``slug``."""
    if not SLUG.fullmatch(slug):
        message = _("Lower-case letters, digits and dashes, at most 50, beginning and ending with a letter or digit.")
        raise Unprocessable(_("This short name cannot be used."), {"slug": [message]})
    return slug


def checked_details(details: ServerDetails, *, secret_stored: bool) -> ServerDetails:
    """The details with base URL and certificate in their kept form. Raises Unprocessable with ``fields``."""
    errors: dict[str, list[str]] = {}
    base_url = details.base_url
    try:
        base_url = checked_base_url(details.base_url)
    except ValueError as error:
        errors["base_url"] = [str(error)]
    if len(base_url) > 500:
        errors["base_url"] = [_("At most 500 characters.")]
    if details.authentication not in Server.Authentication.values:
        errors["authentication"] = [_("Either “password” or “token”.")]
    if details.authentication == Server.Authentication.PASSWORD and not details.username.strip():
        errors["username"] = [_("Needed to log in with a password.")]
    if len(details.username) > 200:
        errors["username"] = [_("At most 200 characters.")]
    if not details.secret and not secret_stored:
        errors["secret"] = [_("Enter the password or the token.")]
    if details.secret and not _fits_a_header(details):
        errors["secret"] = [_("A token holds no spaces, line breaks or letters beyond ASCII.")]
    if not details.name.strip() or len(details.name) > 100:
        errors["name"] = [_("Between 1 and 100 characters.")]
    if not 1 <= details.max_in_flight <= MOST_IN_FLIGHT:
        errors["max_in_flight"] = [_("Between 1 and %(most)d.") % {"most": MOST_IN_FLIGHT}]
    if problem := _certificate_problem(details.ca_pem):
        errors["ca_pem"] = [problem]
    if errors:
        raise Unprocessable(_("The server was not saved: some fields are not right."), errors)
    return ServerDetails(
        name=details.name.strip(),
        base_url=base_url,
        authentication=Server.Authentication(details.authentication),
        username=details.username.strip() if details.authentication == Server.Authentication.PASSWORD else "",
        secret=details.secret,
        ca_pem=details.ca_pem.strip(),
        max_in_flight=details.max_in_flight,
    )


def _fits_a_header(details: ServerDetails) -> bool:
    if details.authentication == Server.Authentication.PASSWORD:
        return True
    return all("!" <= character <= "~" for character in details.secret)


def _certificate_problem(pem: str) -> str | None:
    if not pem.strip():
        return None
    if len(pem) > LONGEST_CA:
        return _("At most 256 kB.")
    if "PRIVATE KEY" in pem:
        return _("This holds a private key. Only the certificate is needed; do not give the key away.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        return _("Not a certificate in PEM form (-----BEGIN CERTIFICATE-----).")
    if not context.get_ca_certs():
        return _("No certificate of an authority (CA) is in it.")
    return None
