"""What ``manage.py check`` says about this install beyond Django's own checks. docs/deployment.md lists the ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections
from django.utils.translation import gettext as _

from panel.servers.encryption import SecretUnreadable, decrypt
from panel.servers.models import Server


@register(Tags.security)
def answers_over_tls(**_kwargs: Any) -> list[CheckMessage]:
    if not settings.IN_PRODUCTION or settings.BEHIND_TLS:
        return []
    return [
        CheckWarning(
            _("MAPBOARD_BEHIND_TLS is off in production: logins and session cookies travel in the clear."),
            hint=_("Put a proxy that speaks TLS in front and take MAPBOARD_BEHIND_TLS away (it is on by default)."),
            id="mapboard.W001",
        )
    ]


@register(Tags.database)
def stored_secrets_are_readable(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Runs with ``check --database default`` and before ``migrate``; there may be no table yet."""
    found: list[CheckMessage] = []
    for alias in databases or []:
        if Server._meta.db_table not in connections[alias].introspection.table_names():
            continue
        stored = Server.objects.using(alias).order_by("slug").values_list("slug", "secret_encrypted")
        unreadable = [slug for slug, secret in stored if not _readable(secret)]
        if unreadable:
            found.append(
                CheckWarning(
                    _("The stored secrets of these servers cannot be decrypted: %(slugs)s.")
                    % {"slugs": ", ".join(unreadable)},
                    hint=_("Add the key they were written with to MAPBOARD_ENCRYPTION_KEYS, or enter them anew."),
                    id="mapboard.W002",
                )
            )
    return found


def _readable(secret: str) -> bool:
    try:
        decrypt(secret)
    except SecretUnreadable:
        return False
    return True
