"""The OpenAPI document: every operation says which errors it may answer, all in one shape."""

from __future__ import annotations

from typing import Any, Final

EVERYWHERE: Final = {
    "401": "Nobody is logged in, or the token does not hold.",
    "403": "Your groups do not allow this.",
    "429": "Too many requests; Retry-After says when to go on.",
    "default": "Any other error: Airflow unreachable 503, timed out 504, refused or answered nonsense 502.",
}
WITH_QUERY: Final = {"400": "An unknown filter, a value that no filter takes, or a bad cursor."}
WITH_ID: Final = {"404": "There is no such thing."}
WITH_BODY: Final = {
    "400": "The body cannot be read.",
    "409": "It contradicts what is there.",
    "415": "The body is not JSON.",
    "422": "The body reads but does not make sense; an unknown key is an error as well.",
}
ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "fields"],
            "properties": {
                "code": {"type": "string", "description": "For programs; does not change."},
                "message": {"type": "string", "description": "For people."},
                "fields": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                    "description": "Messages by the dotted name of the field or filter they are about.",
                },
            },
        }
    },
}


def document_errors(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """A drf-spectacular hook: adds the error answers that a view did not describe itself."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for http_status, why in _errors_of(path, operation).items():
                operation["responses"].setdefault(http_status, _answer(why))
    return result


def _errors_of(path: str, operation: dict[str, Any]) -> dict[str, str]:
    errors = dict(EVERYWHERE)
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        errors |= WITH_QUERY
    if "{" in path:
        errors |= WITH_ID
    if "requestBody" in operation:
        errors |= WITH_BODY
    return errors


def _answer(why: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": why, "content": {"application/json": {"schema": schema}}}
