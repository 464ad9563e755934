"""Adding, changing, removing and checking servers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.services import record_event
from panel.airflow import AirflowError
from panel.problems import Conflicting, Unprocessable
from panel.servers.client import open_client
from panel.servers.details import ServerDetails, checked_details, checked_slug
from panel.servers.encryption import encrypt, reencrypted
from panel.servers.models import Server
from panel.servers.reachability import note_failed, note_reached
from panel.wake import wake

__all__ = [
    "ServerDetails",
    "add_server",
    "check_server",
    "claim_check",
    "note_failed",
    "note_reached",
    "reencrypt_secrets",
    "remove_server",
    "request_check",
    "request_due_checks",
    "update_server",
]

CHECK_EVERY: Final = timedelta(seconds=30)
CHECK_CLAIM: Final = timedelta(seconds=90)
"""How long one check may keep others from checking the same server; longer than its time-outs together."""

User = AbstractBaseUser | AnonymousUser | None
"""Who did it; ``None`` is the command line."""


def add_server(*, user: User, slug: str, details: ServerDetails) -> Server:
    """Store a new server and have it checked. Raises Unprocessable, Conflicting."""
    slug = checked_slug(slug)
    details = checked_details(details, secret_stored=False)
    server = Server(slug=slug, secret_encrypted=encrypt(details.secret), **_columns(details))
    try:
        with transaction.atomic():
            server.save()
            _record(user, "servers.add", server, _columns(details))
            wake("servers.check_server", server.pk)
    except IntegrityError as error:
        message = _("There is a server with this short name already.")
        raise Conflicting(message, {"slug": [message]}) from error
    return server


def update_server(*, user: User, server: Server, details: ServerDetails) -> Server:
    """Change a server. An empty secret keeps the stored one, unless the way to log in changes. Raises Unprocessable."""
    keeps_secret = bool(server.secret_encrypted) and server.authentication == details.authentication
    details = checked_details(details, secret_stored=keeps_secret)
    columns = _columns(details)
    changed = {name: value for name, value in columns.items() if getattr(server, name) != value}
    trace = dict(changed)
    if details.secret:
        changed["secret_encrypted"] = encrypt(details.secret)
        trace["new_secret"] = True
    if not changed:
        return server
    # Another address or login: neither the old login's token nor what was found out with it holds any more.
    changed |= {
        "login_token_encrypted": "",
        "login_token_expires_at": None,
        "checked_at": None,
        "check_claimed_until": None,
    }
    with transaction.atomic():
        Server.objects.filter(pk=server.pk).update(**changed)
        _record(user, "servers.update", server, trace)
        wake("servers.check_server", server.pk)
    server.refresh_from_db()
    return server


def remove_server(*, user: User, server: Server, confirmation: str) -> None:
    """Remove a server with its mirror; launches and the audit trail stay. ``confirmation`` repeats the slug.

    Raises Unprocessable, or Conflicting while something that must stay (a retry job) belongs to it.
    """
    if confirmation.strip() != server.slug:
        message = _("Type %(slug)s to confirm.") % {"slug": server.slug}
        raise Unprocessable(_("The server was not removed."), {"confirmation": [message]})
    try:
        with transaction.atomic():
            _record(user, "servers.remove", server, {"name": server.name, "base_url": server.base_url})
            server.delete()
    except ProtectedError as error:
        raise Conflicting(
            _("This server has retry jobs, and their history must stay: it cannot be removed.")
        ) from error


def request_check(*, server: Server) -> None:
    """Have the worker check this server now, whenever the last check was."""
    Server.objects.filter(pk=server.pk).update(checked_at=None)
    wake("servers.check_server", server.pk)


def request_due_checks() -> int:
    """Wake one task for each server whose check is due, so that a slow one keeps none of the others waiting."""
    due = list(Server.objects.filter(_due()).values_list("pk", flat=True))
    for server_id in due:
        wake("servers.check_server", server_id)
    return len(due)


def claim_check(*, server_id: int) -> bool:
    """Whether this process is to check the server now: one at a time, and not again before it is due."""
    until = timezone.now() + CHECK_CLAIM
    return Server.objects.filter(_due(), pk=server_id).update(check_claimed_until=until) == 1


def check_server(*, server: Server) -> Server:
    """Ask the server for its version with its credentials, and store what came of it. Never raises AirflowError."""
    found: dict[str, Any] = {}
    try:
        with open_client(server) as airflow:
            found["version"] = airflow.check().version[:50]
    except AirflowError as error:
        note_failed(server=server, error=error)
    Server.objects.filter(pk=server.pk).update(checked_at=timezone.now(), check_claimed_until=None, **found)
    server.refresh_from_db()
    return server


def reencrypt_secrets() -> int:
    """Write every stored secret under the newest key; how many servers. Raises SecretUnreadable, changing nothing."""
    with transaction.atomic():
        servers = list(Server.objects.all())
        for server in servers:
            Server.objects.filter(pk=server.pk).update(
                secret_encrypted=reencrypted(server.secret_encrypted),
                login_token_encrypted="",
                login_token_expires_at=None,
            )
    return len(servers)


def _due() -> Q:
    now = timezone.now()
    unclaimed = Q(check_claimed_until=None) | Q(check_claimed_until__lt=now)
    return unclaimed & (Q(checked_at=None) | Q(checked_at__lt=now - CHECK_EVERY))


def _columns(details: ServerDetails) -> dict[str, Any]:
    return {
        "name": details.name,
        "base_url": details.base_url,
        "authentication": str(details.authentication),
        "username": details.username,
        "ca_pem": details.ca_pem,
        "max_in_flight": details.max_in_flight,
    }


def _record(user: User, action: str, server: Server, detail: dict[str, Any]) -> None:
    record_event(
        user=user,
        action=action,
        target_kind="server",
        target_id=server.slug,
        server_slug=server.slug,
        detail=detail | ({"ca_pem": "changed"} if detail.get("ca_pem") else {}),
    )
