"""Task instances and their ``return_value``s, read with one statement and written as JSON.

A value goes from the database into the answer as the text it is stored as: it is neither parsed nor built again here.
With an object-storage backend that text is the reference; the object itself is not read.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import LargeBinary, Text, and_, case, cast, exists, func, null, select

MOST_ROWS = 10_000
VALUE_BYTES = 64 * 1024
"""A longer value is not sent; its size says what is missing."""
ANSWER_BYTES = 16 * 1024 * 1024
"""A page whose values reach this ends early."""
ROWS_AT_ONCE = 500
"""So many rows are fetched together: with all values at their limit, 32 MB."""


def rows_as_json(
    session: Any, dag_id: str, run_id: str, task_id: str, *, after: int, limit: int
) -> tuple[list[str], int | None]:
    """Rows as JSON texts, and the map_index to go on after, or ``None`` when these are the last."""
    statement = (
        select(*_columns(session.get_bind().dialect.name))
        .select_from(TaskInstance)
        .outerjoin(XComModel, _current_result())
        .where(*_of_task(dag_id, run_id, task_id), TaskInstance.map_index > after)
        .order_by(TaskInstance.map_index)
        .limit(limit + 1)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    rows: list[str] = []
    taken = 0
    last = after
    with closing(session.execute(statement)) as found:
        for row in found:
            if len(rows) == limit or taken >= ANSWER_BYTES:
                return rows, last
            rows.append(_as_json(row))
            taken += len(rows[-1])
            last = row.map_index
    return rows, None


def has_instances(session: Any, dag_id: str, run_id: str, task_id: str) -> bool:
    return bool(session.scalar(select(exists().where(*_of_task(dag_id, run_id, task_id)))))


def _of_task(dag_id: str, run_id: str, task_id: str) -> tuple[Any, ...]:
    return TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id


def _current_result() -> Any:
    """Only an instance that succeeded has a result: a cleared one keeps the old value until its new try starts."""
    return and_(
        XComModel.dag_id == TaskInstance.dag_id,
        XComModel.run_id == TaskInstance.run_id,
        XComModel.task_id == TaskInstance.task_id,
        XComModel.map_index == TaskInstance.map_index,
        XComModel.key == "return_value",
        TaskInstance.state == "success",
    )


def _columns(dialect: str) -> list[Any]:
    text = cast(XComModel.value, Text)
    # Not every SQLite that Airflow runs on has octet_length.
    size = func.length(cast(text, LargeBinary)) if dialect == "sqlite" else func.octet_length(text)
    return [
        TaskInstance.map_index,
        TaskInstance.state,
        TaskInstance.try_number,
        TaskInstance.start_date,
        XComModel.timestamp,
        size.label("size"),
        case((size <= VALUE_BYTES, text), else_=null()).label("value"),
    ]


def _as_json(row: Any) -> str:
    fields: dict[str, Any] = {"map_index": row.map_index, "state": row.state, "try_number": row.try_number}
    if row.start_date is not None:
        fields["start_date"] = row.start_date.isoformat()
    if row.timestamp is None:
        return json.dumps(fields)
    fields |= {"timestamp": row.timestamp.isoformat(), "has_value": True, "size": row.size}
    if row.size is not None and row.size > VALUE_BYTES:
        return json.dumps(fields | {"truncated": True})
    return f'{json.dumps(fields)[:-1]}, "value": {row.value or "null"}}}'
