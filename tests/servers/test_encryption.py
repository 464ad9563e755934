"""Secrets at rest, and how a key is replaced."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from panel.servers.encryption import SecretUnreadable, decrypt, encrypt
from panel.servers.models import Server

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_the_stored_form_hides_the_secret_and_gives_it_back() -> None:
    stored = encrypt("wärehouse-Paßwort")
    assert "Paßwort" not in stored
    assert decrypt(stored) == "wärehouse-Paßwort"
    assert stored != encrypt("wärehouse-Paßwort")


def test_nothing_stays_nothing() -> None:
    assert encrypt("") == ""
    assert decrypt("") == ""


def test_a_new_key_in_front_still_reads_what_the_old_one_wrote(settings) -> None:
    settings.MAPBOARD_ENCRYPTION_KEYS = [OLD]
    stored = encrypt("secret")
    settings.MAPBOARD_ENCRYPTION_KEYS = [NEW, OLD]
    assert decrypt(stored) == "secret"
    settings.MAPBOARD_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(SecretUnreadable):
        decrypt(stored)


@pytest.mark.parametrize("stored", ["garbage", "gAAAAABo", "é"])
def test_a_damaged_secret_is_unreadable_and_not_a_crash(stored) -> None:
    with pytest.raises(SecretUnreadable):
        decrypt(stored)


def test_the_command_moves_every_secret_to_the_newest_key(db, settings, capsys) -> None:
    settings.MAPBOARD_ENCRYPTION_KEYS = [OLD]
    Server.objects.create(slug="a", name="A", base_url="http://a.test", secret_encrypted=encrypt("one"))
    Server.objects.create(slug="b", name="B", base_url="http://b.test", secret_encrypted=encrypt("two"))
    settings.MAPBOARD_ENCRYPTION_KEYS = [NEW, OLD]
    call_command("reencrypt_secrets")
    settings.MAPBOARD_ENCRYPTION_KEYS = [NEW]
    assert [decrypt(server.secret_encrypted) for server in Server.objects.order_by("slug")] == ["one", "two"]


def test_the_command_changes_nothing_when_one_secret_cannot_be_read(db, settings) -> None:
    settings.MAPBOARD_ENCRYPTION_KEYS = [OLD]
    kept = encrypt("one")
    Server.objects.create(slug="a", name="A", base_url="http://a.test", secret_encrypted=kept)
    Server.objects.create(slug="b", name="B", base_url="http://b.test", secret_encrypted="damaged")
    settings.MAPBOARD_ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("reencrypt_secrets")
    assert Server.objects.get(slug="a").secret_encrypted == kept
