"""What every answer carries: security headers, what caches must know about partials, and problems as pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from panel.keyset import BadCursor
from panel.problems import BadRequest, Problem

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# drf-spectacular's page carries its own <style> and a starting <script> in the document.
_DOCS_POLICY: Final = _POLICY | {"script-src": "'self' 'unsafe-inline'", "style-src": "'self' 'unsafe-inline'"}
_DOCS_PATH: Final = "/api/v1/docs/"
_WRITTEN_POLICY, _WRITTEN_DOCS_POLICY = (
    "; ".join(f"{name} {value}" for name, value in policy.items()) for policy in (_POLICY, _DOCS_POLICY)
)

_PERMISSIONS: Final = (
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "microphone=(), midi=(), payment=(), usb=(), browsing-topics=()"
)


class SecurityHeadersMiddleware:
    """A content policy of our own files only, with nothing inline; no sensors, no sniffing, no framing."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        policy = _WRITTEN_DOCS_POLICY if request.path == _DOCS_PATH else _WRITTEN_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Permissions-Policy", _PERMISSIONS)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class HtmxResponseMiddleware:
    """Pages and partials live at the same address: caches must tell them apart, and redirects must move the page.

    A redirect that answers htmx would be followed behind the scenes and swapped into a fragment; it becomes
    ``HX-Redirect``, so that after a POST the whole page goes where a form without JavaScript would have gone.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.headers.get("HX-Request") and response.has_header("Location") and 300 <= response.status_code < 400:
            moved = HttpResponse(status=204, headers={"HX-Redirect": response["Location"]})
            moved.cookies = response.cookies
            response = moved
        if response.status_code == 204 or response.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(response, ["HX-Request", "HX-Target"])
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response


class ProblemMiddleware:
    """What a service refuses with a ``Problem`` becomes a page, or for htmx the same words as a fragment."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if isinstance(exception, BadCursor):
            exception = BadRequest(_("The link to this page of the list is damaged. Go back to its first page."))
        if not isinstance(exception, Problem):
            return None
        template = "components/problem.html" if request.headers.get("HX-Request") else "problem.html"
        return render(request, template, {"problem": exception}, status=exception.http_status)
