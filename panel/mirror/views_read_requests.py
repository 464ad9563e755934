"""Buttons of the mapped-task page that have more read: all errors, results held in object storage."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.mirror import read_requests, selectors
from panel.mirror.live_pages import mirrored
from panel.mirror.models import MappedTask


@requires(Action.RETRY)
@require_POST
@mirrored
def read_errors(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    return _asked(request, task, read_requests.request_errors)


@requires(Action.RETRY)
@require_POST
@mirrored
def read_external_results(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    return _asked(request, task, read_requests.request_resolution)


def _asked(request: HttpRequest, task: MappedTask, ask: Callable[..., bool]) -> HttpResponse:
    if ask(mapped_task=task):
        messages.success(request, _("Asked for. The page shows them as they come."))
    else:
        messages.info(request, _("There is nothing left to read."))
    run = task.run
    return redirect("mirror:mapped_task_detail", run.dag.server.slug, run.dag.dag_id, run.run_id, task.task_id)
