"""The mapped-task page: counts that filter, errors in groups, the list of instances, what to retry."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.domain.index_expression import IndexExpression, MalformedIndexExpression
from panel.domain.outcomes import FAILURES, Outcome
from panel.mirror import boards, error_groups, index_map, selectors, services, task_page
from panel.mirror.airflow_links import mapped_task_url
from panel.mirror.filters import NAMES, selection_from
from panel.mirror.list_columns import optional_columns
from panel.mirror.live_pages import find_or_fetch_mapped_task, mirrored
from panel.mirror.models import MappedTask
from panel.problems import BadRequest

TEMPLATE = "mirror/mapped_task_detail.html"
MORE_FILTERS = ("label", "try_number", "try_number_gte", "duration_gte", "duration_lte")
"""The filters behind a disclosure; it is open while one of them is set."""
GROUPS_AT_ONCE = 5
GROUPS_AT_MOST = 500


@requires(Action.VIEW)
@require_GET
@mirrored
def mapped_task_detail(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    task = find_or_fetch_mapped_task(slug, dag_id, run_id, task_id)
    if services.request_refresh(mapped_task=task):
        task.refresh_from_db(fields=["refresh_requested_at"])
    if request.headers.get("HX-Request") and "v" in request.GET:
        return _news(request, task)
    listed = task_page.listing(task, request.GET)
    context = (
        _head(task)
        | _groups(request, task)
        | {
            "outcomes": list(Outcome),
            "failed_indices": [] if request.headers.get("HX-Request") else index_map.failed_indices(task),
            "listed": listed,
            "tiles": task_page.tiles(task, listed),
            "chips": task_page.chips(listed),
            "filters": {name: request.GET.get(name, "") for name in NAMES},
            "more_filters": any(request.GET.get(name) for name in MORE_FILTERS),
            "optional_columns": optional_columns(task).values(),
            "matching_query": task_page.matching_query(listed),
            "poll_query": _poll_query(request, _version(task), listed.shown),
        }
    )
    status = listed.problem.http_status if listed.problem else 200
    partial = "#explorer" if request.headers.get("HX-Target") == "explorer" else ""
    return render(request, TEMPLATE + partial, context, status=status)


@requires(Action.VIEW)
@require_GET
@mirrored
def mapped_task_indices(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    """Every index that the filters match, as one index expression in plain text: what “copy indices” copies."""
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    matching = selectors.select_instances(task, selection_from(request.GET))
    expression = IndexExpression.of(matching.values_list("map_index", flat=True))
    return HttpResponse(str(expression), content_type="text/plain; charset=utf-8")


def _news(request: HttpRequest, task: MappedTask) -> HttpResponse:
    """Nothing new: 204, and no row was read. Read again without a change: the age. Else what changed."""
    version = _version(task)
    if request.GET["v"] == version:
        return HttpResponse(status=204)
    context = _head(task) | {"poll_query": _poll_query(request, version, request.GET.get("shown", ""))}
    if request.GET["v"].partition(".")[0] != version.partition(".")[0]:
        try:
            listed, rows = task_page.news(task, request.GET, since=_rows_since(request, task))
        except MalformedIndexExpression as error:
            raise BadRequest(str(error)) from error
        context |= _groups(request, task)
        context |= {"changed": True, "listed": listed, "tiles": task_page.tiles(task, listed), "rows": rows}
    return render(request, f"{TEMPLATE}#news", context)


def _rows_since(request: HttpRequest, task: MappedTask) -> int:
    """The version of the rows that the poller has; 0 where it is none of this mirror's."""
    since = request.GET["v"].partition("-")[0]
    return int(since) if re.fullmatch(r"[0-9]{1,18}", since) and int(since) <= task.version else 0


def _poll_query(request: HttpRequest, version: str, shown: str) -> str:
    """What the poller asks with: the list's own filters, the rows it shows, the version it has."""
    query = request.GET.copy()
    query.pop("cursor", None)
    query["shown"] = shown
    query["v"] = version
    return query.urlencode()


def _version(task: MappedTask) -> str:
    """What changed, when it was read, and whether more is to come."""
    age = f"{task.synced_at.timestamp():.0f}" if task.synced_at else ""
    return f"{task.version}-{task.run.state}.{age}.{'live' if boards.is_live(task) else 'final'}"


def _head(task: MappedTask) -> dict[str, Any]:
    run = task.run
    return {
        "task": task,
        "run": run,
        "dag": run.dag,
        "server": run.dag.server,
        "live": boards.is_live(task),
        "done_share": boards.done_share(task.counts, task.total),
        "failures": sum(task.counts.get(outcome, 0) for outcome in FAILURES),
        "failures_query": task_page.failures_query(),
        "airflow_url": mapped_task_url(task),
        "storage_is_set": bool(settings.XCOM_STORAGE),
    }


def _groups(request: HttpRequest, task: MappedTask) -> dict[str, Any]:
    """The largest error groups; with ``errors=all`` as many as a page can hold."""
    all_of_them = request.GET.get("errors") == "all"
    groups = error_groups.first_error_groups(task, GROUPS_AT_MOST if all_of_them else GROUPS_AT_ONCE)
    there_are = len(groups) if len(groups) < GROUPS_AT_ONCE else error_groups.error_group_count(task)
    others = request.GET.copy()
    for name in ("errors", "v", "shown"):
        others.pop(name, None)
    return {
        "groups": groups,
        "group_count": there_are,
        "all_groups": all_of_them and there_are > GROUPS_AT_ONCE,
        "hidden_groups": there_are - len(groups),
        "largest_group": groups[0].count if groups else 0,
        "groups_revision": boards.revision(groups, there_are, task.failing, task.unread_errors),
        "few_errors_query": others.urlencode(),
        "all_errors_query": "&".join(filter(None, [others.urlencode(), "errors=all"])),
    }
