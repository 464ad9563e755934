"""``create_user`` and ``create_api_token``."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from panel.access.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def typed(monkeypatch):
    def type_in(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return type_in


def groups_of(name: str) -> set[str]:
    return set(User.objects.get(username=name).groups.values_list("name", flat=True))


def test_it_makes_a_user_who_can_log_in(typed, capsys) -> None:
    typed("correct horse\n")
    call_command("create_user", "bob", "--groups", "operator, deployer", "--password-stdin")
    assert groups_of("bob") == {"operator", "deployer"}
    assert Client().post("/login/", {"username": "bob", "password": "correct horse"}).status_code == 302
    assert "correct horse" not in capsys.readouterr().out
    assert AuditEvent.objects.get().detail == {"groups": ["deployer", "operator"]}


def test_again_it_gives_the_user_the_new_password_and_exactly_the_groups(typed) -> None:
    for password, groups in (("one", "operator,deployer"), ("two", "viewer")):
        typed(password)
        call_command("create_user", "bob", "--groups", groups, "--password-stdin")
    assert groups_of("bob") == {"viewer"}
    assert User.objects.get().check_password("two")


@pytest.mark.parametrize(
    ("name", "groups", "password", "why"),
    [
        ("bob", "root", "x", "Unknown: root"),
        ("bob", " , ", "x", "names none"),
        ("bob", "viewer", "", "Nothing was read"),
        ("b o b", "viewer", "x", "username"),
    ],
)
def test_it_says_what_is_wrong_and_makes_nobody(typed, name, groups, password, why) -> None:
    typed(password)
    with pytest.raises(CommandError, match=why):
        call_command("create_user", name, "--groups", groups, "--password-stdin")
    assert not User.objects.exists()


def test_a_weak_password_is_refused_where_validators_are_set(typed, settings) -> None:
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"}]
    typed("password")
    with pytest.raises(CommandError, match="too common"):
        call_command("create_user", "bob", "--groups", "viewer", "--password-stdin")


def test_the_last_line_of_the_output_is_a_token_that_works(viewer, capsys) -> None:
    call_command("create_api_token", "vera")
    token = capsys.readouterr().out.splitlines()[-1]
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/servers/", headers=headers).status_code == 200
    event = AuditEvent.objects.get()
    assert event.action == "access.create_api_token"
    assert token not in str(event.detail)


def test_a_token_does_what_its_user_may_and_no_more(viewer, nobody, capsys) -> None:
    for name, expected in (("vera", 403), ("nick", 403)):
        call_command("create_api_token", name, "--days", "1")
        token = capsys.readouterr().out.splitlines()[-1]
        answer = Client().get("/api/v1/audit/", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == expected


@pytest.mark.parametrize("arguments", [["nobody-here"], ["vera", "--days", "0"]])
def test_it_refuses_an_unknown_user_and_a_lifetime_that_is_none(viewer, arguments) -> None:
    with pytest.raises(CommandError):
        call_command("create_api_token", *arguments)


def test_there_is_no_token_for_a_user_who_was_switched_off(viewer) -> None:
    viewer.is_active = False
    viewer.save()
    with pytest.raises(CommandError):
        call_command("create_api_token", "vera")


def test_teams_are_made_kept_and_taken_away(typed) -> None:
    def save(*more: str) -> set[str]:
        typed("a long password\n")
        call_command("create_user", "paul", "--groups", "deployer", "--password-stdin", *more)
        return groups_of("paul")

    assert save("--teams", "payments, Search and Rescue") == {"deployer", "payments", "Search and Rescue"}
    assert AuditEvent.objects.get().detail == {"groups": ["deployer"], "teams": ["Search and Rescue", "payments"]}
    assert save() == {"deployer", "payments", "Search and Rescue"}
    assert save("--teams", "payments") == {"deployer", "payments"}
    assert save("--teams", "") == {"deployer"}


@pytest.mark.parametrize("team", ["admin", "viewer", "a;b", "-", "x" * 51])
def test_a_team_is_no_group_that_allows_something(typed, team) -> None:
    typed("a long password\n")
    with pytest.raises(CommandError, match="No names for a team"):
        call_command("create_user", "paul", "--groups", "viewer", "--teams", team, "--password-stdin")
    assert not User.objects.exists()
