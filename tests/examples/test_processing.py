"""The resilient processing's own logic: fates, soft against hard, the summary and its gate, the metrics."""

import socket
from collections import Counter
from typing import Any

import pytest

from examples.dags.mapped_patterns.metrics import send_counts
from examples.dags.mapped_patterns.processing import (
    FatalItemError,
    GateClosed,
    Plan,
    RecoverableItemError,
    item_list,
    process,
    require_gate,
    soft_failure,
    summarize,
)

PLAN = Plan(items=100, fatal_percent=6, flaky_percent=8, crash_percent=7, seed=7)


def outcomes(plan: Plan, *, try_number: int, heals: str = "manual_retry", fixed: bool = False) -> list[Any]:
    """What each item's instance gives on that try: its result, or the exception's type."""
    found: list[Any] = []
    for item, fate in zip(item_list(plan), plan.fates(), strict=True):
        try:
            found.append(process(item, fate, try_number=try_number, heals=heals, fixed=fixed))
        except FatalItemError as error:
            found.append(soft_failure(item, error))
        except (RecoverableItemError, ConnectionError, KeyError) as error:
            found.append(type(error))
    return found


def test_the_plan_gives_exact_numbers() -> None:
    assert Counter(PLAN.fates()) == {"fine": 79, "flaky": 8, "crash": 7, "fatal": 6}


def test_the_same_seed_gives_the_same_fates_and_another_seed_others() -> None:
    assert PLAN.fates() == Plan(100, 6, 8, 7, seed=7).fates()
    assert PLAN.fates() != Plan(100, 6, 8, 7, seed=8).fates()


@pytest.mark.parametrize("items", [1, 2, 7, 300, 1024])
def test_every_size_has_one_fate_an_item(items: int) -> None:
    plan = Plan(items, 33.3, 33.3, 33.4, seed=1)
    assert len(plan.fates()) == items == sum(plan.counts().values())


def test_shares_above_a_hundred_percent_are_refused() -> None:
    params = {"items": 10, "fatal_percent": 50, "flaky_percent": 30, "crash_percent": 21, "seed": 1}
    with pytest.raises(ValueError, match="more than 100"):
        Plan.from_params(params)


def test_a_fatal_error_becomes_a_soft_failure_that_names_the_item_and_the_error() -> None:
    soft = [result for result in outcomes(PLAN, try_number=1) if isinstance(result, dict) and "error" in result]
    assert len(soft) == 6
    assert all(result["status"] == "failed" and "schema mismatch" in result["error"] for result in soft)
    assert {result["id"] for result in soft} == {i for i, fate in enumerate(PLAN.fates()) if fate == "fatal"}


def test_a_recoverable_error_is_raised_and_gone_within_the_automatic_tries() -> None:
    assert outcomes(PLAN, try_number=1).count(RecoverableItemError) == 8
    assert outcomes(PLAN, try_number=3).count(RecoverableItemError) == 0


def test_crashes_last_through_all_automatic_tries() -> None:
    for try_number in (1, 2, 3):
        crashed = [result for result in outcomes(PLAN, try_number=try_number) if result in (ConnectionError, KeyError)]
        assert len(crashed) == 7


def test_a_retry_by_hand_heals_everything() -> None:
    assert all(result["status"] == "ok" for result in outcomes(PLAN, try_number=4))


def test_with_heals_by_switch_a_retry_alone_changes_nothing() -> None:
    healed = outcomes(PLAN, try_number=4, heals="switch")
    assert sum(result in (ConnectionError, KeyError) for result in healed) == 7
    assert sum(isinstance(result, dict) and result["status"] == "failed" for result in healed) == 6


def test_the_switch_heals_everything() -> None:
    assert all(result["status"] == "ok" for result in outcomes(PLAN, try_number=1, heals="switch", fixed=True))


def delivered(plan: Plan) -> list[dict[str, Any]]:
    """What Airflow hands to the aggregator: failed instances are absent, the others move together."""
    return [result for result in outcomes(plan, try_number=3, heals="switch") if isinstance(result, dict)]


def test_the_summary_counts_absent_instances_as_hard_failures() -> None:
    results = delivered(PLAN)
    assert len(results) == 93
    assert None not in results  # so counting None would find no hard failure at all
    assert summarize(item_list(PLAN), results) == {
        "total": 100,
        "success": 87,
        "soft_failure": 6,
        "hard_failure": 7,
        "hard_percent": 7.0,
    }


def test_results_of_items_that_are_no_longer_mapped_do_not_count() -> None:
    # Airflow keeps the XComs of indices that were removed when a map shrank.
    stale = [{"id": 99, "status": "ok"}, {"id": 98, "status": "failed", "error": "old"}]
    items = [{"id": 0}, {"id": 1}]
    assert summarize(items, [{"id": 0, "status": "ok"}, *stale])["hard_failure"] == 1


def test_the_gate_turns_red_when_failed_instances_are_absent() -> None:
    with pytest.raises(GateClosed, match=r"7 of 100 items failed for good \(7%, the gate is 5%\)"):
        require_gate(summarize(item_list(PLAN), delivered(PLAN)), gate_percent=5)


@pytest.mark.parametrize(("hard", "closed"), [(0, False), (5, False), (6, True), (100, True)])
def test_the_gate_is_open_at_five_percent_and_closed_above(hard: int, closed: bool) -> None:
    items = [{"id": index} for index in range(100)]
    summary = summarize(items, [{"id": index, "status": "ok"} for index in range(100 - hard)])
    if closed:
        with pytest.raises(GateClosed):
            require_gate(summary, gate_percent=5)
    else:
        require_gate(summary, gate_percent=5)


def test_the_gate_is_not_rounded_open() -> None:
    items = [{"id": index} for index in range(100_000)]
    summary = summarize(items, [{"id": index, "status": "ok"} for index in range(100_000 - 5001)])
    with pytest.raises(GateClosed):
        require_gate(summary, gate_percent=5)


def test_soft_failures_do_not_close_the_gate() -> None:
    items = [{"id": index} for index in range(10)]
    summary = summarize(items, [{"id": index, "status": "failed", "error": "x"} for index in range(10)])
    require_gate(summary, gate_percent=5)
    assert summary["soft_failure"] == 10


def test_an_empty_batch_passes() -> None:
    require_gate(summarize([], []), gate_percent=5)


@pytest.mark.enable_socket
def test_the_counts_reach_statsd_under_their_names() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(5)
        port = statsd.getsockname()[1]
        send_counts(summarize(item_list(PLAN), delivered(PLAN)), host="127.0.0.1", port=port)
        lines = statsd.recv(4096).decode().splitlines()
    assert lines == ["processing.success:87|c", "processing.soft_failure:6|c", "processing.hard_failure:7|c"]
