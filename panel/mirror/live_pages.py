"""What every page of the mirror does alike: what is missing is 404, and a poller gets only what is new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast

from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from panel import airflow
from panel.mirror import selectors, services
from panel.mirror.models import MappedTask
from panel.servers import selectors as servers

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def mirrored(view: View) -> View:
    """What neither the mirror nor Airflow has is 404; an old run Airflow cannot be asked for has its own page."""

    @wraps(view)
    def guarded(request: HttpRequest, slug: str, **ids: Any) -> HttpResponseBase:
        try:
            return view(request, slug=slug, **ids)
        except ObjectDoesNotExist as error:
            raise Http404(_("There is nothing here: Airflow does not have it, or not any more.")) from error
        except airflow.AirflowError as error:
            context = {"server": servers.server(slug), "error": error, **ids}
            return render(request, "mirror/run_away.html", context, status=502)

    return cast(View, guarded)


def find_or_fetch_mapped_task(slug: str, dag_id: str, run_id: str, task_id: str) -> MappedTask:
    """The mapped task; that of an old run is asked of Airflow. Raises DoesNotExist, AirflowError."""
    try:
        return selectors.mapped_task(slug, dag_id, run_id, task_id)
    except MappedTask.DoesNotExist:
        services.find_or_fetch_run(server=servers.server(slug), dag_id=dag_id, run_id=run_id)
        return selectors.mapped_task(slug, dag_id, run_id, task_id)


def live_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, version: str, synced_at: datetime | None
) -> HttpResponse:
    """The page; or for its poller (``?v=``) nothing, the new age of the data, or that and what changed.

    The template has a partial ``news``, which gets ``changed`` and the ``version`` to ask with next time.
    """
    context |= {"version": _told(version, synced_at)}
    shown = request.GET.get("v")
    if shown is None or not request.headers.get("HX-Request"):
        return render(request, template, context)
    if shown == context["version"]:
        return HttpResponse(status=204)
    context["changed"] = shown.partition(".")[0] != version
    return render(request, f"{template}#news", context)


def shows_all(request: HttpRequest, *, version: str, synced_at: datetime | None) -> bool:
    """Whether the poller has this already: then no rows need be read for it."""
    shown = request.GET.get("v")
    return bool(shown and request.headers.get("HX-Request")) and shown == _told(version, synced_at)


def _told(version: str, synced_at: datetime | None) -> str:
    return f"{version}.{synced_at.timestamp():.0f}" if synced_at else f"{version}."
