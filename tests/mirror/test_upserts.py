"""Moments are written as Django would write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.upserts import upsert_instances

pytestmark = pytest.mark.django_db

MOMENTS = [
    None,
    datetime(2026, 11, 27, 3, 4, 5, tzinfo=UTC),
    datetime(2026, 11, 27, 3, 4, 5, 678, tzinfo=UTC),
    datetime(2026, 11, 27, 3, 4, 5, 678_000, tzinfo=timezone(timedelta(hours=-5))),
    datetime(2026, 7, 27, 1, 4, 5, tzinfo=ZoneInfo("Europe/Madrid")),
]


def test_moments_are_written_as_django_writes_them(mapped: Callable[..., MappedTask]) -> None:
    task = mapped(1)

    def instance(index: int, moment: datetime | None) -> Instance:
        return Instance(mapped_task=task, map_index=index, outcome="success", start_date=moment)

    upsert_instances([instance(1_000 + place, moment) for place, moment in enumerate(MOMENTS)])
    Instance.objects.bulk_create([instance(2_000 + place, moment) for place, moment in enumerate(MOMENTS)])

    with connection.cursor() as cursor:
        table = Instance._meta.db_table  # as text: SQLite reads more than one form of a moment, but sorts by the text
        cursor.execute(f"SELECT CAST(start_date AS TEXT) FROM {table} WHERE map_index >= 1000 ORDER BY map_index")
        kept = [row[0] for row in cursor.fetchall()]
    assert kept[: len(MOMENTS)] == kept[len(MOMENTS) :]
    read = Instance.objects.filter(map_index__gte=1_000, map_index__lt=2_000).order_by("map_index")
    assert [row.start_date for row in read] == MOMENTS
