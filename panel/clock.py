"""The time that decides who may work on something and until when a request may still arrive: the database's.

Workers on several machines have several clocks. One that is an hour ahead would find every claim expired, and would
take a request that is still under way for one that never arrived.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection


def database_now() -> datetime:
    """The time now, also inside a transaction. With SQLite that is this machine's, on which all processes are."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
            return datetime.fromisoformat(cursor.fetchone()[0]).replace(tzinfo=UTC)
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
