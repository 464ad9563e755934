"""Logging in: where a request comes from, and what somebody sees who gave too many wrong passwords (django-axes)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def client_address(request: HttpRequest) -> str:
    """The address the request came from.

    Behind a proxy (``MAPBOARD_BEHIND_TLS``) it is the last one in X-Forwarded-For, which our own proxy wrote; what
    stands before it was sent by the client and proves nothing.
    """
    if settings.BEHIND_TLS:
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded[:45]
    return str(request.META.get("REMOTE_ADDR") or "unknown")


def locked_out(request: HttpRequest, *_response: Any, **_credentials: Any) -> HttpResponse:
    minutes = round(settings.AXES_COOLOFF_TIME.total_seconds() / 60)
    response = render(request, "access/locked_out.html", {"minutes": minutes}, status=429)
    response["Retry-After"] = str(minutes * 60)
    return response
