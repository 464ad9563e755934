"""Requests held against the OpenAPI documents that real servers give out (tests/payloads/<version>/openapi.json).

A real server answers 422 to a wrong body, and silently ignores a query parameter that it does not know: a misspelt
filter returns everything. When Mapboard's own client sends either, the test fails here, naming it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema

from tests.fakes.airflow.wire import Request

PAYLOADS = Path(__file__).parents[2] / "payloads"
BODY_OF_CLEAR = "ClearTaskInstancesBody"
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _has_a_zone(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class WrongRequest(AssertionError):
    """The real server of this version would refuse it, or ignore what it says."""


wrong_requests: list[WrongRequest] = []
"""Every one since it was last emptied: whoever catches all exceptions does not hide it."""


class Document:
    """The recorded requests of one version."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.version: str = content["info"]["version"]
        paths = sorted(content["paths"], key=lambda path: path.count("{"))  # a name goes before a placeholder
        self._validators: dict[str, Any] = {}
        self._paths = [(path, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))) for path in paths]

    def body_fields(self, schema: str) -> list[str]:
        return list(self.content["components"]["schemas"][schema]["properties"])

    def check(self, request: Request) -> None:
        """Raises WrongRequest. A path that no version knows is for the server to answer with 404."""
        if not request.path.startswith(("/api/v2/", "/ui/")):
            return
        if problems := list(self._problems(request)):
            error = WrongRequest(f"{request.method} {request.path} to Airflow {self.version}: {'; '.join(problems)}")
            wrong_requests.append(error)
            raise error

    def _problems(self, request: Request) -> Iterator[str]:
        path, names = self._found(request.path)
        call = self.content["paths"].get(path, {}).get(request.method.lower())
        if call is None:
            if path:
                yield "there is no such method (or tests/contract/record_openapi.py does not record it)"
            return
        parameters = {(one["in"], one["name"]): one for one in call["parameters"]}
        given = {("path", name): [value] for name, value in names.items()}
        for name, value in request.query:
            given.setdefault(("query", name), []).append(value)
        for key, values in given.items():
            if key not in parameters:
                yield f"the {key[0]} parameter {key[1]!r} is not known and would be ignored"
            elif problem := self._parameter_problem(parameters[key]["schema"], values):
                yield f"the {key[0]} parameter {key[1]!r}: {problem}"
        yield from (
            f"the {place} parameter {name!r} is missing"
            for (place, name), one in parameters.items()
            if one.get("required") and (place, name) not in given
        )
        yield from self._body_problems(call.get("requestBody"), request.body)

    def _found(self, path: str) -> tuple[str, Mapping[str, str]]:
        for template, regex in self._paths:
            if match := regex.fullmatch(path):
                return template, match.groupdict()
        return "", {}

    def _body_problems(self, wanted: dict[str, Any] | None, body: Any) -> Iterator[str]:
        if wanted is None:
            if body is not None:
                yield "a body is not expected"
        elif body is not None or wanted["required"]:
            errors = self._validator(wanted["content"]["application/json"]["schema"]).iter_errors(body)
            yield from (f"the body's {error.json_path}: {error.message}"[:500] for error in errors)

    def _parameter_problem(self, schema: dict[str, Any], values: list[str]) -> str:
        """A query holds texts: one fits when it does as text, number, truth value or, repeated, as a list."""
        kinds = schema.get("anyOf", [schema])
        texts: list[Any] = values if any(kind.get("type") == "array" for kind in kinds) else values[-1:]
        as_list = [[reading(text) for text in texts] for reading in (str, _number, _truth)]
        validator = self._validator(schema)
        readings = [*as_list, *(one[0] for one in as_list)]
        if any(validator.is_valid(reading) for reading in readings):
            return ""
        return f"{values} does not fit {json.dumps(schema)}"

    def _validator(self, schema: dict[str, Any]) -> Any:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": self.content["components"]}
            self._validators[key] = jsonschema.Draft202012Validator(whole, format_checker=FORMATS)
        return self._validators[key]


def document_of(numbers: tuple[int, ...]) -> Document:
    """That of the recorded version of the same series; of the newest one for later series."""
    versions = [(tuple(map(int, folder.parent.name.split("."))), folder) for folder in recordings()]
    same = [(version, file) for version, file in versions if version[:2] <= numbers[:2]]
    return _read(max(same)[1])


def recordings() -> list[Path]:
    return sorted(PAYLOADS.glob("*/openapi.json"))


@lru_cache
def _read(file: Path) -> Document:
    return Document(json.loads(file.read_text()))


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _truth(text: str) -> Any:
    return {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), text)
