"""A mapped task that runs once; `benchmarks.seeding` writes the other instances of its run into Airflow's database."""

from airflow.sdk import dag, task


@dag(dag_id="big_map", schedule=None, catchup=False, tags=["benchmark"])
def big_map() -> None:
    @task
    def list_items() -> list[int]:
        return [0]

    @task(map_index_template="{{ label }}")
    def work(item: int) -> dict[str, object]:
        from airflow.sdk import get_current_context

        context = get_current_context()
        context["label"] = f"s3://landing/part-{item:06d}.parquet"  # type: ignore[typeddict-unknown-key]  # own key
        return {"id": item, "status": "ok", "rows_processed": 1_000 + item}

    work.expand(item=list_items())


big_map()
