"""What the mapped-task page shows on demand: metrics with plots and trend, numbers in results, patterns of failures.

htmx gets the section alone, for a disclosure of the page; without JavaScript its link leads to a page of its own.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.mirror import boards, histories, metrics_page, result_fields, selectors
from panel.mirror.live_pages import find_or_fetch_mapped_task, mirrored
from panel.mirror.models import MappedTask

LONGEST_QUERY = 6_000
"""Characters of an index expression that may stand in a link; longer ones are copied."""


@requires(Action.VIEW)
@require_GET
@mirrored
def task_metrics(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    task = find_or_fetch_mapped_task(slug, dag_id, run_id, task_id)
    version = f"{task.version}-{'live' if boards.is_live(task) else 'final'}"
    if request.headers.get("HX-Request") and request.GET.get("v") == version:
        return HttpResponse(status=204)
    found = metrics_page.section(task) | {"version": version, "oob": "v" in request.GET}
    return _section(request, task, "metrics", found)


@requires(Action.VIEW)
@require_GET
@mirrored
def task_patterns(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    task = find_or_fetch_mapped_task(slug, dag_id, run_id, task_id)
    found = {"patterns": histories.patterns(task), "longest_query": LONGEST_QUERY}
    return _section(request, task, "patterns", found)


@requires(Action.VIEW)
@require_GET
@mirrored
def task_result_fields(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    """The numbers in the results: added up, and beside earlier runs."""
    task = find_or_fetch_mapped_task(slug, dag_id, run_id, task_id)
    return _section(request, task, "result_fields", {"fields": result_fields.field_lines(task)})


@requires(Action.VIEW)
@require_GET
@mirrored
def task_history(
    request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str, map_index: int
) -> HttpResponse:
    """One item over the last runs."""
    task = find_or_fetch_mapped_task(slug, dag_id, run_id, task_id)
    instance = selectors.instance(task, map_index)
    return _section(request, task, "history", {"instance": instance, "history": histories.history_of(instance)})


def _section(request: HttpRequest, task: MappedTask, name: str, found: dict[str, Any]) -> HttpResponse:
    run = task.run
    section = f"mirror/_task_{name}.html"
    context = {"task": task, "run": run, "dag": run.dag, "server": run.dag.server, "live": boards.is_live(task)}
    template = section if request.headers.get("HX-Request") else "mirror/task_section.html"
    return render(request, template, context | found | {"section": section})
