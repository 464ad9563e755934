"""How a REST caller says who they are: a bearer token, or the session of the pages."""

from __future__ import annotations

from knox.auth import TokenAuthentication
from rest_framework import authentication
from rest_framework.request import Request


class BearerTokenAuthentication(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """``Authorization: Bearer <token>``, made by ``manage.py create_api_token``."""


class SessionAuthentication(authentication.SessionAuthentication):
    """The pages' session, with CSRF protection; answers 401 rather than 403 to nobody."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
