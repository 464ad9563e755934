"""Logging in and out, and what too many wrong passwords do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone

from panel.access.services import save_user

pytestmark = pytest.mark.django_db


def log_in(browser: Client, name: str, password: str, **extra: str):
    return browser.post("/login/", {"username": name, "password": password, **extra})


def test_the_right_password_logs_in_and_leads_back(viewer) -> None:
    browser = Client()
    answer = log_in(browser, "vera", "vera-password", next="/servers/")
    assert (answer.status_code, answer["Location"]) == (302, "/servers/")
    assert browser.get("/servers/").status_code == 200


@pytest.mark.parametrize("next_page", ["https://evil.test/", "//evil.test/", "javascript:alert(1)"])
def test_a_login_never_leads_to_another_site(viewer, next_page) -> None:
    answer = log_in(Client(), "vera", "vera-password", next=next_page)
    assert answer["Location"].startswith("/")
    assert not answer["Location"].startswith("//")


def test_a_wrong_password_says_so_and_tells_nothing_else(viewer) -> None:
    wrong = log_in(Client(), "vera", "wrong")
    unknown = log_in(Client(), "nobody-here", "wrong")
    assert wrong.status_code == unknown.status_code == 422
    assert wrong.context["form"].non_field_errors() == unknown.context["form"].non_field_errors()


def test_ten_wrong_passwords_close_the_door_even_to_the_right_one(viewer) -> None:
    for _ in range(9):
        assert log_in(Client(), "vera", "wrong").status_code == 422
    assert log_in(Client(), "vera", "wrong").status_code == 429
    answer = log_in(Client(), "vera", "vera-password")
    assert answer.status_code == 429
    assert answer["Retry-After"] == "900"
    assert b"15 minutes" in answer.content


def test_the_door_opens_again_after_a_quarter_of_an_hour(viewer) -> None:
    for _ in range(10):
        log_in(Client(), "vera", "wrong")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert log_in(Client(), "vera", "vera-password").status_code == 302


def test_others_and_other_addresses_are_not_shut_out(viewer, operator) -> None:
    for _ in range(10):
        log_in(Client(), "vera", "wrong")
    assert log_in(Client(), "olga", "olga-password").status_code == 302
    elsewhere = Client(REMOTE_ADDR="10.9.8.7")
    assert log_in(elsewhere, "vera", "vera-password").status_code == 302


def test_a_forged_address_does_not_help(viewer) -> None:
    for number in range(10):
        log_in(Client(headers={"X-Forwarded-For": f"10.0.0.{number}"}), "vera", "wrong")
    assert log_in(Client(), "vera", "vera-password").status_code == 429


def test_behind_a_proxy_the_last_address_counts_which_the_proxy_wrote(viewer, settings) -> None:
    settings.BEHIND_TLS = True
    for number in range(10):
        log_in(Client(headers={"X-Forwarded-For": f"10.0.0.{number}, 192.0.2.1"}), "vera", "wrong")
    assert log_in(Client(headers={"X-Forwarded-For": "192.0.2.1"}), "vera", "vera-password").status_code == 429
    assert log_in(Client(headers={"X-Forwarded-For": "192.0.2.2"}), "vera", "vera-password").status_code == 302


def test_a_new_password_set_by_an_administrator_opens_the_door(viewer) -> None:
    for _ in range(10):
        log_in(Client(), "vera", "wrong")
    save_user(username="vera", password="another one entirely", groups=["viewer"])
    assert log_in(Client(), "vera", "another one entirely").status_code == 302


def test_logging_out_needs_a_post_and_ends_the_session(as_user, viewer) -> None:
    browser = as_user(viewer)
    assert browser.get("/logout/").status_code == 405
    assert browser.get("/servers/").status_code == 200
    assert browser.post("/logout/").status_code == 302
    assert browser.get("/servers/").status_code == 302


def test_a_post_without_the_form_token_is_refused(viewer) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert log_in(browser, "vera", "vera-password").status_code == 403


@pytest.mark.parametrize("name", ["\x00", "a" * 10_000, ""])
def test_a_strange_name_is_a_wrong_one(db, name) -> None:
    assert log_in(Client(), name, "x").status_code == 422


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("nonsense", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_addresses_come_in_several_forms(viewer, settings, forwarded, address) -> None:
    settings.BEHIND_TLS = True
    log_in(Client(headers={"X-Forwarded-For": forwarded}), "vera", "wrong")
    assert AccessAttempt.objects.get().ip_address == address


def test_a_login_over_a_unix_socket_has_no_address(viewer) -> None:
    assert log_in(Client(REMOTE_ADDR=""), "vera", "wrong").status_code == 422
    assert log_in(Client(REMOTE_ADDR=""), "vera", "vera-password").status_code == 302
