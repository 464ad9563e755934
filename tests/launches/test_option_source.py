"""Reading options over HTTP: from the hosts that the settings name, and from nowhere else."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace

import pytest

from panel.domain.option_hosts import MalformedHost, OptionHost, option_hosts_from
from panel.launches import option_source
from panel.launches.option_source import NotReadable, check_source, completed_url, read_options
from tests.fakes.option_source import OptionSource


@pytest.fixture
def source(settings):
    """A source on loopback, which the settings name and allow to be private."""
    running = OptionSource()
    settings.LAUNCH_OPTION_HOSTS = option_hosts_from(f"127.0.0.1:{running.port} private")
    yield running
    running.close()


@pytest.fixture
def resolves_to(monkeypatch):
    """``resolves_to("10.0.0.1")``: what every name resolves to; what is connected to is kept in ``connected``."""
    seen = SimpleNamespace(connected=[])

    def set_address(*addresses):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: found)

        def connect(address, **more):
            seen.connected.append(address)
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "create_connection", connect)
        return seen

    return set_address


def test_a_list_of_texts_numbers_and_labelled_values_is_read(source):
    source.answers["/regions?env=prod"] = ["eu", 3, True, {"value": "us", "label": "America"}, {"value": 4}]
    assert read_options(source.url("/regions?env=prod")) == [
        ("eu", ""), (3, ""), (True, ""), ("us", "America"), (4, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ({"regions": []}, "not a list"),
        ([["eu"]], "something else"),
        ([None], "something else"),
        ([{"label": "x"}], "something else"),
        (["a\x00"], "something else"),
        ([str(n) for n in range(1_001)], "more than 1000"),
        (b'["' + b"x" * 300_000 + b'"]', "too large"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_another_answer_is_refused(answer, words, source):
    source.answers["/"] = answer
    with pytest.raises(NotReadable, match=words):
        read_options(source.url("/"))


@pytest.mark.parametrize("status", [204, 301, 302, 307, 404, 500])
def test_nothing_but_200_is_an_answer_and_no_redirect_is_followed(status, source):
    source.status, source.headers = status, {"Location": source.url("/elsewhere")}
    with pytest.raises(NotReadable, match=f"status {status}"):
        read_options(source.url("/"))
    assert source.asked == ["/"]


def test_a_source_that_drips_is_given_up_in_time(source, monkeypatch):
    monkeypatch.setattr(option_source, "SECONDS", 0.5)
    source.answers["/"], source.drips = ["x" * 200], 0.05
    started = time.monotonic()
    with pytest.raises(NotReadable, match="did not answer"):
        read_options(source.url("/"))
    assert time.monotonic() - started < 3


def test_a_source_that_is_away_is_said(source):
    source.close()
    with pytest.raises(NotReadable, match="cannot be reached"):
        read_options(source.url("/"))


def test_the_environment_names_no_proxy_for_it(source, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    source.answers["/"] = ["eu"]
    assert read_options(source.url("/")) == [("eu", "")]


# ── Which hosts ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2/",
        "http://localhost/",
        "http://127.0.0.1/",  # another port than the one that is named
        "https://inventory.example.com.evil.test/",
        "https://evil.test/?inventory.example.com",
        "https://inventory.example.com@evil.test/",
        "file:///etc/passwd",
        "ftp://inventory.example.com/",
        "//inventory.example.com/",
        "inventory.example.com",
        "https://",
        "https://inventory.example.com:99999/",
        "https://inventory.example.com/\r\nX: y",
        "https://inventory.example.com/ü",
        "",
    ],
)
def test_other_hosts_and_other_addresses_are_not_asked(url, source, settings, resolves_to):
    settings.LAUNCH_OPTION_HOSTS = [*settings.LAUNCH_OPTION_HOSTS, OptionHost("inventory.example.com", None, False)]
    seen = resolves_to("93.184.215.14")
    with pytest.raises(NotReadable):
        read_options(url)
    assert seen.connected == []


def test_without_the_setting_no_host_is_asked(settings):
    assert settings.LAUNCH_OPTION_HOSTS == []
    with pytest.raises(NotReadable, match="LAUNCH_OPTION_HOSTS"):
        check_source("https://inventory.example.com/")


def test_production_speaks_tls_only(settings):
    settings.LAUNCH_OPTION_HOSTS = option_hosts_from("inventory.example.com")
    check_source("http://inventory.example.com/")
    settings.IN_PRODUCTION = True
    check_source("https://inventory.example.com/")
    with pytest.raises(NotReadable, match="https://"):
        check_source("http://inventory.example.com/")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::"],
)  # fmt: skip
def test_a_public_host_is_not_asked_at_a_private_address(address, settings, resolves_to):
    settings.LAUNCH_OPTION_HOSTS = option_hosts_from("inventory.example.com")
    seen = resolves_to("93.184.215.14", address)  # one of several is enough
    with pytest.raises(NotReadable, match="private"):
        read_options("https://inventory.example.com/")
    assert seen.connected == []


def test_a_host_named_as_private_may_have_such_an_address_but_never_the_clouds_own(settings, resolves_to):
    settings.LAUNCH_OPTION_HOSTS = option_hosts_from("cmdb.example.lan private")
    seen = resolves_to("10.1.2.3")
    with pytest.raises(NotReadable, match="cannot be reached"):
        read_options("https://cmdb.example.lan/")
    assert seen.connected == [("10.1.2.3", 443)]
    resolves_to("169.254.169.254")
    with pytest.raises(NotReadable, match="private"):
        read_options("https://cmdb.example.lan/")


def test_what_was_checked_is_what_is_connected_to(settings, resolves_to):
    settings.LAUNCH_OPTION_HOSTS = option_hosts_from("inventory.example.com")
    seen = resolves_to("93.184.215.14", "93.184.215.15")
    with pytest.raises(NotReadable, match="cannot be reached"):
        read_options("https://inventory.example.com/")
    assert seen.connected == [("93.184.215.14", 443), ("93.184.215.15", 443)]


def test_a_certificate_has_to_hold(source, settings):
    with pytest.raises(NotReadable):
        read_options(f"https://127.0.0.1:{source.port}/")  # it speaks no TLS at all
    assert source.asked == []


# ── The address with a value in it ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("word", "url"),
    [
        ("prod", "https://h.test/x/prod?env=prod"),
        ("a/b?c&d=e#f", "https://h.test/x/a%2Fb%3Fc%26d%3De%23f?env=a%2Fb%3Fc%26d%3De%23f"),
        ("{env}", "https://h.test/x/%7Benv%7D?env=%7Benv%7D"),
        ("ü\r\n", "https://h.test/x/%C3%BC%0D%0A?env=%C3%BC%0D%0A"),
    ],
)
def test_a_value_stays_within_its_place(word, url):
    assert completed_url("https://h.test/x/{env}?env={env}", word) == url


@pytest.mark.parametrize("word", [".", "..", "x" * 201])
def test_some_values_are_not_asked_for(word):
    with pytest.raises(NotReadable):
        completed_url("https://h.test/{env}", word)


@pytest.mark.parametrize("url", ["https://{env}.h.test/", "https://h.test:{env}/", "{env}://h.test/"])
def test_the_host_cannot_depend_on_a_value(url, settings):
    settings.LAUNCH_OPTION_HOSTS = option_hosts_from("h.test, x.h.test")
    with pytest.raises(NotReadable):
        check_source(url)


# ── The setting ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_setting_names_hosts_ports_and_private_ones():
    assert option_hosts_from(" A.example.com , b.lan:8443 private,[::1]:80 private, [fd00::1]") == [
        OptionHost("a.example.com", None, False),
        OptionHost("b.lan", 8443, True),
        OptionHost("::1", 80, True),
        OptionHost("fd00::1", None, False),
    ]
    assert option_hosts_from("") == []


@pytest.mark.parametrize(
    "text", ["https://a.test", "a.test/path", "*.a.test", "a.test public", "a.test private x", "a:99999", "a b.test"]
)
def test_a_setting_that_makes_no_sense_is_refused(text):
    with pytest.raises(MalformedHost):
        option_hosts_from(text)
