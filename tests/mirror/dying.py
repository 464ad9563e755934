"""A worker that dies: at its n-th statement, or at its n-th request to Airflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import connection

from panel.airflow.transport import Transport


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Death:
    """``left`` calls more are done, then none: neither statements nor requests, whatever tidies up meanwhile. The
    database rolls back what was not committed."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.came = False

    def count(self, *, counts: bool = True) -> None:
        if counts and not self.came:
            self.left -= 1
            self.came = self.left < 0
        if self.came:
            raise Killed


@contextmanager
def killed_at_statement(number: int) -> Iterator[Death]:
    """Before the statement of this number, from 0 on, is done."""
    death = Death(number)

    def watch(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        if not sql.startswith("ROLLBACK"):
            death.count()
        return execute(sql, *more)

    with connection.execute_wrapper(watch), suppress(Killed):
        yield death


@contextmanager
def killed_at_request(number: int, *, after: bool) -> Iterator[Death]:
    """Before the request of this number, from 0 on, is sent, or ``after`` its answer came."""
    death = Death(number)
    sent = Transport._sent

    def watch(self: Transport, *args: Any, **more: Any) -> Any:
        if after:
            answer = sent(self, *args, **more)
            death.count()
            return answer
        death.count()
        return sent(self, *args, **more)

    def no_statement(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        if not sql.startswith("ROLLBACK"):
            death.count(counts=False)
        return execute(sql, *more)

    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(no_statement):
        patch.setattr(Transport, "_sent", watch)
        with suppress(Killed):
            yield death
