"""Moments from PostgreSQL, read by psycopg's compiled code."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper


def read_moments_quickly(connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    """For ``connection_created``. Django reads a ``timestamptz`` in Python, to give it its own ``timezone.utc``: 2.7 µs
    each, which is two fifths of the time of a list. The compiled loader takes a twentieth, and gives the same moment.

    Without psycopg's compiled part everything stays as Django has it.
    """
    if connection.vendor != "postgresql" or not settings.USE_TZ:
        return
    from psycopg import adapters, pq  # noqa: PLC0415 - there need be no psycopg where the database is SQLite
    from psycopg.abc import AdaptContext  # noqa: PLC0415 - as above
    from psycopg.adapt import Loader  # noqa: PLC0415 - as above

    found = adapters.get_loader(adapters.types["timestamptz"].oid, pq.Format.TEXT)
    if pq.__impl__ == "python" or found is None:
        return
    compiled = found

    class Moments(Loader):
        timezone: tzinfo | None = connection.timezone  # Django looks for it, to see that the loader is right

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._load = compiled(oid, context).load

        def load(self, data: Any) -> datetime:
            moment: datetime = self._load(data)
            return moment.replace(tzinfo=self.timezone)

    connection.connection.adapters.register_loader("timestamptz", Moments)
