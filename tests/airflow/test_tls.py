"""A server with a certificate of a company's own authority, over real TLS on the loopback interface."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from panel.airflow import Airflow, BearerToken, Unreachable

pytestmark = pytest.mark.enable_socket


class Version(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"version":"3.3.2"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, ca: bool
):
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(signer, hashes.SHA256())
    )


def pem(thing: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture
def company(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(base URL, the company's CA as PEM) of an HTTPS server."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("Company CA", ca_key, "Company CA", ca_key, ca=True)
    leaf = certificate("airflow", key, "Company CA", ca_key, ca=False)
    (tmp_path / "server.pem").write_bytes(pem(key) + pem(leaf))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = HTTPServer(("127.0.0.1", 0), Version)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", pem(ca).decode()
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture(autouse=True)
def a_proxy_that_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on port 1: what goes through the proxy fails."""
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def test_it_is_trusted_with_its_ca(company):
    base_url, ca_pem = company
    with Airflow(base_url, BearerToken("x"), ca_pem=ca_pem) as airflow:
        assert airflow.version().version == "3.3.2"


def test_a_server_elsewhere_is_reached_through_the_proxy():
    """That is: not reached, the proxy being dead."""
    with Airflow("https://airflow.invalid", BearerToken("x")) as airflow, pytest.raises(Unreachable, match="refused"):
        airflow.version()


def test_it_is_not_trusted_without(company):
    base_url, _ = company
    with Airflow(base_url, BearerToken("x")) as airflow, pytest.raises(Unreachable, match="certificate"):
        airflow.version()
