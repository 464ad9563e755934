"""The Servers pages: everybody who may look sees how they are; only an admin changes them; no secret ever shows."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.urls import reverse

from panel.access.models import AuditEvent
from panel.airflow import Unreachable
from panel.servers import services
from panel.servers.encryption import decrypt, encrypt
from panel.servers.models import Server

pytestmark = pytest.mark.django_db

ADD = reverse("servers:server_add")
LIST = reverse("servers:server_list")


def entered(**changes: object) -> dict[str, object]:
    return {
        "slug": "staging",
        "name": "Staging",
        "base_url": "https://airflow.example.com/team-a/",
        "authentication": "password",
        "username": "mapboard",
        "secret": "s3cret-word",
        "ca_pem": "",
        "max_in_flight": "4",
    } | changes


def certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our own authority")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def edit(server: Server) -> str:
    return reverse("servers:server_edit", kwargs={"slug": server.slug})


# Looking


def test_a_viewer_sees_health_version_and_error_but_nothing_to_change(as_user, viewer, server) -> None:
    services.note_failed(server=server, error=Unreachable("airflow.test cannot be reached: <b>refused</b>."))
    Server.objects.update(version="3.3.2")
    page = as_user(viewer).get(LIST).content.decode()
    assert "3.3.2" in page
    assert "not usable" in page
    assert "cannot be reached: &lt;b&gt;refused&lt;/b&gt;" in page
    assert "Check now" not in page
    assert reverse("servers:server_add") not in page


def test_no_page_holds_a_secret(as_user, admin, server) -> None:
    browser = as_user(admin)
    for address in (LIST, edit(server)):
        page = browser.get(address).content.decode()
        assert "op-password" not in page
        assert server.secret_encrypted not in page


def test_the_poller_gets_the_table_alone(as_user, viewer, server) -> None:
    page = as_user(viewer).get(LIST, headers={"HX-Request": "true"}).content.decode()
    assert page.strip().startswith('<div id="server-table"')
    assert "<html" not in page


def test_the_poller_gets_nothing_while_nothing_is_new(as_user, viewer, server) -> None:
    browser = as_user(viewer)
    version = browser.get(LIST).context["version"]
    poll = {"path": f"{LIST}?v={version}", "headers": {"HX-Request": "true"}}
    assert browser.get(**poll).status_code == 204
    services.note_failed(server=server, error=Unreachable("gone"))
    assert b"gone" in browser.get(**poll).content


def test_without_servers_the_page_says_what_to_do(as_user, viewer, admin) -> None:
    assert b"An administrator of Mapboard adds them" in as_user(viewer).get(LIST).content
    assert ADD.encode() in as_user(admin).get(LIST).content


@pytest.mark.parametrize("who", ["viewer", "operator", "deployer", "nobody"])
@pytest.mark.parametrize("name", ["server_add", "server_edit", "server_check", "server_remove"])
def test_only_an_admin_changes_servers(as_user, request, server, who, name) -> None:
    kwargs = {} if name == "server_add" else {"slug": server.slug}
    address = reverse(f"servers:{name}", kwargs=kwargs)
    browser = as_user(request.getfixturevalue(who))
    assert browser.get(address).status_code == 403
    assert browser.post(address, entered(confirmation="prod")).status_code == 403
    assert Server.objects.get().name == "Production"


# Adding


def test_an_admin_adds_a_server_and_it_is_checked(as_user, admin, woken) -> None:
    answer = as_user(admin).post(ADD, entered())
    assert answer.status_code == 302
    server = Server.objects.get()
    assert (server.slug, server.base_url) == ("staging", "https://airflow.example.com/team-a")
    assert decrypt(server.secret_encrypted) == "s3cret-word"


def test_adding_leaves_a_trace_without_the_secret(as_user, admin) -> None:
    as_user(admin).post(ADD, entered())
    event = AuditEvent.objects.get()
    assert (event.username, event.action, event.target_id) == ("anna", "servers.add", "staging")
    assert event.detail["base_url"] == "https://airflow.example.com/team-a"
    assert "s3cret" not in str(event.detail)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "ftp://airflow.example.com"),
        ("base_url", "airflow.example.com"),
        ("base_url", "https://user:word@airflow.example.com"),
        ("base_url", "https://airflow.example.com/?a=b"),
        ("base_url", "https://"),
        ("base_url", "javascript:alert(1)"),
        ("slug", "Prod"),
        ("slug", "../x"),
        ("slug", "-x"),
        ("username", ""),
        ("secret", ""),
        ("name", ""),
        ("max_in_flight", "9"),
        ("max_in_flight", "0"),
        ("authentication", "kerberos"),
        ("ca_pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----"),
        ("ca_pem", "not a certificate"),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_field(as_user, admin, field, value) -> None:
    answer = as_user(admin).post(ADD, entered(**{field: value}))
    assert answer.status_code == 422
    assert answer.context["form"].errors[field]
    assert not Server.objects.exists()
    assert "s3cret-word" not in answer.content.decode()


def test_a_private_key_is_turned_away(as_user, admin) -> None:
    pem = certificate() + "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----"
    answer = as_user(admin).post(ADD, entered(ca_pem=pem))
    assert "private key" in str(answer.context["form"].errors["ca_pem"])


def test_an_own_certificate_authority_is_kept(as_user, admin) -> None:
    as_user(admin).post(ADD, entered(ca_pem=certificate()))
    assert Server.objects.get().ca_pem.startswith("-----BEGIN CERTIFICATE-----")


def test_a_token_must_fit_into_a_header(as_user, admin) -> None:
    answer = as_user(admin).post(ADD, entered(authentication="token", username="", secret="one\ttwo"))
    assert answer.status_code == 422
    assert answer.context["form"].errors["secret"]


def test_two_servers_cannot_share_a_short_name(as_user, admin, server) -> None:
    answer = as_user(admin).post(ADD, entered(slug="prod"))
    assert answer.status_code == 422
    assert "already" in str(answer.context["form"].errors["slug"])
    assert Server.objects.get().name == "Production"


# Editing


def test_an_empty_secret_keeps_the_stored_one(as_user, admin, server) -> None:
    as_user(admin).post(edit(server), entered(name="Renamed", secret="", username="op"))
    server.refresh_from_db()
    assert server.name == "Renamed"
    assert decrypt(server.secret_encrypted) == "op-password"


def test_another_way_to_log_in_needs_its_own_secret(as_user, admin, server) -> None:
    answer = as_user(admin).post(edit(server), entered(authentication="token", secret=""))
    assert answer.status_code == 422
    assert answer.context["form"].errors["secret"]


def test_changed_credentials_end_the_old_login(as_user, admin, server) -> None:
    Server.objects.update(login_token_encrypted=encrypt("a.b.c"))
    as_user(admin).post(edit(server), entered(secret="new-word"))
    server.refresh_from_db()
    assert server.login_token_encrypted == ""
    assert decrypt(server.secret_encrypted) == "new-word"


def test_an_edit_leaves_a_trace_of_what_changed_only(as_user, admin, server) -> None:
    as_user(admin).post(edit(server), entered(name="Production", username="op", secret="new-word"))
    detail = AuditEvent.objects.get(action="servers.update").detail
    assert detail == {"base_url": "https://airflow.example.com/team-a", "new_secret": True}


def test_saving_without_a_change_is_no_event(as_user, admin, server) -> None:
    same = entered(name=server.name, base_url=server.base_url, username="op", secret="")
    assert as_user(admin).post(edit(server), same).status_code == 302
    assert not AuditEvent.objects.exists()


def test_a_server_that_is_not_there_is_404(as_user, admin) -> None:
    assert as_user(admin).get("/servers/nope/edit/").status_code == 404


# Checking and removing


@pytest.mark.django_db(transaction=True)
def test_check_now_wakes_the_check_of_this_server(as_user, admin, server, woken) -> None:
    as_user(admin).post(reverse("servers:server_check", kwargs={"slug": "prod"}))
    assert woken == [("servers.check_server", (server.pk,))]


def test_removing_needs_the_short_name_typed(as_user, admin, server) -> None:
    address = reverse("servers:server_remove", kwargs={"slug": "prod"})
    browser = as_user(admin)
    assert browser.get(address).status_code == 200
    assert browser.post(address, {"confirmation": "staging"}).status_code == 422
    assert browser.post(address, {}).status_code == 422
    assert Server.objects.exists()
    assert browser.post(address, {"confirmation": "prod"}).status_code == 302
    assert not Server.objects.exists()
    assert AuditEvent.objects.get().action == "servers.remove"
