"""``manage.py add_server``: the same service as the page, the secret from standard input."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from panel.access.models import AuditEvent
from panel.servers.encryption import decrypt
from panel.servers.models import Server

pytestmark = pytest.mark.django_db


@pytest.fixture
def typed(monkeypatch):
    """``typed("secret")``: what standard input holds."""

    def type_in(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return type_in


def test_it_adds_a_server_with_a_password(typed, capsys) -> None:
    typed("s3cret word\n")
    call_command("add_server", "prod", "https://airflow.example.com/a/", "--username", "mapboard", "--password-stdin")
    server = Server.objects.get()
    assert (server.name, server.base_url, server.username) == ("prod", "https://airflow.example.com/a", "mapboard")
    assert decrypt(server.secret_encrypted) == "s3cret word"
    assert "s3cret" not in capsys.readouterr().out
    assert AuditEvent.objects.get().username == "(command line)"


def test_it_adds_a_server_with_a_token(typed) -> None:
    typed("a.b.c\n")
    call_command("add_server", "prod", "https://airflow.example.com", "--token-stdin", "--name", "Production")
    server = Server.objects.get()
    assert (server.authentication, server.name) == (Server.Authentication.TOKEN, "Production")


def test_it_updates_a_server_and_keeps_what_is_not_named(typed) -> None:
    typed("one\n")
    add = ["--username", "u", "--password-stdin"]
    call_command("add_server", "prod", "https://a.example.com", *add, "--name", "Production", "--max-in-flight", "2")
    typed("two\n")
    call_command("add_server", "prod", "https://b.example.com", *add)
    server = Server.objects.get()
    assert (server.name, server.base_url, server.max_in_flight) == ("Production", "https://b.example.com", 2)
    assert decrypt(server.secret_encrypted) == "two"


@pytest.mark.parametrize(
    ("arguments", "typed_in", "why"),
    [
        (["prod", "ftp://a.test", "--username", "u", "--password-stdin"], "x", "base_url: The base URL must begin"),
        (["Prod!", "http://a.test", "--username", "u", "--password-stdin"], "x", "slug"),
        (["prod", "http://a.test", "--password-stdin"], "x", "username"),
        (["prod", "http://a.test", "--username", "u", "--password-stdin"], "", "Nothing was read"),
        (["prod", "http://a.test", "--username", "u", "--token-stdin"], "x", "--username goes with"),
        (["prod", "http://a.test", "--username", "u"], "x", "required"),
        (["prod", "http://a.test", "--token-stdin", "--ca-file", "no/such/file"], "x", "--ca-file"),
        (["prod", "http://a.test", "--token-stdin", "--max-in-flight", "0"], "x", "max_in_flight"),
    ],
)
def test_it_says_what_is_wrong_and_adds_nothing(typed, arguments, typed_in, why) -> None:
    typed(typed_in)
    with pytest.raises(CommandError, match=why):
        call_command("add_server", *arguments)
    assert not Server.objects.exists()


def test_it_reads_an_own_certificate_authority_from_a_file(typed, tmp_path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    typed("x")
    with pytest.raises(CommandError, match="PEM"):
        call_command("add_server", "prod", "https://a.test", "--token-stdin", "--ca-file", str(file))
