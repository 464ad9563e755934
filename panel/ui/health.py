"""Health, for load balancers and people: ``/healthz`` is this process, ``/readyz`` what it depends on.

Both are public and say nothing that is secret: which part is not right, and in a sentence why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from panel.broker import KEY_PREFIX, BrokerError, broker

HEARTBEAT_KEY: Final = f"{KEY_PREFIX}heartbeat"
HEARTBEAT_SECONDS: Final = 45
"""How long a heartbeat counts; one comes every ten seconds."""


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"ok": True})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """``{"ok", "parts": {name: {"ok", "why"}}}``: 200, or 503 when a part is not right."""
    why = {"database": database_trouble(), **broker_and_worker_trouble()}
    ok = not any(why.values())
    parts = {name: {"ok": not trouble, "why": trouble} for name, trouble in why.items()}
    return JsonResponse({"ok": ok, "parts": parts}, status=200 if ok else 503)


class HealthMiddleware:
    """Answers both before anything looks at the Host header: probes come by address, not by name."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = {"/healthz": healthz, "/readyz": readyz}.get(request.path_info)
        return view(request) if view else self.get_response(request)


# What panel.access.decorators.public says; this room lies below it and cannot import it.
healthz.required_action = readyz.required_action = "public"  # type: ignore[attr-defined]  # read by AuthorizationMiddleware


def beat() -> None:
    """Written by a worker whenever the scheduler asks: both are alive. Raises BrokerError."""
    broker().set(HEARTBEAT_KEY, "1", ex=HEARTBEAT_SECONDS)


def database_trouble() -> str:
    """A sentence; empty when the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"The database does not answer ({type(error).__name__})."
    return ""


def broker_and_worker_trouble() -> dict[str, str]:
    try:
        alive = broker().exists(HEARTBEAT_KEY)
    except BrokerError as error:
        return {
            "broker": f"The broker does not answer ({type(error).__name__}).",
            "worker": "Not known: the heartbeat is kept in the broker.",
        }
    silent = f"No heartbeat for {HEARTBEAT_SECONDS} s: a worker or the scheduler (beat) is not running."
    return {"broker": "", "worker": "" if alive else silent}
