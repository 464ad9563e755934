"""What the pages of launch forms have in common with that of the bare form."""

from __future__ import annotations

from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from panel.airflow import AirflowError, NotFound, TimedOut, Unreachable
from panel.servers.models import Server


def form_unavailable(request: HttpRequest, server: Server, dag_id: str, error: AirflowError) -> HttpResponse:
    """The page that says why the Dag's params cannot be read. Raises Http404 for a Dag that Airflow does not know."""
    if isinstance(error, NotFound):
        raise Http404(_("Airflow knows no such Dag.")) from error
    status = HTTPStatus.BAD_GATEWAY
    if isinstance(error, Unreachable):
        status = HTTPStatus.GATEWAY_TIMEOUT if isinstance(error, TimedOut) else HTTPStatus.SERVICE_UNAVAILABLE
    context = {"server": server, "dag_id": dag_id, "error": error}
    return render(request, "launches/form_unavailable.html", context, status=status)
