"""How a REST caller says who they are: a bearer token, or the session of the pages."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class BearerTokenAuthentication(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """``Authorization: Bearer <token>``, made by ``manage.py create_api_token``."""

    def authenticate_credentials(self, token: bytes) -> Any:
        if not token.isascii():  # knox would decode it as UTF-8 and fail
            raise AuthenticationFailed(_("Invalid token."))
        return super().authenticate_credentials(token)


class SessionAuthentication(authentication.SessionAuthentication):
    """The pages' session, with CSRF protection; answers 401 rather than 403 to nobody."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # a registry by metaclass
    target_class = BearerTokenAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "Made by manage.py create_api_token."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # a registry by metaclass
    target_class = SessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "mapboard_session"}
