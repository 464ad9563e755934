"""What the page of one instance asks of Airflow at once, because the mirror does not keep it.

Each is one bounded call and raises AirflowError: NotFound when Airflow no longer has the run, the instance or the try.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, Log, NotFound, Try
from panel.domain import states
from panel.domain.outcomes import ResultState
from panel.mirror.log_lines import text_lines
from panel.mirror.models import Instance
from panel.mirror.references import is_reference
from panel.servers.client import open_client
from panel.servers.models import Server

RESULT_BYTES: Final = 1024 * 1024
"""A page shows no more of a result than this."""
LOG_PAGES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Result:
    """A result as JSON text, indented, cut to RESULT_BYTES when ``cut``; "" where there is none, with ``reason``.

    ``value`` is the value itself, however large."""

    state: ResultState
    text: str = ""
    cut: bool = False
    reason: str = ""
    value: Any = None


@dataclass(frozen=True, slots=True)
class Details:
    """What one look at an instance shows beside the mirror: its tries, oldest first, and its rendered input."""

    tries: list[Try]
    rendered_fields: dict[str, Any]


def read_tries(*, instance: Instance) -> list[Try]:
    """All tries, oldest first, the current one included."""
    with open_client(_server(instance)) as airflow:
        return _tries(airflow, instance)


def read_rendered(*, instance: Instance) -> dict[str, Any]:
    """The rendered template fields, the mapped input among them; empty before the instance first ran."""
    with open_client(_server(instance)) as airflow:
        return _rendered(airflow, instance)


def read_details(*, instance: Instance) -> Details:
    """Tries and rendered input with one login."""
    with open_client(_server(instance)) as airflow:
        return Details(tries=_tries(airflow, instance), rendered_fields=_rendered(airflow, instance))


def read_result(*, instance: Instance) -> Result:
    """The result, asked of Airflow only where the mirror keeps no more than a preview."""
    state = ResultState(instance.result_state)
    if instance.state != states.SUCCESS:
        return Result(ResultState.NONE)
    if state is ResultState.EXTERNAL:
        return Result(state, str(instance.result or ""), reason=instance.result_reason)
    if state is not ResultState.READ:
        return Result(state, reason=instance.result_reason)
    if not instance.result_shortened:
        return _shown(instance.result)
    try:
        with open_client(_server(instance)) as airflow:
            value = airflow.xcoms.get(*_address(instance), instance.map_index).value
    except NotFound:
        return Result(ResultState.ABSENT)
    # What was read from object storage stays a preview here: only the worker opens that.
    held_elsewhere = is_reference(instance.mapped_task, value)
    return replace(_shown(instance.result), cut=True) if held_elsewhere else _shown(value)


def read_log(*, instance: Instance, try_number: int | None = None, token: str | None = None) -> Log:
    """One page of a try's log, the latest try unless one is named.

    ``token`` is the ``continuation_token`` of the page before; it stays non-null while the try runs. Raises Invalid
    for a token that is none.
    """
    wanted = instance.try_number if try_number is None else try_number
    with open_client(_server(instance)) as airflow:
        return airflow.logs.read(*_address(instance), wanted, instance.map_index, token=token)


def log_text(*, instance: Instance, try_number: int) -> Iterator[str]:
    """The whole log of a try as plain text, a piece a page of Airflow's; what goes wrong on the way is its last line.

    Raises AirflowError when not even the first page can be read.
    """
    first = read_log(instance=instance, try_number=try_number)
    return _pages_of_text(instance, try_number, first)


def _pages_of_text(instance: Instance, try_number: int, page: Log) -> Iterator[str]:
    for _turn in range(LOG_PAGES):
        yield "".join(f"{line}\n" for line in text_lines(page.content))
        token = page.continuation_token
        if token is None or not page.content:  # without lines it is only still being written
            return
        try:
            page = read_log(instance=instance, try_number=try_number, token=token)
        except AirflowError as error:
            yield _("[The rest of the log could not be read: %(error)s]") % {"error": error} + "\n"
            return
        if page.continuation_token == token:
            return
    yield _("[The log goes on; Airflow has the rest.]") + "\n"


def _tries(airflow: Airflow, instance: Instance) -> list[Try]:
    return airflow.instances.tries(*_address(instance), instance.map_index)


def _rendered(airflow: Airflow, instance: Instance) -> dict[str, Any]:
    return airflow.instances.get(*_address(instance), instance.map_index).rendered_fields or {}


def _shown(value: Any) -> Result:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    data = text.encode("utf-8", "replace")
    if len(data) <= RESULT_BYTES:
        return Result(ResultState.READ, data.decode(), value=value)
    return Result(ResultState.READ, data[:RESULT_BYTES].decode("utf-8", "ignore"), cut=True, value=value)


def _server(instance: Instance) -> Server:
    return instance.mapped_task.run.dag.server


def _address(instance: Instance) -> tuple[str, str, str]:
    mapped_task = instance.mapped_task
    return mapped_task.run.dag.dag_id, mapped_task.run.run_id, mapped_task.task_id
