"""The page of one instance. What only Airflow has comes a section at a time; its errors stay in their section."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from panel import airflow
from panel.access.actions import Action
from panel.access.decorators import requires
from panel.domain.outcomes import SETTLED
from panel.mirror import boards, live_reads, selectors, services
from panel.mirror.airflow_links import instance_url
from panel.mirror.live_pages import find_or_fetch_mapped_task, live_page, mirrored
from panel.mirror.log_lines import LEVELS, fold
from panel.mirror.models import Instance

TEMPLATE = "mirror/instance_detail.html"


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_detail(
    request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str, map_index: int
) -> HttpResponse:
    instance = _instance(slug, dag_id, run_id, task_id, map_index)
    services.request_refresh(mapped_task=instance.mapped_task)
    context = _context(instance)
    version = boards.revision(boards.instance_revision(instance), instance.note, context["live"])
    return live_page(request, TEMPLATE, context, version=version, synced_at=instance.mapped_task.synced_at)


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_tries(
    request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str, map_index: int
) -> HttpResponse:
    instance = _instance(slug, dag_id, run_id, task_id, map_index)
    section: dict[str, Any] = {}
    try:
        section["tries"] = live_reads.read_tries(instance=instance)
    except airflow.AirflowError as error:
        section["error"] = error
    return _section(request, instance, "tries", section)


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_log(
    request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str, map_index: int
) -> HttpResponse:
    instance = _instance(slug, dag_id, run_id, task_id, map_index)
    try_number = _number(request.GET.get("try_number", ""))
    level = request.GET.get("level", "")
    shown_try = instance.try_number if try_number is None else try_number
    section: dict[str, Any] = {
        "try_number": shown_try,
        "tries_before": range(1, instance.try_number + 1),
        "level": level if level in LEVELS else "",
        "continued": bool(request.GET.get("token")),
    }
    try:
        log = live_reads.read_log(instance=instance, try_number=try_number, token=request.GET.get("token") or None)
    except airflow.AirflowError as error:
        section["error"] = error
    else:
        section["lines"] = fold(log.content, level=section["level"])
        section["token"] = log.continuation_token or ""
        section["waits"] = not log.content or instance.outcome not in SETTLED
    return _section(request, instance, "log", section)


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_result(
    request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str, map_index: int
) -> HttpResponse:
    instance = _instance(slug, dag_id, run_id, task_id, map_index)
    section: dict[str, Any] = {}
    try:
        section["result"] = live_reads.read_result(instance=instance)
    except airflow.AirflowError as error:
        section["error"] = error
    return _section(request, instance, "result", section)


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_input(
    request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str, map_index: int
) -> HttpResponse:
    instance = _instance(slug, dag_id, run_id, task_id, map_index)
    section: dict[str, Any] = {}
    try:
        section["fields"] = live_reads.read_rendered(instance=instance)
    except airflow.AirflowError as error:
        section["error"] = error
    return _section(request, instance, "input", section)


def _instance(slug: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> Instance:
    return selectors.instance(find_or_fetch_mapped_task(slug, dag_id, run_id, task_id), map_index)


def _section(request: HttpRequest, instance: Instance, name: str, section: dict[str, Any]) -> HttpResponse:
    """The section alone for htmx; without JavaScript the whole page with this section read."""
    context = _context(instance) | {"section": name, "read": section}
    if not request.headers.get("HX-Request"):
        return render(request, TEMPLATE, context)
    partial = "_instance_log_lines" if section.get("continued") else f"_instance_{name}"
    return render(request, f"mirror/{partial}.html", context)


def _context(instance: Instance) -> dict[str, Any]:
    task = instance.mapped_task
    run = task.run
    return {
        "instance": instance,
        "task": task,
        "run": run,
        "dag": run.dag,
        "server": run.dag.server,
        "live": boards.is_live(task),
        "neighbours": boards.neighbours(instance),
        "airflow_url": instance_url(instance),
    }


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
