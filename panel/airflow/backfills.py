"""``airflow.backfills``: runs of a Dag's schedule for a range of dates, made at once (AIRFLOW.md §7)."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from panel.airflow.addresses import API, path
from panel.airflow.models import Backfill, PlannedRun
from panel.airflow.paging import Page, by_offset
from panel.airflow.runs import utc
from panel.airflow.transport import Transport

Reprocess = Literal["none", "failed", "completed"]
_BACKFILLS: Final = f"{API}/backfills"


class _Backfills(Page[Backfill], rename={"rows": "backfills"}):
    rows: list[Backfill]


class _Planned(msgspec.Struct):
    backfills: list[PlannedRun]


@dataclass(frozen=True, slots=True)
class BackfillOrder:
    """What a backfill is asked to be. Both dates are inclusive and need a zone; what lies in the future is dropped.

    ``reprocess`` says what becomes of dates that have a run already: ``none`` leaves them, ``failed`` runs failed ones
    again, ``completed`` all that ended. ``conf`` is checked against the Dag's params from 3.2 on.
    """

    dag_id: str
    from_date: datetime
    to_date: datetime
    max_active_runs: int
    reprocess: str = "none"
    run_backwards: bool = False
    conf: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Without ``run_on_latest_version``, which 3.0 does not know: its default suits."""
        return {
            "dag_id": self.dag_id,
            "from_date": utc(self.from_date),
            "to_date": utc(self.to_date),
            "max_active_runs": self.max_active_runs,
            "reprocess_behavior": self.reprocess,
            "run_backwards": self.run_backwards,
            "dag_run_conf": dict(self.conf),
        }


class BackfillsNamespace:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, dag_id: str, *, limit: int = 100) -> builtins.list[Backfill]:
        """Those of a Dag, newest first; none for a Dag that is not known."""
        params = [("dag_id", dag_id), ("order_by", "-id")]
        return by_offset(self._transport, _BACKFILLS, _Backfills, params, key=lambda one: one.id, most=limit)

    def get(self, backfill_id: int) -> Backfill:
        """Raises NotFound."""
        return self._transport.read(path(API, "backfills", backfill_id), Backfill)

    def dry_run(self, order: BackfillOrder) -> builtins.list[PlannedRun]:
        """The runs it would make, in the order they would start. Nothing is made.

        Raises Invalid for a Dag without a periodic schedule, a range that is none, and (3.2+) a conf that breaks a
        param's schema (``fields`` by param); NotFound for an unknown Dag.
        """
        return self._transport.list_by_post(f"{_BACKFILLS}/dry_run", _Planned, order.body()).backfills

    def create(self, order: BackfillOrder) -> Backfill:
        """Make all its runs, queued. There is no idempotency key: after a lost answer look for it in the list.

        Raises Conflict while another backfill of the Dag has not completed, and what ``dry_run`` raises. Without any
        run to make 3.3 refuses, older versions fail and leave an empty backfill: ask ``dry_run`` before.
        """
        return self._transport.write("POST", _BACKFILLS, Backfill, order.body())

    def pause(self, backfill_id: int) -> Backfill:
        """Start no further runs; what runs goes on. Raises Conflict when it has completed."""
        return self._change(backfill_id, "pause")

    def unpause(self, backfill_id: int) -> Backfill:
        return self._change(backfill_id, "unpause")

    def cancel(self, backfill_id: int) -> Backfill:
        """Its queued runs become ``failed`` without having run, those that ran before included; what runs goes on.

        Raises Conflict when it has completed.
        """
        return self._change(backfill_id, "cancel")

    def _change(self, backfill_id: int, verb: str) -> Backfill:
        return self._transport.write("PUT", path(API, "backfills", backfill_id, verb), Backfill, None)
