"""Backfill-conscious mapping: figures of a day that come out the same however often it is run."""

import datetime as dt

import pytest

from examples.dags.mapped_patterns.takings import ShopsMissing, day_of, shop_list, summarize_day, takings_of

DAY = dt.date(2026, 11, 1)


def test_the_same_shop_and_day_give_the_same_figures_and_others_do_not() -> None:
    assert takings_of("shop-0001", DAY) == takings_of("shop-0001", DAY)
    assert takings_of("shop-0001", DAY) != takings_of("shop-0002", DAY)
    assert takings_of("shop-0001", DAY) != takings_of("shop-0001", DAY + dt.timedelta(days=1))


def test_the_day_is_that_of_the_run_and_not_of_the_clock() -> None:
    assert day_of(dt.datetime(2025, 1, 2, tzinfo=dt.UTC)) == dt.date(2025, 1, 2)
    berlin = dt.timezone(dt.timedelta(hours=1))
    assert day_of(dt.datetime(2025, 1, 2, tzinfo=berlin)) == dt.date(2025, 1, 1)
    assert day_of(None) == dt.datetime.now(dt.UTC).date()


def test_a_day_is_added_up_over_its_shops() -> None:
    shops = shop_list(3)
    results = [takings_of(shop, DAY) for shop in shops]
    told = summarize_day(shops, results, DAY)
    assert (told["day"], told["shops"]) == ("2026-11-01", 3)
    assert told["cents"] == sum(result["cents"] for result in results)
    assert summarize_day(shops, reversed(results), DAY) == told


def test_a_shop_without_a_result_keeps_the_day_from_being_published() -> None:
    shops = shop_list(3)
    with pytest.raises(ShopsMissing, match="1 of 3 shops are missing on 2026-11-01: shop-0002"):
        summarize_day(shops, [takings_of(shop, DAY) for shop in shops[:2]], DAY)


def test_many_missing_shops_are_named_in_part() -> None:
    with pytest.raises(ShopsMissing, match=r"24 of 24 .*shop-0004 …$"):
        summarize_day(shop_list(24), [], DAY)
