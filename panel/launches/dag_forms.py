"""Reading a Dag's form from Airflow, and keeping a copy for the time when Airflow is away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import AirflowError, DagDetails, NotFound, Rejected, Unreachable
from panel.launches.conf import conf_errors, digest, secret_names, unknown_names
from panel.launches.fields import Field, fields_of
from panel.launches.models import DagForm, GuardRails
from panel.mirror.services import note_secret_params
from panel.servers.client import open_client
from panel.servers.models import Server

LARGEST_LIMIT: Final = 2**31 - 1
"""The largest number its column takes."""


@dataclass(frozen=True, slots=True)
class FormReading:
    """A Dag's form, and why it is only the last known copy (``None``: it was read just now)."""

    form: DagForm
    trouble: AirflowError | None = None

    @property
    def fields(self) -> list[Field]:
        return fields_of(self.form.params)

    def errors(self, params: Mapping[str, Any]) -> dict[str, list[str]]:
        """Messages by param: what the Dag, and its guard rails, would not have."""
        fields = self.fields
        if (unknown := unknown_names(fields, params)) and self.takes_unknown:
            params = {name: value for name, value in params.items() if name not in unknown}
        return conf_errors(fields, params)

    @property
    def takes_unknown(self) -> bool:
        """Whether launches may give params that the Dag does not name."""
        rails = GuardRails.objects.filter(server=self.form.server, dag_id=self.form.dag_id, unknown_params=True)
        return rails.exists()

    @property
    def digest(self) -> str:
        """Changes with the Dag's params, so that a form opened before is noticed."""
        return digest(self.form.params_json)[:16]

    @property
    def obstacle(self) -> str:
        """Why this Dag cannot be launched now; ``""`` when it can."""
        if self.form.has_import_errors:
            return _(
                "Airflow cannot load this Dag: its file has import errors. Nothing can be started until its authors "
                "have mended it."
            )
        if self.form.is_stale:
            return _(
                "Airflow no longer finds this Dag in its files: it was removed, renamed, or its file no longer loads. "
                "Nothing can be started."
            )
        return ""

    @property
    def warnings(self) -> list[str]:
        """What to know before launching."""
        warnings = []
        if self.form.is_paused:
            warnings.append(
                _("This Dag is paused in Airflow: the run will wait in the queue until somebody unpauses the Dag.")
            )
        if self.trouble is not None:
            warnings.append(
                _(
                    "Airflow cannot be asked now (%(why)s). The form is the last known one; what you launch is kept, "
                    "checked again and sent as soon as Airflow answers."
                )
                % {"why": self.trouble}
            )
        return warnings


def read_form(*, server: Server, dag_id: str) -> FormReading:
    """The form as Airflow has it now, or the last known copy when Airflow cannot be asked.

    A server that is known to be away is not waited for when there is a copy. Raises NotFound for a Dag that Airflow
    does not know (or may not show us), and the AirflowError when there is no copy either.
    """
    known = DagForm.objects.filter(server=server, dag_id=dag_id).first()
    if known is not None and server.unreachable_since is not None:
        return FormReading(known, Unreachable(server.last_error or _("it has been unreachable for a while")))
    try:
        return fetch_form(server=server, dag_id=dag_id)
    except AirflowError as error:
        if known is None or (isinstance(error, Rejected) and not error.retryable):
            raise
        return FormReading(known, error)


def known_fields(server: Server, dag_id: str) -> list[Field]:
    """The fields as last read, without asking Airflow; none when they never were."""
    known = DagForm.objects.filter(server=server, dag_id=dag_id).first()
    return fields_of(known.params) if known else []


def known_limit(server: Server, dag_id: str) -> int | None:
    """How many tasks of one run are at work at once at most, as last read; ``None`` while it is not known."""
    return DagForm.objects.filter(server=server, dag_id=dag_id).values_list("max_active_tasks", flat=True).first()


def fetch_form(*, server: Server, dag_id: str) -> FormReading:
    """The form as Airflow has it now. Raises AirflowError; NotFound for a Dag that Airflow does not know."""
    try:
        with open_client(server) as airflow:
            details = airflow.dags.details(dag_id)
    except NotFound:
        DagForm.objects.filter(server=server, dag_id=dag_id).delete()
        raise
    return FormReading(_keep(server, dag_id, details))


def _keep(server: Server, dag_id: str, details: DagDetails) -> DagForm:
    params: list[tuple[str, dict[str, Any]]] = [
        (name, {"value": param.value, "schema": param.schema, "description": param.description})
        for name, param in details.params.items()
    ]
    form, _created = DagForm.objects.update_or_create(
        server=server,
        dag_id=dag_id,
        defaults={
            "display_name": _storable(details.dag_display_name),
            "description": _storable(details.description),
            "params_json": json.dumps(params),
            "version": _version_of(details),
            "max_active_tasks": _limit(details),
            "is_paused": details.is_paused,
            "is_stale": details.is_stale,
            "has_import_errors": details.has_import_errors,
            "read_at": timezone.now(),
        },
    )
    note_secret_params(server=server, dag_id=dag_id, names=secret_names(fields_of(params)))
    return form


def _limit(details: DagDetails) -> int | None:
    """Of one run: so Airflow 3.3.2 counts (scheduler_job_runner, and its own words on the setting)."""
    found = details.max_active_tasks
    return found if found is not None and 0 < found <= LARGEST_LIMIT else None


def _version_of(details: DagDetails) -> str:
    """Airflow gives each serialised form of a Dag a version with an id of its own."""
    version = details.latest_dag_version
    return _storable(version.id or str(version.version_number or ""))[:60] if version else ""


def _storable(text: str | None) -> str:
    return (text or "").replace("\x00", "")
