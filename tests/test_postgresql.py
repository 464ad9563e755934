"""Our backend for PostgreSQL. What needs no such database is tested on SQLite as well."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import connection

from panel.access.models import AuditEvent
from panel.postgresql.base import ALIVE_SECONDS, DatabaseWrapper, moments_in

OID = 1184


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["2026-11-27T02:05:30.120003+00:00", "1066-10-14T09:00:00+00:00"])
def test_a_moment_comes_back_as_it_was_stored(text) -> None:
    moment = datetime.fromisoformat(text)
    AuditEvent.objects.create(action="x", target_kind="x", target_id="1")
    AuditEvent.objects.update(at=moment)
    found = AuditEvent.objects.get().at
    assert (found, found.tzinfo) == (moment, UTC)


@pytest.mark.django_db
def test_the_panel_reads_them_by_compiled_code() -> None:
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        loader = connection.connection.adapters.get_loader(OID, 0)
        assert (loader.__module__, loader.timezone) == ("panel.postgresql.base", connection.timezone)
    assert moments_in(UTC) is moments_in(UTC), "psycopg keeps each class for good"


class Clocked(DatabaseWrapper):
    """On a connection that is there, at a time that the test sets; ``asked`` is when it had to prove that it lives."""

    def __init__(self) -> None:
        super().__init__({**connection.settings_dict, "CONN_HEALTH_CHECKS": True, "OPTIONS": {}})
        self.connection, self.health_check_enabled, self.asked = SimpleNamespace(), True, []
        self.now = 0.0

    def is_usable(self) -> bool:
        self.asked.append(self.now)
        return True

    def request(self, now: float) -> None:
        """Its first query."""
        self.now, self.health_check_done = now, False
        self.close_if_health_check_failed()
        assert self.health_check_done


def test_a_connection_in_use_is_not_asked_again_whether_it_is_alive(monkeypatch) -> None:
    wrapper = Clocked()
    monkeypatch.setattr("panel.postgresql.base.time.monotonic", lambda: wrapper.now)
    for now in (1_000.0, 1_000.3, 1_000.9, 1_001.8):  # each within a second of the one before
        wrapper.request(now)
    assert wrapper.asked == [1_000.0]
    wrapper.request(1_001.8 + ALIVE_SECONDS)
    assert wrapper.asked == [1_000.0, 1_001.8 + ALIVE_SECONDS]
    wrapper.errors_occurred = True
    wrapper.request(1_003.0)
    assert wrapper.asked[-1] == 1_003.0, "after an error it is asked whatever the time"
