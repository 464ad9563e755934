"""One S3 bucket and the parquet files in it. Only a running task imports it: both libraries are slow to load.

A file goes through a temporary directory in batches of rows, so memory does not depend on its size.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .files import FileRefused

BATCH_ROWS = 10_000
SCHEMA = pa.schema([("order_id", pa.int64()), ("country", pa.string()), ("amount_cents", pa.int64())])


class Bucket:
    """connection: an Airflow connection; its login and password are the keys, its extra has ``endpoint_url`` where S3
    is not AWS's own, and ``region_name``."""

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self._s3 = boto3.client(
            "s3",
            aws_access_key_id=connection.login,
            aws_secret_access_key=connection.password,
            endpoint_url=connection.extra_dejson.get("endpoint_url"),
            region_name=connection.extra_dejson.get("region_name"),
        )

    def listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            yield from page.get("Contents", [])

    def process(self, key: str, target: str, *, damaged: bool = False, missing: str = "") -> tuple[int, int]:
        """Writes the usable rows of the file `key` to `target`; rows processed and dropped.

        damaged, missing: rehearsals; the file is cut in half after its download, or lacks this column.
        """
        with TemporaryDirectory() as directory:
            source, output = Path(directory, "in.parquet"), Path(directory, "out.parquet")
            self._s3.download_file(self.name, key, str(source))
            if damaged:
                os.truncate(source, source.stat().st_size // 2)
            rows, kept = copy_usable_rows(source, output, missing=missing)
            # One PUT, or a multipart upload that shows when complete: readers see the old output or the new one.
            self._s3.upload_file(str(output), self.name, target)
        return kept, rows - kept


def copy_usable_rows(source: Path, output: Path, *, missing: str = "") -> tuple[int, int]:
    """Rows read and rows written. Raises FileRefused for a file without the columns, ArrowInvalid for one that is no
    parquet file."""
    rows = kept = 0
    with pq.ParquetFile(source) as file:
        names = set(file.schema_arrow.names) - {missing}
        if lacking := [name for name in SCHEMA.names if name not in names]:
            raise FileRefused(f"schema mismatch: column '{lacking[0]}' is missing")
        with pq.ParquetWriter(output, SCHEMA) as writer:
            for batch in file.iter_batches(BATCH_ROWS, columns=SCHEMA.names):
                usable = batch.filter(is_usable(batch)).select(SCHEMA.names).cast(SCHEMA)
                writer.write_batch(usable)
                rows, kept = rows + batch.num_rows, kept + usable.num_rows
    return rows, kept


def is_usable(batch: pa.RecordBatch) -> pa.BooleanArray:
    """An order counts when it has a number, a country and an amount that is not negative. A null is no true."""
    known = pc.and_(pc.is_valid(batch["order_id"]), pc.is_valid(batch["country"]))
    return pc.and_kleene(known, pc.greater_equal(batch["amount_cents"], 0))
