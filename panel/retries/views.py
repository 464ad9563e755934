"""Pages: the retry panel of a mapped task, the list of retry jobs, one job live."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.airflow import AirflowError, NotFound
from panel.domain.selection import Selection
from panel.keyset import keyset_page
from panel.mirror import selectors as mirror
from panel.mirror.filters import selection_from
from panel.mirror.live_pages import mirrored
from panel.mirror.models import MappedTask
from panel.problems import BadRequest, Conflicting, Problem, Unprocessable
from panel.retries import job_page, meanings, selectors
from panel.retries.asks import MOST_MAPPED_TASKS, Ask
from panel.retries.choice import by_outcome, chosen_errors
from panel.retries.estimates import Basis, estimate_load, estimate_seconds
from panel.retries.forms import MarkForm, RetryForm, blank_form, form_class
from panel.retries.mailing import can_mail, order_report
from panel.retries.models import RetryJob
from panel.retries.places import Place
from panel.retries.policies import Policy
from panel.retries.policy_form import PolicyForm
from panel.retries.recent_failures import RecentForm, recent_failures
from panel.retries.services import (
    Preview,
    cancel_job,
    pause_job,
    preview_retry,
    request_retry,
    resume_job,
    start_job,
)
from panel.retries.states import Action as JobAction
from panel.retries.states import ItemState, JobState

PANEL: Final = "retries/retry_panel.html"
DETAIL: Final = "retries/job_detail.html"
LIST: Final = "retries/job_list.html"
JOBS_A_PAGE: Final = 50
ITEMS_A_PAGE: Final = 100


@requires(Action.RETRY)
@require_http_methods(["GET", "POST"])
def retry_panel(request: HttpRequest, mapped_task_id: UUID) -> HttpResponseBase:
    """What would be retried (or marked: ``action``) and what comes of it; the selection stands in the query string,
    as in the list.
    """
    return _panel_of(request, [mapped_task_id])


@requires(Action.RETRY)
@require_http_methods(["GET", "POST"])
def retry_several(request: HttpRequest) -> HttpResponseBase:
    """The same panel for several mapped tasks of a server: ``mapped_task``, repeated."""
    ids = list(dict.fromkeys(_uuid(text) for text in request.GET.getlist("mapped_task")))
    if not ids:
        raise BadRequest(_("Tick at least one run."))
    return _panel_of(request, ids)


@requires(Action.RETRY)
@require_GET
@mirrored
def dag_retry(request: HttpRequest, slug: str, dag_id: str) -> HttpResponse:
    """The failures of this Dag's recent runs, to be ticked and retried in one job."""
    dag = mirror.dag(slug, dag_id)
    form = RecentForm.of(request.GET, dag)
    lines, more = recent_failures(dag, form)
    context = {
        "dag": dag,
        "server": dag.server,
        "form": form,
        "lines": lines,
        "more": more,
        "outcomes": form.cleaned_data["outcome"],
        "count": sum(line.count for line in lines),
        "runs": len({line.task.run_id for line in lines}),
        "most": MOST_MAPPED_TASKS,
    }
    return render(request, "retries/dag_retry.html", context)


@requires(Action.RETRY)
@require_GET
def retry_estimate(request: HttpRequest) -> HttpResponse:
    """How long, and how much at once, for the policy as it is typed: ``basis`` is what the panel's preview signed."""
    try:
        basis = Basis.read(request.GET.get("basis", ""))
    except BadSignature as error:
        raise BadRequest(_("This is not the basis of an estimate.")) from error
    form = PolicyForm(request.GET)
    policy = form.typed_policy()
    context = {
        "policy": policy or Policy(),
        "problems": [] if policy else [(form[name].label, errors) for name, errors in form.errors.items()],
        "bounds": estimate_seconds(basis, policy or Policy()),
        "load": estimate_load(basis, policy or Policy()),
    }
    return render(request, "retries/_load.html", context)


