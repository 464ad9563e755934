"""Sessions that know whose they are: one query tells who asks and what they may do, where Django's own needs three."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends import db
from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from panel.access.authorization import keep_groups
from panel.prepared import Prepared

_OF_THE_USER: Final = (
    "id", "password", "is_superuser", "username", "first_name", "last_name", "email", "is_active",
)  # fmt: skip
"""In the order of the model, as ``prepared.columns`` would give them; settings name this module before there are
models."""


_WITH_DJANGOS_USERS: Final = frozenset({"django.contrib.auth.backends.ModelBackend", "axes.backends.AxesBackend"})
"""The backends to which a user is the row of that key, if it is active."""


class SessionStore(db.SessionStore):
    """Django's, over ``panel.access.models.Session``. ``user`` is the user of the row, with their groups, once the
    session was read."""

    user: User | None = None

    @classmethod
    def get_model_class(cls) -> Any:
        from panel.access.models import Session  # noqa: PLC0415 - settings name this module before there are models

        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row: Any = super().create_model_instance(data)
        row.user_id = data.get(SESSION_KEY)
        return row

    def load(self) -> dict[str, Any]:
        found = _SESSION_AND_USER.fetch(self.session_key, timezone.now())
        if not found:
            self._session_key = None
            return {}
        data, _group, *values = found[0]
        if values[0] is not None:
            self.user = User.from_db(DEFAULT_DB_ALIAS, _OF_THE_USER, values)
            keep_groups(self.user, {row[1] for row in found if row[1] is not None})
        return self.decode(data)


def _session_and_user() -> QuerySet[Any, Any]:
    """The session that has a key after a moment, and its user: a row for each group."""
    held = SessionStore.get_model_class().objects.filter(session_key="").filter(expire_date__gt=timezone.now())
    rows: QuerySet[Any, Any] = held.values_list(
        "session_data", "user__groups__name", *(f"user__{name}" for name in _OF_THE_USER)
    )
    return rows


_SESSION_AND_USER: Final = Prepared(
    _session_and_user,
    lambda: [SessionStore.get_model_class()._meta.get_field(name) for name in ("session_key", "expire_date")],
)


def user_of(request: HttpRequest) -> User | AnonymousUser:
    """Who asks. The user of the session's row, when all holds that Django asks for: the session names this user and a
    backend that is in use, the user is active, and has the password that the session began with. Everything else
    (a rotated key, a session to be ended) is Django's to decide."""
    session = request.session
    named = session.get(SESSION_KEY)
    user: User | None = getattr(session, "user", None)
    if (
        user is not None
        and named == str(user.pk)
        and user.is_active
        and session.get(BACKEND_SESSION_KEY) in _WITH_DJANGOS_USERS.intersection(settings.AUTHENTICATION_BACKENDS)
        and constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    ):
        return user
    return get_user(request)
