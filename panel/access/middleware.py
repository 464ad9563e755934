"""Every request passes here on its way to a view: who asks is found out, and a view that declares nothing is denied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.functional import SimpleLazyObject

from panel.access.authorization import LoginRequired, authorize
from panel.access.decorators import PUBLIC
from panel.access.sessions import user_of


class UserMiddleware(AuthenticationMiddleware):
    """Django's, which finds the user in fewer queries (``panel.access.sessions``)."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: user_of(request))  # type: ignore[assignment]  # it acts as the user


class AuthorizationMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        # REST views authenticate later (tokens) and are denied by default by their own permission class,
        # which calls authorize() too: panel.api.permissions.
        if hasattr(view, "cls") and hasattr(view.cls, "permission_classes"):
            return None
        action = getattr(view, "required_action", None)
        if action == PUBLIC:
            return None
        try:
            authorize(request.user, action)
        except LoginRequired:
            return _login_first(request)
        return None


def _login_first(request: HttpRequest) -> HttpResponseBase:
    if request.headers.get("HX-Request"):
        # A login page inside a fragment would be swapped into the page: send the whole browser there instead.
        response = HttpResponse(status=204)
        back_to = request.headers.get("HX-Current-URL", "")
        response["HX-Redirect"] = redirect_to_login(_path_of(back_to), resolve_url(settings.LOGIN_URL))["Location"]
        return response
    return redirect_to_login(request.get_full_path(), resolve_url(settings.LOGIN_URL))


def _path_of(url: str) -> str:
    """The path and query of a URL of ours, so that a login never leads to another site."""
    _, _, rest = url.partition("://")
    _, slash, path = rest.partition("/")
    return slash + path or "/"
