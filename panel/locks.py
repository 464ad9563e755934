"""Locks that last until the end of a transaction, for what no constraint can say: so many an hour, so many at once."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection


def hold_until_commit(names: Iterable[str]) -> None:
    """Wait until nobody else is between this call for one of these names and the end of its transaction.

    Call it inside the transaction that checks and stores. With SQLite a transaction is alone anyway
    (``transaction_mode`` in config/settings.py).
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for name in sorted(set(names)):  # in one order, so that two cannot dead-lock
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
