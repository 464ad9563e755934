"""Pages: asking for a backfill of a Dag and looking at what it would be, the list of them, one with its runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.airflow import AirflowError, NotFound, TimedOut, Unreachable
from panel.keyset import keyset_page
from panel.launches import backfill_selectors
from panel.launches.backfill_form import START, BackfillForm
from panel.launches.backfill_looks import look_at_backfill
from panel.launches.backfill_orders import most_at_once, why_no_backfills
from panel.launches.backfill_states import RUN_STATES
from panel.launches.backfills import cancel_backfill, pause_backfill, request_backfill, resume_backfill
from panel.launches.comparison import compared
from panel.launches.dag_forms import FormReading, read_form
from panel.launches.forecast_words import advice_words, basis_words, unknown_words
from panel.launches.forecasting import Forecast
from panel.launches.forms import BACK
from panel.launches.found import found_backfill, found_server
from panel.launches.guard_rails import freeze_words, guard_rails_of
from panel.launches.models import Backfill
from panel.launches.selectors import dag_is_known
from panel.mirror.live_pages import live_page, shows_all
from panel.problems import Conflicting, Problem
from panel.servers.models import Server

PAGE_SIZE = 50
RUNS_A_PAGE = 100
DATES_SHOWN = 12
TEMPLATE = "launches/backfill_form.html"


@requires(Action.LAUNCH)
@require_http_methods(["GET", "POST"])
def backfill_form(request: HttpRequest, slug: str, dag_id: str) -> HttpResponseBase:
    server = found_server(slug)
    try:
        reading = read_form(server=server, dag_id=dag_id)
    except NotFound as error:
        raise Http404(_("Airflow knows no such Dag.")) from error
    except AirflowError as error:
        context = {"server": server, "dag_id": dag_id, "error": error}
        return render(request, "launches/form_unavailable.html", context, status=_status_of(error))
    if request.method == "POST":
        return _submitted(request, server, reading)
    earlier, most = _earlier(request, server, dag_id), most_at_once(server, dag_id)
    form = BackfillForm(reading, timezone.get_current_timezone(), earlier=earlier, most=most)
    return _form_page(request, server, form)


def _submitted(request: HttpRequest, server: Server, reading: FormReading) -> HttpResponseBase:
    form = BackfillForm(reading, timezone.get_current_timezone(), posted=dict(request.POST.lists()))
    if BACK in request.POST:
        return _form_page(request, server, form)
    form.check_range(server)
    if not form.is_good:
        return _form_page(request, server, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        return _started(request, server, form) if START in request.POST else _look_page(request, server, form)
    except Problem as problem:
        form.add(problem)
        if isinstance(problem, Conflicting) or "idempotency_key" in problem.fields:
            form.conf.renew_key()
        return _form_page(request, server, form, status=problem.http_status)
    except AirflowError as error:
        said = _("Airflow cannot be asked now what it would run (%(why)s). Nothing was started. Try again later.")
        form.conf.problems.append(said % {"why": error})
        return _form_page(request, server, form, status=_status_of(error))


def _started(request: HttpRequest, server: Server, form: BackfillForm) -> HttpResponseBase:
    try:
        requested = request_backfill(
            user=cast(User, request.user),
            server=server,
            dag_id=form.reading.form.dag_id,
            asked=form.asked(),
            idempotency_key=form.conf.key,
            confirm=form.conf.confirm,
            reading=form.reading,
        )
    except Problem as problem:
        if problem.code == "confirmation_needed":
            return _look_page(request, server, form, confirming=True)
        raise
    return redirect("launches:backfill_detail", backfill_id=requested.backfill.pk)


@requires(Action.VIEW)
@require_GET
def backfill_list(request: HttpRequest, slug: str, dag_id: str) -> HttpResponse:
    """Those of one Dag, newest first."""
    server = found_server(slug)
    if not dag_is_known(server, dag_id):
        raise Http404(_("Mapboard knows no such Dag."))
    found = backfill_selectors.backfills(server=slug, dag_id=dag_id)
    page = keyset_page(found, ordering="-created_at", cursor=request.GET.get("cursor") or None, page_size=PAGE_SIZE)
    context = {"server": server, "dag_id": dag_id, "page": page, "why_not": why_no_backfills(server, dag_id)}
    template = "launches/backfill_list.html"
    return render(request, f"{template}#backfill-table" if _wants_part(request) else template, context)


@requires(Action.VIEW)
@require_GET
def backfill_detail(request: HttpRequest, backfill_id: UUID) -> HttpResponse:
    backfill = found_backfill(backfill_id)
    version, synced_at = f"{backfill.version}-{backfill.state}", backfill.synced_at or backfill.accepted_at
    if shows_all(request, version=version, synced_at=synced_at):
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    runs = backfill_selectors.runs_of(backfill)
    cursor = request.GET.get("cursor") or None
    page = keyset_page(runs, ordering="position", cursor=cursor, page_size=RUNS_A_PAGE)
    told = Forecast.from_dict(backfill.forecast)
    again = reverse("launches:backfill_form", kwargs={"slug": backfill.server_slug, "dag_id": backfill.dag_id})
    context = {
        "backfill": backfill,
        "server": backfill.server,
        "page": page,
        "keys": ",".join(str(run.pk) for run in page.rows),
        "counts": {state: backfill.counts.get(state, 0) for state in RUN_STATES if backfill.counts.get(state)},
        "cursor": cursor or "",
        "again_url": f"{again}?{urlencode({'from': backfill.pk})}" if backfill.server else "",
        **_forecast_context(told),
    }
    return live_page(request, "launches/backfill_detail.html", context, version=version, synced_at=synced_at)


@requires(Action.LAUNCH)
@require_POST
def backfill_steer(request: HttpRequest, backfill_id: UUID, verb: str) -> HttpResponseBase:
    """``verb`` is ``pause``, ``resume`` or ``cancel``."""
    backfill = found_backfill(backfill_id)
    act, said = {
        "pause": (pause_backfill, _("Paused: Airflow starts no further runs of it. Runs that go on are not stopped.")),
        "resume": (resume_backfill, _("Resumed: Airflow starts its runs again.")),
        "cancel": (cancel_backfill, _("Cancelled. Runs that go on are not stopped.")),
    }[verb]
    try:
        act(user=cast(User, request.user), backfill=backfill)
    except Problem as problem:
        messages.error(request, problem.message)
    except AirflowError as error:
        messages.error(
            request,
            _("Airflow did not say yes (%(why)s). The page shows what Airflow says as soon as it can be asked.")
            % {"why": error},
        )
    else:
        messages.success(request, said)
    return redirect("launches:backfill_detail", backfill_id=backfill_id)


def _form_page(request: HttpRequest, server: Server, form: BackfillForm, status: int = HTTPStatus.OK) -> HttpResponse:
    dag = form.reading.form
    context = _place(server, form) | {
        "why_not": form.reading.obstacle or why_no_backfills(server, dag.dag_id),
        "freeze": freeze_words(server, dag.dag_id),
        "rails": guard_rails_of(server, dag.dag_id),
    }
    return render(request, _template(request), context, status=status)


def _look_page(request: HttpRequest, server: Server, form: BackfillForm, *, confirming: bool = False) -> HttpResponse:
    """What it would be. ``confirming``: somebody tried to start it without the word."""
    dag_id, asked = form.reading.form.dag_id, form.asked()
    user = cast(User, request.user)
    look = look_at_backfill(user=user, server=server, dag_id=dag_id, asked=asked, reading=form.reading)
    context = _place(server, form) | {
        "look": look,
        "asked": asked,
        "first_dates": look.dates[:DATES_SHOWN],
        "more_dates": max(0, len(look.dates) - DATES_SHOWN),
        "comparison": compared(form.conf.fields, asked.params, None),
        "confirming": confirming,
        **_forecast_context(look.forecast),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if confirming else HTTPStatus.OK
    return render(request, _template(request), context, status=status)


def _place(server: Server, form: BackfillForm) -> dict[str, Any]:
    return {"server": server, "dag": form.reading.form, "reading": form.reading, "form": form}


def _forecast_context(told: Forecast | None) -> dict[str, Any]:
    if told is None:
        return {"forecast": None}
    return {
        "forecast": told,
        "basis": basis_words(told),
        "unknown": unknown_words(told),
        "advice": advice_words(told),
    }


def _template(request: HttpRequest) -> str:
    return f"{TEMPLATE}#backfill-form" if request.method == "POST" and _wants_part(request) else TEMPLATE


def _earlier(request: HttpRequest, server: Server, dag_id: str) -> Backfill | None:
    """The backfill whose values the form begins with."""
    try:
        backfill = backfill_selectors.backfill(UUID(request.GET.get("from", "")))
    except (ValueError, Backfill.DoesNotExist):
        return None
    return backfill if (backfill.server_slug, backfill.dag_id) == (server.slug, dag_id) else None


def _status_of(error: AirflowError) -> int:
    if not isinstance(error, Unreachable):
        return HTTPStatus.BAD_GATEWAY
    return HTTPStatus.GATEWAY_TIMEOUT if isinstance(error, TimedOut) else HTTPStatus.SERVICE_UNAVAILABLE


def _wants_part(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
