"""The page of one instance. What only Airflow has comes a section at a time; its errors stay in their section."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from panel import airflow
from panel.access.actions import Action
from panel.access.decorators import requires
from panel.domain.outcomes import SETTLED
from panel.mirror import boards, live_reads, selectors, services, tries
from panel.mirror.airflow_links import instance_url
from panel.mirror.live_pages import find_or_fetch_mapped_task, live_page, mirrored
from panel.mirror.log_lines import LEVELS, fold, newest
from panel.mirror.models import Instance
from panel.ui.trees import tree

TEMPLATE = "mirror/instance_detail.html"


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_detail(request: HttpRequest, **ids: Any) -> HttpResponse:
    instance = _instance(**ids)
    services.request_refresh(mapped_task=instance.mapped_task)
    context = _context(instance)
    version = boards.revision(boards.instance_revision(instance), instance.note, context["live"])
    return live_page(request, TEMPLATE, context, version=version, synced_at=instance.mapped_task.synced_at)


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_tries(request: HttpRequest, **ids: Any) -> HttpResponse:
    """Every try with its times and why it failed."""
    return _section(request, _instance(**ids), "tries", lambda instance: {"tries": tries.tries_of(instance=instance)})


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_log(request: HttpRequest, **ids: Any) -> HttpResponse:
    """The log of a try (``try_number``, else the current one) from a ``level`` on; ``token`` gives what comes after."""
    instance = _instance(**ids)
    try_number = _try_number(request, instance)
    level = request.GET.get("level", "") if request.GET.get("level") in LEVELS else ""
    asked: dict[str, Any] = {
        "try_number": try_number,
        "tries_before": range(1, instance.try_number + 1),
        "level": level,
        "continued": bool(request.GET.get("token")),
    }

    def read(instance: Instance) -> dict[str, Any]:
        token = request.GET.get("token") or None
        log = live_reads.read_log(instance=instance, try_number=try_number, token=token)
        shown, before = newest(log.content)
        lines = fold(shown, level=level)
        return {
            "lines": lines,
            "failing": any(line.failing for line in lines),
            "left_out": before,
            "token": log.continuation_token or "",
            "waits": not log.content or instance.outcome not in SETTLED,
        }

    return _section(request, instance, "log", read, **asked)


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_log_text(request: HttpRequest, **ids: Any) -> HttpResponseBase:
    """The whole log of a try as a file, sent as it is read."""
    instance = _instance(**ids)
    try_number = _try_number(request, instance)
    pieces = live_reads.log_text(instance=instance, try_number=try_number)
    answer = StreamingHttpResponse(pieces, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="log-{instance.map_index}-try-{try_number}.txt"'
    return answer


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_result(request: HttpRequest, **ids: Any) -> HttpResponse:
    def read(instance: Instance) -> dict[str, Any]:
        result = live_reads.read_result(instance=instance)
        return {"result": result, "tree": tree(result.value)}

    return _section(request, _instance(**ids), "result", read)


@requires(Action.VIEW)
@require_GET
@mirrored
def instance_input(request: HttpRequest, **ids: Any) -> HttpResponse:
    def read(instance: Instance) -> dict[str, Any]:
        fields = live_reads.read_rendered(instance=instance)
        return {"fields": {name: tree(value) for name, value in fields.items()}}

    return _section(request, _instance(**ids), "input", read)


def _instance(slug: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> Instance:
    return selectors.instance(find_or_fetch_mapped_task(slug, dag_id, run_id, task_id), map_index)


def _section(
    request: HttpRequest, instance: Instance, name: str, read: Callable[[Instance], dict[str, Any]], **asked: Any
) -> HttpResponse:
    """The section alone for htmx; without JavaScript the whole page with this section read."""
    section: dict[str, Any] = dict(asked)
    try:
        section |= read(instance)
    except airflow.AirflowError as error:
        section["error"] = error
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


def _try_number(request: HttpRequest, instance: Instance) -> int:
    text = request.GET.get("try_number", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else instance.try_number
