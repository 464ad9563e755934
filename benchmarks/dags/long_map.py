"""A run that goes on for a while and changes little: what polling it costs is what `benchmarks.viewing` counts."""

import time

from airflow.sdk import dag, task


@dag(dag_id="long_map", schedule=None, catchup=False, tags=["benchmark"])
def long_map() -> None:
    @task
    def wait(item: int) -> int:
        time.sleep(1_800)
        return item

    wait.expand(item=list(range(6)))


long_map()
