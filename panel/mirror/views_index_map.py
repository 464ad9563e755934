"""The index map of a mapped-task page: all cells, what changed, what one cell holds; and the same as a table."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_GET

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.mirror import boards, selectors
from panel.mirror import index_map as maps
from panel.mirror.filters import selection_from
from panel.mirror.live_pages import find_or_fetch_mapped_task, mirrored

_KEEP: Final = "private, no-cache"
"""The browser keeps it and asks whether it still holds."""


@requires(Action.VIEW)
@require_GET
@mirrored
def index_map(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    """The map as JSON; with ``since`` only what changed, 204 when nothing did."""
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    if since := request.GET.get("since", ""):
        news = maps.map_since(task, since)
        return HttpResponse(status=204) if news is None else JsonResponse(news, headers={"Cache-Control": _KEEP})
    etag = f'"{maps.version_of(task)}"'
    held = get_conditional_response(request, etag=etag)
    answer = HttpResponse(status=held.status_code) if held else JsonResponse(maps.whole_map(task))
    answer["Cache-Control"], answer["ETag"] = _KEEP, etag
    return answer


@requires(Action.VIEW)
@require_GET
@mirrored
def index_map_cells(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    """Label, outcome and error of a few cells (``indices``) as JSON."""
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    cells = maps.cells_at(task, selection_from(request.GET).indices)
    return JsonResponse({"cells": cells}, headers={"Cache-Control": "private, no-store"})


@requires(Action.VIEW)
@require_GET
@mirrored
def index_map_table(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    """The map in ranges of indices, each with its counts: to be read instead of seen."""
    task = find_or_fetch_mapped_task(slug, dag_id, run_id, task_id)
    run = task.run
    context = {
        "task": task,
        "run": run,
        "dag": run.dag,
        "server": run.dag.server,
        "live": boards.is_live(task),
        "ranges": maps.ranges(task),
        "failed": maps.failed_indices(task),
    }
    return render(request, "mirror/index_map_table.html", context)
