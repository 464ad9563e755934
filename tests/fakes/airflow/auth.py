"""The fake's logins: users with roles, and tokens shaped like JWTs that can expire or be spoilt."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.airflow.state import Clock
from tests.fakes.airflow.wire import Answer, Request, refuse

ROLES = {"viewer": {"read"}, "user": {"read", "write"}, "op": {"read", "write"}, "admin": {"read", "write"}}


def password_of(name: str) -> str:
    """The password that a fake's own users have."""
    return f"{name}-password"


@dataclass
class Auth:
    """``passwords`` and ``roles`` by user name. ``lifetime_seconds`` is that of tokens given out from now on."""

    clock: Clock
    passwords: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    lifetime_seconds: float = 86_400
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    logins: int = 0
    _expired: set[str] = field(default_factory=set)
    _given: list[str] = field(default_factory=list)

    def add_user(self, name: str, password: str, role: str) -> None:
        if role not in ROLES:
            raise ValueError(f"Roles are {', '.join(ROLES)}.")
        self.passwords[name], self.roles[name] = password, role

    def expire_tokens(self) -> None:
        """All tokens given out so far answer 401 from now on, whatever their ``exp`` says."""
        self._expired.update(self._given)

    def change_secret(self) -> None:
        """As when the server's ``jwt_secret`` changes: all tokens answer 403 "Invalid JWT token"."""
        self.secret = secrets.token_hex(16)

    def token_for(self, name: str) -> str:
        now = self.clock.now().timestamp()
        claims = {
            "sub": name,
            "role": self.roles[name],
            "jti": secrets.token_hex(8),
            "aud": "apache-airflow",
            "nbf": int(now),
            "iat": int(now),
            "exp": int(now + self.lifetime_seconds),
        }
        head = f"{_b64({'alg': 'HS512', 'typ': 'JWT'})}.{_b64(claims)}"
        token = f"{head}.{self._signature(head)}"
        self._given.append(token)
        return token

    def login(self, request: Request) -> Answer:
        """``POST /auth/token``."""
        body = request.body
        if "json" not in request.headers["content-type"]:
            detail = "Only application/json or application/x-www-form-urlencoded is supported"
            return refuse(415, detail)
        if not isinstance(body, dict):
            return Answer(500, text="Internal Server Error", content_type="text/plain; charset=utf-8")
        wrong = [name for name in ("username", "password") if not isinstance(body.get(name), str)]
        wrong += [name for name in body if name not in ("username", "password")]
        if wrong:
            detail = (
                f"1 validation error for LoginBody\n{wrong[0]}\n  Field required [type=missing, input_value={body}]"
            )
            return refuse(422, detail)
        if not body["username"] or not body["password"]:
            return refuse(400, "Username and password must be provided")
        if self.passwords.get(body["username"]) != body["password"]:
            return refuse(401, "Invalid credentials")
        self.logins += 1
        return Answer(201, {"access_token": self.token_for(body["username"])})

    def user(self, request: Request) -> str:
        """The user of a bearer token; raises Airflow's refusals."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise refuse(401, "Not authenticated")
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(head)):
            raise refuse(403, "Invalid JWT token")
        payload = head.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if token in self._expired or claims["exp"] < self.clock.now().timestamp():
            raise refuse(401, "Token Expired")
        return str(claims["sub"])

    def may(self, user: str, need: str) -> bool:
        return need in ROLES[self.roles[user]]

    def _signature(self, head: str) -> str:
        return hmac.new(self.secret.encode(), head.encode(), hashlib.sha256).hexdigest()


def _b64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