def _panel_of(request: HttpRequest, mapped_task_ids: list[UUID]) -> HttpResponseBase:
    try:
        place = Place([mirror.mapped_task_by_id(mapped_task_id) for mapped_task_id in mapped_task_ids])
        if request.method == "POST":
            return _posted(request, place)
        ask = _ask(request, place, request.GET)
        policy = PolicyForm(request.GET).typed_policy()
        preview = preview_retry(user=cast(User, request.user), ask=ask, policy=policy)
    except MappedTask.DoesNotExist as error:
        raise Http404(_("Airflow no longer has this task, or Mapboard does not know it.")) from error
    except AirflowError as error:
        return _panel_unavailable(request, place, error)
    form = blank_form(request.GET.dict(), preview.plan_token, ask.action)
    return _panel(request, place, preview, form)


def _posted(request: HttpRequest, place: Place) -> HttpResponseBase:
    user = cast(User, request.user)
    ask = _ask(request, place, request.POST)
    form = form_class(ask.action)(request.POST)
    problem: Problem | None = None
    if form.is_valid():
        try:
            job, _created = request_retry(
                user=user,
                ask=ask,
                reason=form.cleaned_data["reason"],
                policy=form.policy(),
                idempotency_key=form.cleaned_data["idempotency_key"],
                plan_token=form.cleaned_data["plan_token"],
            )
        except Problem as error:
            problem = error
            form.add_problems(error.fields)
        else:
            if form.cleaned_data["mail_report"] and can_mail(user):
                order_report(user=user, job=job)
            return redirect("retries:job_detail", job_id=job.pk)
    preview = preview_retry(user=user, ask=ask, policy=PolicyForm(request.POST).typed_policy())
    form.renew(preview.plan_token)
    status = problem.http_status if isinstance(problem, Conflicting) else HTTPStatus.UNPROCESSABLE_ENTITY
    return _panel(request, place, preview, form, problem=problem, status=status)


def _ask(request: HttpRequest, place: Place, options: Any) -> Ask:
    return Ask(
        mapped_task_ids=tuple(mapped_task.pk for mapped_task in place.mapped_tasks),
        selection=_selection(request, place),
        action=_action(request),
        include_downstream=not options.get("without_downstream"),
        include_settled=bool(options.get("include_settled")),
        run_on_latest_version=bool(options.get("run_on_latest_version")),
    )


def _selection(request: HttpRequest, place: Place) -> Selection:
    """Of the query string; ``?again=<job>`` are the indices that failed again in that job, too many for an address."""
    if job_id := request.GET.get("again"):
        return Selection(indices=selectors.indices_failed_again(_uuid(job_id), place.task.pk))
    return selection_from(request.GET)


def _action(request: HttpRequest) -> JobAction:
    try:
        return JobAction(request.GET.get("action", JobAction.RETRY))
    except ValueError as error:
        known = ", ".join(JobAction.values)
        problem = _("One of %(known)s.") % {"known": known}
        raise BadRequest(_("There is no such action."), {"action": [problem]}) from error


