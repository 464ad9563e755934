"""The OpenAPI document and its page."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_document_is_made_without_a_warning_and_is_valid(tmp_path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_every_operation_says_which_errors_it_answers(as_user, viewer) -> None:
    document = as_user(viewer).get("/api/v1/schema/").json()
    assert document["openapi"].startswith("3.")
    operations = [
        (path, method, operation) for path, entry in document["paths"].items() for method, operation in entry.items()
    ]
    assert any(path == "/api/v1/servers/" for path, _, _ in operations)
    for path, method, operation in operations:
        answers = set(operation["responses"])
        assert {"401", "403", "429", "default"} <= answers, (path, method)
        assert ("404" in answers) or ("{" not in path), (path, method)
        assert ("422" in answers) or ("requestBody" not in operation), (path, method)
        assert any(status.startswith("2") for status in answers), (path, method)


def test_every_operation_names_both_ways_to_log_in(as_user, viewer) -> None:
    document = as_user(viewer).get("/api/v1/schema/").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "session"}
    for entry in document["paths"].values():
        for operation in entry.values():
            assert {"bearer": []} in operation["security"]


def test_yaml_for_those_who_ask(as_user, viewer) -> None:
    answer = as_user(viewer).get("/api/v1/schema/", headers={"Accept": "application/yaml"})
    assert answer.content.decode().startswith("openapi: 3.")


def test_the_page_reads_our_own_schema_and_nothing_from_elsewhere(as_user, viewer) -> None:
    browser = as_user(viewer)
    page = browser.get("/api/v1/docs/").content.decode()
    assert "swagger-ui" in page
    assert "//" not in page.replace("<!--", "").split("<body>")[1].replace('src="/static/', "")
    script = browser.get("/api/v1/docs/?script=").content.decode()
    assert "/api/v1/schema/" in script


def test_the_page_sends_nobody_to_the_login(db) -> None:
    answer = Client().get("/api/v1/docs/")
    assert (answer.status_code, answer["Location"]) == (302, "/login/?next=/api/v1/docs/")
