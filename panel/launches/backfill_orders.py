"""What somebody asks of a backfill, and what can be said about it without Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import BackfillOrder
from panel.launches.backfill_states import Reprocess
from panel.launches.conf import digest, unsendable_params
from panel.launches.guard_rails import guard_rails_of
from panel.launches.models import Backfill
from panel.launches.validation import unsendable
from panel.mirror.models import Dag
from panel.servers.models import Server

MOST_AT_ONCE: Final = 1_000
MOST_RUNS: Final = 10_000
"""More are not made in one backfill: Airflow makes all runs in one request."""
LONGEST: Final = timedelta(days=366 * 20)
NOTE_LENGTH: Final = 800
KEY_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """Both dates inclusive, to the second. ``params`` are values by param, as typed."""

    from_date: datetime
    to_date: datetime
    max_active_runs: int
    reprocess: str = Reprocess.NONE
    run_backwards: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def order(self, dag_id: str, *, to_date: datetime | None = None) -> BackfillOrder:
        return BackfillOrder(
            dag_id=dag_id,
            from_date=self.from_date,
            to_date=to_date or self.to_date,
            max_active_runs=self.max_active_runs,
            reprocess=str(self.reprocess),
            run_backwards=self.run_backwards,
            conf=self.params,
        )

    def digest(self, server: Server, dag_id: str) -> str:
        moments = [moment.astimezone(UTC).isoformat() for moment in (self.from_date, self.to_date)]
        how = [self.max_active_runs, str(self.reprocess), self.run_backwards]
        return digest(server.slug, dag_id, moments, how, dict(self.params), self.note)


def order_of(backfill: Backfill) -> BackfillOrder:
    """As it is sent."""
    return BackfillOrder(
        dag_id=backfill.dag_id,
        from_date=backfill.from_date,
        to_date=backfill.to_date,
        max_active_runs=backfill.max_active_runs,
        reprocess=str(backfill.reprocess),
        run_backwards=backfill.run_backwards,
        conf=backfill.params,
    )


def problems_of(asked: Asked, server: Server, dag_id: str) -> dict[str, list[str]]:
    """Messages by field about what makes no sense, whatever the Dag is."""
    fields = unsendable_params(asked.params)
    if asked.from_date > asked.to_date:
        fields["to_date"] = [_("Before its beginning.")]
    elif asked.to_date - asked.from_date > LONGEST:
        fields["to_date"] = [_("At most twenty years at once.")]
    elif asked.from_date >= timezone.now():
        fields["from_date"] = [_("This lies in the future: Airflow runs the past.")]
    if asked.reprocess not in Reprocess.values:
        fields["reprocess"] = [_("One of %(known)s.") % {"known": ", ".join(Reprocess.values)}]
    most = most_at_once(server, dag_id)
    if not 1 <= asked.max_active_runs <= most:
        fields["max_active_runs"] = [_("From 1 to %(most)s.") % {"most": most}]
    if len(asked.note) > NOTE_LENGTH:
        fields["note"] = [_("At most %(n)s characters.") % {"n": NOTE_LENGTH}]
    elif problem := unsendable(asked.note):
        fields["note"] = [problem]
    return fields


def most_at_once(server: Server, dag_id: str) -> int:
    """The most runs at a time: the guard rail on active runs holds for backfills too."""
    rails = guard_rails_of(server, dag_id)
    return min(MOST_AT_ONCE, rails.active_runs) if rails and rails.active_runs else MOST_AT_ONCE


def why_no_backfills(server: Server, dag_id: str) -> str:
    """Why this Dag has none; ``""`` when it may have, as far as is known."""
    dag = Dag.objects.filter(server=server, dag_id=dag_id).first()
    if dag is None or dag.can_be_backfilled is not False:
        return ""
    return _(
        "This Dag cannot be backfilled: it has no schedule with dates to run for. Launch it for what you need instead."
    )
