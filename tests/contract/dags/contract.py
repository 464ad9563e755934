"""Dags whose behaviour the contract suite knows; the fake Airflow is given the same stage (tests/contract/stage.py)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag, get_current_context, task, task_group

NO_SCHEDULE = {"schedule": None, "catchup": False, "tags": ["contract"]}


def conf(name):
    return get_current_context()["params"][name]


@dag(
    dag_id="contract_params",
    params={
        "name": Param(type="string", title="Name", description="Who"),
        "n": Param(3, type="integer", minimum=1, maximum=10),
        "kind": Param("b", enum=["a", "b"], values_display={"a": "Kind A", "b": "Kind B"}),
        "day": Param("2026-01-02", type="string", format="date"),
        "maybe": Param(None, type=["null", "string"]),
        "plain": 5,
    },
    **NO_SCHEDULE,
)
def contract_params():
    @task
    def echo():
        return conf("n")

    echo()


@dag(dag_id="contract_mapped", params={"n": Param(6, type="integer", minimum=0, maximum=50)}, **NO_SCHEDULE)
def contract_mapped():
    """Of every five items: one succeeds, one crashes on its first try, one always crashes, one is a soft failure on its
    first try, one returns nothing."""

    @task
    def items():
        return list(range(conf("n")))

    @task(map_index_template="item-{{ item }}", retries=0)
    def work(item):
        context = get_current_context()
        context["item"] = item
        first = context["ti"].try_number == 1
        if item % 5 == 1 and first:
            raise RuntimeError(f"item {item} crashed")
        if item % 5 == 2:
            try:
                {}["missing"]
            except KeyError as error:
                raise ValueError(f"item {item} never works") from error
        if item % 5 == 3 and first:
            return {"id": item, "status": "failed", "error": "soft"}
        return None if item % 5 == 4 else {"id": item, "status": "ok"}

    @task(trigger_rule="all_done")
    def summary(results):
        return {"seen": len(results)}

    summary(work.expand(item=items()))


@dag(dag_id="contract_group", **NO_SCHEDULE)
def contract_group():
    """A mapped group of two tasks; the first one's index 1 crashes on its first try."""

    @task
    def first(x):
        if x == 1 and get_current_context()["ti"].try_number == 1:
            raise RuntimeError("first crashed")
        return x

    @task
    def second(x):
        return x * 10

    @task_group
    def each(x):
        second(first(x))

    @task(trigger_rule="all_done")
    def after():
        return "after"

    each.expand(x=[0, 1, 2]) >> after()


@dag(dag_id="contract_values", **NO_SCHEDULE)
def contract_values():
    """Results of every kind, by index: tests/contract/stage.py has the same list."""

    @task
    def work(kind):
        return {
            "object": {"id": 1, "nested": {"numbers": [1, 2.5], "none": None}},
            "text": "grün “quoted” \\ and\nlines",
            "number": 7,
            "false": False,
            "empty": {},
            "tuple": (1, "a"),
            "moment": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "large": "ä" * 40_000,
            "none": None,
        }[kind]

    work.expand(kind=["object", "text", "number", "false", "empty", "tuple", "moment", "large", "none"])


@dag(dag_id="contract_slow", **NO_SCHEDULE)
def contract_slow():
    """Index 0 works on and on until somebody marks it; index 1 ends at once."""

    @task(execution_timeout=timedelta(minutes=5))
    def work(x):
        if x == 0:
            time.sleep(240)
        return x

    work.expand(x=[0, 1])


@dag(
    dag_id="contract_daily",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    end_date=datetime(2025, 12, 31, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=8,
    params={"n": Param(2, type="integer", minimum=1, maximum=5)},
    tags=["contract"],
)
def contract_daily():
    """Only backfills run it: its time is over."""

    @task(max_active_tis_per_dag=4)
    def work(x):
        return x

    work.expand(x=[0, 1])


@dag(dag_id="contract_paused", is_paused_upon_creation=True, **NO_SCHEDULE)
def contract_paused():
    @task
    def work():
        pass

    work()


contract_daily()
contract_params()
contract_paused()
contract_mapped()
contract_group()
contract_slow()
contract_values()