def _panel(
    request: HttpRequest,
    place: Place,
    preview: Preview,
    form: RetryForm,
    *,
    problem: Problem | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    plan = preview.plan
    context = _panel_context(request, place) | {
        "preview": preview,
        "form": form,
        "problem": problem,
        "changed": problem.fields if problem is not None and {"added", "removed"} <= problem.fields.keys() else None,
        "policy": preview.policy,
        "bounds": preview.bounds,
        "load": preview.load,
        "can_mail": can_mail(cast(User, request.user)),
        "counts": by_outcome(plan),
        "errors": chosen_errors(plan),
        "chosen": [task for task in plan.tasks if not task.as_upstream],
        "upstream": [task for task in plan.tasks if task.as_upstream],
        "left_out": job_page.with_jobs(plan.left_out, [group.why for group in plan.left_out]),
        "left_out_count": sum(group.count for group in plan.left_out),
    }
    return render(request, PANEL + _part(request, "retry-panel"), context, status=status)


def _panel_unavailable(request: HttpRequest, place: Place, error: AirflowError) -> HttpResponse:
    status = HTTPStatus.NOT_FOUND if isinstance(error, NotFound) else HTTPStatus.SERVICE_UNAVAILABLE
    if request.headers.get("HX-Request"):
        status = HTTPStatus.UNPROCESSABLE_ENTITY  # htmx swaps this one, and the panel says what is wrong
    context = _panel_context(request, place) | {"error": error}
    return render(request, PANEL + _part(request, "retry-panel"), context, status=status)


def _panel_context(request: HttpRequest, place: Place) -> dict[str, Any]:
    selection = request.GET.copy()
    for name in MarkForm.base_fields:
        selection.pop(name, None)
    return {
        "place": place,
        "task": place.task,
        "run": place.run,
        "dag": place.dag,
        "server": place.server,
        "query": selection.urlencode(),
        "marks_as": _action(request).marks_as,
    }


@requires(Action.VIEW)
@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    state, mapped_task = request.GET.get("state", ""), request.GET.get("mapped_task", "")
    jobs = selectors.jobs_of_mapped_task(_uuid(mapped_task)) if mapped_task else selectors.jobs()
    if state in JobState.values:
        jobs = jobs.filter(state=state)
    page = keyset_page(jobs, ordering="-created_at", cursor=request.GET.get("cursor") or None, page_size=JOBS_A_PAGE)
    selectors.with_targets(page.rows)
    counts = selectors.counts_of(page.rows)
    context = {
        "page": page,
        "rows": [job_page.Row.of(job, counts[job.pk]) for job in page.rows],
        "states": JobState.choices,
        "state": state,
        "mapped_task": mapped_task,
    }
    return render(request, LIST + _part(request, "job-table"), context)


@requires(Action.VIEW)
@require_GET
def job_detail(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = _job(job_id)
    if request.headers.get("HX-Request") and request.GET.get("v") == str(job.version):
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    state = request.GET.get("state", "")
    items = selectors.items(job)
    if state in ItemState.values:
        items = items.filter(state=state)
    page = keyset_page(items, ordering="pk", cursor=request.GET.get("cursor") or None, page_size=ITEMS_A_PAGE)
    context = job_page.context_of(job, cast(User, request.user)) | {
        "page": page,
        "state": state,
        "query": _query_without_version(request),
    }
    part = "#job-news" if request.headers.get("HX-Request") and "v" in request.GET else _part(request, "job-items")
    return render(request, DETAIL + part, context)


@requires(Action.VIEW)
@require_GET
def job_help(request: HttpRequest) -> HttpResponse:
    """What the states mean and what to do when a job stands still, for whoever is called at night."""
    context = {
        "promise": meanings.PROMISE,
        "stands_still": meanings.STANDS_STILL,
        "items": [(state.value, meaning) for state, meaning in meanings.ITEMS.items()],
        "jobs": [(state.value, meaning) for state, meaning in meanings.JOBS.items()],
    }
    return render(request, "retries/job_help.html", context)


@requires(Action.RETRY)
@require_POST
def job_pause(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    return _changed(request, job_id, pause_job)


@requires(Action.RETRY)
@require_POST
def job_resume(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    return _changed(request, job_id, resume_job)


@requires(Action.RETRY)
@require_POST
def job_start(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    return _changed(request, job_id, start_job)


@requires(Action.RETRY)
@require_POST
def job_cancel(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    return _changed(request, job_id, cancel_job)


@requires(Action.VIEW)
@require_POST
def job_mail(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The report by mail to whoever presses, once."""
    return _changed(request, job_id, order_report)


def _changed(request: HttpRequest, job_id: UUID, change: Callable[..., object]) -> HttpResponseBase:
    try:
        change(user=cast(User, request.user), job=_job(job_id))
    except (Conflicting, Unprocessable) as problem:
        messages.error(request, problem.message)
    return redirect("retries:job_detail", job_id=job_id)


def _job(job_id: UUID) -> RetryJob:
    try:
        return selectors.job(job_id)
    except RetryJob.DoesNotExist as error:
        raise Http404(_("There is no such retry job.")) from error


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequest(_("This is not an id.")) from error


def _query_without_version(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("v", None)
    return query.urlencode()


def _part(request: HttpRequest, name: str) -> str:
    """The partial that htmx asks for, "" for the whole page."""
    target = request.headers.get("HX-Target", "")
    wanted = {name, "retry-slot"} if name == "retry-panel" else {name}
    return f"#{name}" if request.headers.get("HX-Request") and target in wanted else ""
