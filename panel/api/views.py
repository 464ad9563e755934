"""The API's own pages: its schema, its documentation, and what answers at an address that is none."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _
from django.views.defaults import server_error as page_server_error
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from panel.access.actions import Action
from panel.access.authorization import LoginRequired


class Schema(SpectacularAPIView):
    """OpenAPI 3: JSON, or YAML for those who ask for it."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiYamlRenderer2]
    actions = {"GET": Action.VIEW}


class Docs(SpectacularSwaggerSplitView):
    """The schema as a page to read and try; people who are not logged in are sent to the login."""

    actions = {"GET": Action.VIEW}
    url_name = "api:schema"

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]  # a redirect is no Response
        if isinstance(exc, LoginRequired):
            return redirect_to_login(self.request.get_full_path())
        return super().handle_exception(exc)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's ``handler500``: a defect of ours, in the API's shape for the API; it is in the log."""
    if not request.path.startswith("/api/"):
        return page_server_error(request)
    message = _("Something went wrong in Mapboard. It was logged; tell an administrator when it happened.")
    return JsonResponse({"error": {"code": "server_error", "message": message, "fields": {}}}, status=500)


@extend_schema(exclude=True)
class UnknownAddress(APIView):
    """404 in the API's own shape, for whoever may look around at all."""

    actions = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), Action.VIEW)

    def no_such_address(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise NotFound(_("There is nothing at this address. Addresses of the API end in “/”."))

    get = post = put = patch = delete = no_such_address
