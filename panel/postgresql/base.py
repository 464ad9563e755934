"""Django's PostgreSQL, with less to do for each request and each row. ``ENGINE`` is ``panel.postgresql``.

A connection that was used within the last second is not asked again whether it is alive, which a request would pay with
a tenth of its time; one that broke meanwhile is told by its first query, and closed. Moments are read by psycopg's
compiled code: Django reads a ``timestamptz`` in Python, 2.7 µs each, which is two fifths of the time of a list.
"""

from __future__ import annotations

import time
from datetime import datetime, tzinfo
from functools import cache
from typing import Any, Final, cast

from django.db.backends.postgresql import base
from psycopg import adapters, pq
from psycopg.abc import AdaptContext
from psycopg.adapt import Loader

ALIVE_SECONDS: Final = 1.0
_ANY: Final = b"2000-01-01 00:00:00+00"
_COMPILED: Final = cast(type[Loader], adapters.get_loader(adapters.types["timestamptz"].oid, pq.Format.TEXT))


class DatabaseWrapper(base.DatabaseWrapper):
    _alive_at = float("-inf")

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        if pq.__impl__ != "python":
            connection.adapters.register_loader("timestamptz", moments_in(self.timezone))
        return connection

    def close_if_health_check_failed(self) -> None:
        now = time.monotonic()
        if self.connection is not None and now - self._alive_at < ALIVE_SECONDS and not self.errors_occurred:
            self.health_check_done = True
        else:
            super().close_if_health_check_failed()
        self._alive_at = now


@cache  # psycopg keeps every class of loaders for good
def moments_in(zone: tzinfo | None) -> type[Loader]:
    """A loader of ``timestamptz`` that gives every moment this zone, as Django's does."""

    class Moments(Loader):
        timezone = zone  # Django looks for it, to see that the loader is right

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._load = _COMPILED(oid, context).load
            if cast(datetime, self._load(_ANY)).tzinfo is zone:  # as in UTC: it is right as it comes
                self.load = self._load  # type: ignore[method-assign]  # of this object, which lives as long as a query

        def load(self, data: Any) -> datetime:
            moment: datetime = self._load(data)
            return moment.replace(tzinfo=self.timezone)

    return Moments
