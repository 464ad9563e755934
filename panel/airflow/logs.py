"""``airflow.logs``: structured task logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from panel.airflow.addresses import API, path
from panel.airflow.models import ErrorDetail, Log, LogEntry
from panel.airflow.transport import Params, Transport, decoded


@dataclass(frozen=True, slots=True)
class LoggedError:
    """Why a try failed, as its log tells. ``frame`` is the innermost one, ``file:line in function``; ``causes`` are the
    exceptions behind it, the nearest first. Without details only the ``message`` of a log line is known."""

    error_type: str
    message: str
    frame: str = ""
    causes: tuple[LoggedError, ...] = ()


ERROR_PAGES = 5
ERROR_BYTES = 2 * 1024 * 1024
_ERROR_LEVELS = frozenset({"error", "critical", "exception"})


class _RawLog(msgspec.Struct):
    """What Airflow answers; entries are looked at one by one, since tasks put whatever they like into them."""

    content: list[msgspec.Raw] = msgspec.field(default_factory=list)
    continuation_token: str | None = None


class LogsNamespace:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def read(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        try_number: int,
        map_index: int = -1,
        *,
        token: str | None = None,
    ) -> Log:
        """One page of a try's log; pass ``continuation_token`` on as ``token`` for what comes after.

        Raises NotFound for a try that does not exist, Invalid for a bad token.
        """
        address = _address(dag_id, run_id, task_id, try_number)
        return self._page(address, map_index, token, max_bytes=None)[0]

    def last_error(
        self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1
    ) -> LoggedError | None:
        """Why this try failed: the last exception that was logged with details, with its causes.

        Else the last entry of level error; ``None`` when there is neither (a killed process leaves none). Reads at most
        5 pages and 2 MB, and raises BadPayload for a log above that.
        """
        address = _address(dag_id, run_id, task_id, try_number)
        found: LoggedError | None = None
        detailed = False
        token: str | None = None
        left = ERROR_BYTES
        for _ in range(ERROR_PAGES):
            log, size = self._page(address, map_index, token, max_bytes=left)
            for entry in log.content:
                if entry.error_detail:
                    found, detailed = _error(entry.error_detail), True
                elif not detailed and (entry.level or "").lower() in _ERROR_LEVELS:
                    found = LoggedError("", entry.event)
            left -= size
            if log.continuation_token is None or log.continuation_token == token or left <= 0:
                break
            token = log.continuation_token
        return found

    def _page(self, address: str, map_index: int, token: str | None, max_bytes: int | None) -> tuple[Log, int]:
        params: Params = [("map_index", map_index), *([("token", token)] if token else [])]
        answer = self._transport.request("GET", address, params=params, max_bytes=max_bytes)
        raw = decoded(answer, _RawLog)
        entries = [_entry(line) for line in raw.content]
        return Log(content=entries, continuation_token=raw.continuation_token), len(answer.body)


def _error(details: Sequence[ErrorDetail]) -> LoggedError:
    raised, *causes = [LoggedError(one.exc_type, one.exc_value, _frame(one)) for one in details]
    return replace(raised, causes=tuple(causes))


def _frame(detail: ErrorDetail) -> str:
    if not detail.frames:
        return ""
    frame = detail.frames[-1]
    line = "" if frame.lineno is None else f":{frame.lineno}"
    return f"{frame.filename}{line} in {frame.name}"


def _entry(raw: msgspec.Raw) -> LogEntry:
    """An entry, a bare line (where Airflow could not parse the log), or as much of something else as can be shown."""
    try:
        entry = msgspec.json.decode(raw, type=LogEntry | str)
    except msgspec.ValidationError:
        found = msgspec.json.decode(raw)
        event = found.get("event", found) if isinstance(found, dict) else found
        return LogEntry(event=event if isinstance(event, str) else str(event))
    return LogEntry(event=entry) if isinstance(entry, str) else entry


def _address(dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
    return path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "logs", try_number)
