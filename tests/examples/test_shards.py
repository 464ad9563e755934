"""Database shards: what leaves a shard, what is counted, when too few rows came."""

import datetime as dt
from typing import Any

import pytest

from examples.dags.mapped_patterns.shards import (
    KEPT_COLUMNS,
    READ_COLUMNS,
    EmptyShard,
    NoShards,
    TooFewRows,
    email_hash,
    empty_shard,
    kept_row,
    require_volume,
    shards_from,
    summarize_shards,
)

DAY = dt.date(2026, 1, 2)


def loaded(shard: str, rows: int) -> dict[str, Any]:
    return {"shard": shard, "status": "ok", "rows_loaded": rows, "rows_replaced": 0, "batches": 1}


def test_shards_are_the_customers_tables_in_order() -> None:
    assert shards_from(["customers_02", "orders_01", "customers_01"]) == [
        {"shard": "01", "source_table": "customers_01"},
        {"shard": "02", "source_table": "customers_02"},
    ]


def test_a_source_without_shards_is_an_error() -> None:
    with pytest.raises(NoShards, match="customers_"):
        shards_from(["orders_01"])


def test_a_phone_number_is_neither_read_nor_kept() -> None:
    assert not [column for column in (*READ_COLUMNS, *KEPT_COLUMNS) if "phone" in column]


def test_an_address_leaves_only_as_a_hash() -> None:
    row = kept_row((7, "Ann@Example.com", "DE", DAY), "01", "secret")
    assert row == ("01", 7, email_hash("ann@example.com", "secret"), "DE", DAY)
    assert "ann" not in str(row).lower()
    assert len(row) == len(KEPT_COLUMNS)


def test_the_hash_ignores_case_and_blanks_and_keeps_people_apart() -> None:
    assert email_hash(" Ann@Example.com\n", "secret") == email_hash("ann@example.com", "secret")
    assert email_hash("ann@example.com", "secret") != email_hash("bob@example.com", "secret")


def test_without_the_secret_the_hash_is_another() -> None:
    assert email_hash("ann@example.com", "secret") != email_hash("ann@example.com", "guess")


def test_a_missing_address_stays_missing() -> None:
    assert email_hash(None, "secret") is None


SHARDS = [{"shard": name, "source_table": f"customers_{name}"} for name in ("00", "01", "02")]


def test_the_summary_names_shards_that_are_absent_or_were_empty() -> None:
    results = [loaded("00", 40_000), empty_shard("01", EmptyShard("customers_01 has no rows"))]
    assert summarize_shards(SHARDS, results) == {
        "shards": 3,
        "loaded": 1,
        "missing": ["01", "02"],
        "rows_loaded": 40_000,
    }


def test_results_of_shards_that_are_no_longer_mapped_do_not_count() -> None:
    assert summarize_shards(SHARDS, [loaded("09", 500_000)])["rows_loaded"] == 0


@pytest.mark.parametrize(("rows", "red"), [(99_999, True), (100_000, False), (100_001, False)])
def test_the_volume_is_met_at_the_least_and_missed_below(rows: int, red: bool) -> None:
    summary = summarize_shards(SHARDS, [loaded("00", 60_000), loaded("01", rows - 60_000)])
    if red:
        with pytest.raises(TooFewRows, match="99,999 rows were loaded, 100,000 are the least; missing: 02"):
            require_volume(summary, least_rows=100_000)
    else:
        require_volume(summary, least_rows=100_000)
