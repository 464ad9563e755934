"""An S3 API on loopback, by moto, with a bucket of parquet files. Runs in Airflow's virtual environment.

`python -m examples.demo.s3_server PORT` says `ready` on standard output once the files are there, and ends when its
standard input does: whoever started it closed the pipe, or died. Everything is in memory.
"""

import io
import os
import sys
import threading
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from examples.demo.ports import LOOPBACK

BUCKET, PREFIX = "orders", "incoming/"
FILES, ROWS = 24, 500
COUNTRIES = ("DE", "FR", "IT", "PL", None)
REGION = "us-east-1"


def orders(number: int) -> pa.Table:
    """The same for the same number. Some rows are of no use: one in five without country, one in 25 below zero."""
    ids = [number * ROWS + row for row in range(ROWS)]
    amounts = [-1 if one % 25 == 0 else 100 + one * 7919 % 90_000 for one in ids]
    countries = [COUNTRIES[one % len(COUNTRIES)] for one in ids]
    return pa.table({"order_id": ids, "country": countries, "amount_cents": amounts, "comment": ["-"] * ROWS})


def fill(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}_SUCCESS", Body=b"")
    for number in range(FILES):
        content = io.BytesIO()
        pq.write_table(orders(number), content)
        s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}part-{number:04d}.parquet", Body=content.getvalue())


def main(port: int) -> None:
    server = make_server(LOOPBACK, port, DomainDispatcherApplication(create_backend_app), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # moto looks at no key; boto3 wants some.
    keys = {"aws_access_key_id": "moto", "aws_secret_access_key": "moto", "region_name": REGION}
    fill(boto3.client("s3", endpoint_url=f"http://{LOOPBACK}:{port}", **keys))
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)  # its threads may be in the middle of an answer that nobody wants any more


if __name__ == "__main__":
    main(int(sys.argv[1]))
