"""Waking the worker: the one place that sends Celery tasks, by name, so that nothing imports upwards.

The broker is only a wake-up signal. When it is away, nothing is lost: the sweeps of the scheduler find in the
database what is due.
"""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def wake(task_name: str, *args: str | int) -> None:
    """Send the task once the current transaction has committed (at once where there is none)."""
    transaction.on_commit(lambda: _send(task_name, args))


def _send(task_name: str, args: tuple[str | int, ...]) -> None:
    try:
        current_app.send_task(task_name, args=args, ignore_result=True, retry=False)
    except OperationalError as error:
        logger.warning("The broker is away; %s waits for the next sweep: %s", task_name, type(error).__name__)
