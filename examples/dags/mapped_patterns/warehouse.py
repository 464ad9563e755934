"""Source and target of the shards, both PostgreSQL. Only a running task imports it: the driver is slow to load."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier

from .shards import KEPT_COLUMNS, READ_COLUMNS, EmptyShard, Row, kept_row

TABLE = "customers"
INSERTED_AT_ONCE = 1_000


def connect(connection: Any) -> Any:
    """connection: an Airflow connection to a PostgreSQL; its extra may have more of libpq's settings."""
    return psycopg2.connect(
        host=connection.host,
        port=connection.port,
        user=connection.login,
        password=connection.password,
        dbname=connection.schema,
        connect_timeout=10,
        **connection.extra_dejson,
    )


def tables_of(source: Any) -> list[str]:
    """Names of the tables that an unqualified name finds."""
    with closing(connect(source)) as database, database, database.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return [name for (name,) in cursor]


def prepare(target: Any, schema: str) -> None:
    """Once before all shards: two of them making the same table at once would disturb each other."""
    names = {"schema": Identifier(schema), "table": Identifier(schema, TABLE)}
    with closing(connect(target)) as database, database, database.cursor() as cursor:
        cursor.execute(SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(**names))
        cursor.execute(
            SQL(
                "CREATE TABLE IF NOT EXISTS {table} (shard text, customer_id bigint, email_hash char(64), country text,"
                " signed_up_on date, PRIMARY KEY (shard, customer_id))"
            ).format(**names)
        )


class ShardLoad:
    """One shard, from its table in the source to the target's table, in batches and in one transaction: a try that
    breaks off leaves the rows of the last complete load, another try replaces them.

    rehearse_empty, rehearse_break: the source seems empty; the target ends the session after the first batch.
    """

    def __init__(self, *, shard: str, source_table: str, target_schema: str, batch_size: int, secret: str) -> None:
        self.shard = shard
        self.source_table = source_table
        self.target = Identifier(target_schema, TABLE)
        self.batch_size = batch_size
        self.secret = secret

    def run(
        self, source: Any, target: Any, *, rehearse_empty: bool = False, rehearse_break: bool = False
    ) -> dict[str, int]:
        """``{"rows_loaded", "rows_replaced", "batches"}``. Raises EmptyShard, psycopg2.Error."""
        rows = batches = 0
        with closing(connect(source)) as reading, closing(connect(target)) as writing:
            cursor = writing.cursor()
            # Two loads of one shard, of two runs perhaps, go one after the other; the lock ends with the transaction.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{TABLE}/{self.shard}"])
            cursor.execute(SQL("DELETE FROM {} WHERE shard = %s").format(self.target), [self.shard])
            replaced = cursor.rowcount
            for batch in self._batches(reading, empty=rehearse_empty):
                self._insert(cursor, batch)
                rows, batches = rows + len(batch), batches + 1
                if rehearse_break:
                    cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            if not rows:
                raise EmptyShard(f"{self.source_table} has no rows; what was loaded before stays")
            # Not `with writing`: its rollback on a connection that broke would hide why it did. Closing rolls back too.
            writing.commit()
        return {"rows_loaded": rows, "rows_replaced": replaced, "batches": batches}

    def _batches(self, reading: Any, *, empty: bool) -> Iterator[list[Row]]:
        """A cursor with a name is the server's: only one batch is here at a time."""
        columns = SQL(", ").join(map(Identifier, READ_COLUMNS))
        query = SQL("SELECT {} FROM {} WHERE NOT %s").format(columns, Identifier(self.source_table))
        with reading.cursor(name="shard") as cursor:
            cursor.execute(query, [empty])
            while batch := cursor.fetchmany(self.batch_size):
                yield batch

    def _insert(self, cursor: Any, batch: list[Row]) -> None:
        columns = SQL(", ").join(map(Identifier, KEPT_COLUMNS))
        rows = [kept_row(row, self.shard, self.secret) for row in batch]
        query = SQL("INSERT INTO {} ({}) VALUES %s").format(self.target, columns)
        execute_values(cursor, query, rows, page_size=INSERTED_AT_ONCE)
