"""What ``manage.py check`` says about an install."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks

from panel.servers.encryption import encrypt
from panel.servers.models import Server


def ids(**arguments: object) -> set[str]:
    return {message.id for message in run_checks(**arguments)}


def test_production_without_tls_is_warned_of(settings) -> None:
    settings.IN_PRODUCTION, settings.BEHIND_TLS = True, False
    assert "mapboard.W001" in ids()
    settings.BEHIND_TLS = True
    assert "mapboard.W001" not in ids()


@pytest.mark.django_db
def test_secrets_that_no_key_reads_are_named_by_server(settings) -> None:
    Server.objects.create(slug="prod", name="P", base_url="http://a.test", secret_encrypted=encrypt("x"))
    assert "mapboard.W002" not in ids(databases=["default"])
    settings.MAPBOARD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    (message,) = [one for one in run_checks(databases=["default"]) if one.id == "mapboard.W002"]
    assert "prod" in message.msg
    assert "MAPBOARD_ENCRYPTION_KEYS" in message.hint
