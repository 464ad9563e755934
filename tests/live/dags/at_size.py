"""The Dag of tests/live/test_retry_at_size.py: 1,500 mapped indices, as cheap as Airflow can have them."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, get_current_context, task, task_group

LISTED, LOADED, SHIPPED = 1_080, 180, 120


class Listed(EmptyOperator):
    """The scheduler itself ends its instances, in no process."""

    def __init__(self, *, number, **more):
        super().__init__(**more)
        self.number = number


@dag(dag_id="live_at_size", schedule=None, catchup=False, tags=["live"])
def at_size():
    """Of every six numbers one is away on its first try, one always times out, one is a soft failure."""

    def work(number):
        if number % 6 == 1 and get_current_context()["ti"].try_number == 1:
            raise ConnectionError(f"source {number} is away")
        if number % 6 == 2:
            raise TimeoutError(f"no answer for {number}")
        return {"status": "failed", "error": "no rows"} if number % 6 == 3 else {"status": "ok"}

    @task(retries=0)
    def load(number):
        return work(number)

    @task(retries=0)
    def check(number):
        return work(number)

    @task(retries=0)
    def ship(number):
        """Returns nothing: Airflow needs no request to keep it."""

    @task_group
    def each(number):
        check(number) >> ship(number)

    @task(trigger_rule="all_done", retries=0)
    def report():
        return "done"

    listed = Listed.partial(task_id="listed").expand(number=list(range(LISTED)))
    [listed, load.expand(number=list(range(LOADED))), each.expand(number=list(range(SHIPPED)))] >> report()


at_size()
