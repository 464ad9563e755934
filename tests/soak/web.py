"""The web process as it is, except that it dies between commit and publish while a file tells it to."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from config.wsgi import application
from panel import wake

__all__ = ["application"]

FATAL = Path(os.environ["SOAK_WEB_DIES_WHILE_THERE_IS"])
publish = wake._send


def _publish_or_die(task_name: str, args: tuple[str | int, ...]) -> None:
    if task_name == "retries.run_job" and FATAL.exists():
        os.killpg(os.getpgrp(), signal.SIGKILL)  # its own process group, in which nothing else is
    publish(task_name, args)


wake._send = _publish_or_die
