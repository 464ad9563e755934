"""Logging in: where a request comes from, and what somebody sees who gave too many wrong passwords (django-axes)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.core.validators import MaxLengthValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


class LoginForm(AuthenticationForm):
    """Django's own, which shows the longest user name there is but does not insist on it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.CharField, self.fields["username"])
        field.validators.append(MaxLengthValidator(field.max_length or 150))


def client_address(request: HttpRequest) -> str | None:
    """The address the request came from; ``None`` when there is none (a Unix socket).

    Behind a proxy (``MAPBOARD_BEHIND_TLS``) it is the last one in X-Forwarded-For, which our own proxy wrote; what
    stands before it was sent by the client and proves nothing.
    """
    forwarded = None
    if settings.BEHIND_TLS:
        forwarded = _address(request.headers.get("X-Forwarded-For", "").rpartition(",")[2])
    return forwarded or _address(str(request.META.get("REMOTE_ADDR", "")))


def _address(text: str) -> str | None:
    """An address as the database keeps it, without port or zone."""
    host = text.strip().partition("%")[0]
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def locked_out(request: HttpRequest, *_response: Any, **_credentials: Any) -> HttpResponse:
    minutes = round(settings.AXES_COOLOFF_TIME.total_seconds() / 60)
    response = render(request, "access/locked_out.html", {"minutes": minutes}, status=429)
    response["Retry-After"] = str(minutes * 60)
    return response
