"""Every error of the API in one shape: ``{"error": {"code", "message", "fields": {name: [messages]}}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler
from rest_framework.views import set_rollback

from panel.access.authorization import LoginRequired
from panel.airflow import errors as airflow
from panel.keyset import BadCursor
from panel.problems import BadRequest, Problem, TooMany

Fields = Mapping[str, list[str]]
KEPT_HEADERS: Final = frozenset({"WWW-Authenticate", "Retry-After", "Allow"})


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer for any error a view raises; ``None`` lets an unknown one become a 500."""
    if isinstance(error, airflow.AirflowError):
        set_rollback()
        return _response(_airflow_status(error), error.code, str(error), getattr(error, "fields", {}))
    if isinstance(error, BadCursor):
        error = BadRequest("This cursor does not belong to this list.", {"cursor": ["Not a cursor of this list."]})
    if isinstance(error, Problem):
        set_rollback()
        return _response(error.http_status, error.code, error.message, error.fields, _when(error))
    if isinstance(error, exceptions.ValidationError):
        set_rollback()
        return _response(422, "invalid", "Some fields are not right.", _flat(error.detail))
    if isinstance(error, LoginRequired):
        set_rollback()
        header = {"WWW-Authenticate": "Bearer"}
        return _response(401, "not_authenticated", _("Log in, or send a token: Authorization: Bearer …"), {}, header)
    answer = drf_exception_handler(error, context)
    if answer is None:
        return None
    return _response(answer.status_code, _named(error), _message(error), {}, headers=dict(answer.headers))


def _response(
    http_status: int, code: str, message: str, fields: Fields, headers: dict[str, str] | None = None
) -> Response:
    body = {"error": {"code": code, "message": message, "fields": dict(fields)}}
    kept = {name: value for name, value in (headers or {}).items() if name in KEPT_HEADERS}
    return Response(body, status=http_status, headers=kept)


def _when(error: Problem) -> dict[str, str]:
    seconds = error.retry_after_seconds if isinstance(error, TooMany) else 0
    return {"Retry-After": str(seconds)} if seconds else {}


def _airflow_status(error: airflow.AirflowError) -> int:
    if isinstance(error, airflow.TimedOut):
        return status.HTTP_504_GATEWAY_TIMEOUT
    if isinstance(error, airflow.Unreachable):
        return status.HTTP_503_SERVICE_UNAVAILABLE
    if isinstance(error, airflow.NotFound):
        return status.HTTP_404_NOT_FOUND
    return status.HTTP_502_BAD_GATEWAY


def _named(error: Exception) -> str:
    if isinstance(error, Http404):
        return "not_found"
    if isinstance(error, PermissionDenied):
        return "permission_denied"
    return getattr(error, "default_code", "error")


def _message(error: Exception) -> str:
    if isinstance(error, exceptions.APIException):
        return str(error.detail)
    return str(error) or "Not found."


def _flat(detail: Any, path: str = "") -> dict[str, list[str]]:
    """DRF's nested messages by dotted path; messages about the body as a whole stand under ``body``."""
    if isinstance(detail, dict):
        fields: dict[str, list[str]] = {}
        for name, inner in detail.items():
            place = "" if name == "non_field_errors" else str(name)
            fields |= _flat(inner, ".".join(part for part in (path, place) if part))
        return fields
    if isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        fields = {}
        for number, inner in enumerate(detail):
            fields |= _flat(inner, f"{path}.{number}" if path else str(number))
        return fields
    messages = detail if isinstance(detail, list) else [detail]
    return {path or "body": [str(message) for message in messages]}
