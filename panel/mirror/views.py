"""Pages: home, the Dags of a server, one Dag with its runs, one run with its mapped tasks."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.domain import states
from panel.mirror import boards, selectors, services
from panel.mirror.airflow_links import dag_url, run_url
from panel.mirror.live_pages import live_page, mirrored
from panel.mirror.task_page import failures_query


@requires(Action.VIEW)
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    board = boards.home_board()
    return live_page(
        request,
        "mirror/home.html",
        {"board": board, "failures_query": failures_query()},
        version=board.version,
        synced_at=board.synced_at,
    )


@requires(Action.VIEW)
@require_GET
@mirrored
def dag_list(request: HttpRequest, slug: str) -> HttpResponse:
    server = boards.server_of(slug)
    search = request.GET.get("q", "").strip()[:200]
    mapped, others = boards.dag_lines(server, search=search)
    context = {
        "server": server,
        "search": search,
        "mapped": mapped,
        "others": others,
        "synced_at": boards.synced_at_of(server),
    }
    asked = request.headers.get("HX-Target") == "dag-table"
    return render(request, "mirror/dag_list.html" + ("#dag-table" if asked else ""), context)


@requires(Action.VIEW)
@require_GET
@mirrored
def dag_detail(request: HttpRequest, slug: str, dag_id: str) -> HttpResponse:
    dag = selectors.dag(slug, dag_id)
    services.request_dag_refresh(dag=dag)
    lines = boards.run_lines(dag)
    context = {
        "dag": dag,
        "server": dag.server,
        "lines": lines,
        "keys": ",".join(str(line.run.pk) for line in lines),
        "airflow_url": dag_url(dag),
    }
    version = boards.revision([line.revision for line in lines], dag.is_paused, dag.server.healthy)
    return live_page(request, "mirror/dag_detail.html", context, version=version, synced_at=dag.synced_at)


@requires(Action.VIEW)
@require_GET
@mirrored
def run_detail(request: HttpRequest, slug: str, dag_id: str, run_id: str) -> HttpResponse:
    server = boards.server_of(slug)
    run = services.find_or_fetch_run(server=server, dag_id=dag_id, run_id=run_id)
    services.request_run_refresh(dag=run.dag, run_id=run.run_id)
    lines = boards.task_lines(selectors.mapped_tasks_of(run))
    context = {
        "run": run,
        "dag": run.dag,
        "server": server,
        "lines": lines,
        "keys": ",".join(str(line.task.pk) for line in lines),
        "seconds": boards.seconds_of(run),
        "failures_query": failures_query(),
        "live": run.state not in states.FINISHED_RUN or run.reconciled_at is None,
        "airflow_url": run_url(run),
    }
    version = boards.revision(
        boards.revision_of_tasks(line.task for line in lines), run.state, run.note, server.healthy
    )
    return live_page(request, "mirror/run_detail.html", context, version=version, synced_at=run.synced_at)
