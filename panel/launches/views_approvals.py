"""Saying yes or no to a protected launch, from its page."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.airflow import AirflowError
from panel.launches.approvals import approve_launch, reject_launch
from panel.launches.found import found_launch
from panel.problems import Problem


@requires(Action.LAUNCH)
@require_POST
def launch_decide(request: HttpRequest, launch_id: UUID) -> HttpResponseBase:
    """``decision`` is ``approve`` or ``reject``; anything else decides nothing."""
    launch = found_launch(launch_id)
    user, comment = cast(User, request.user), request.POST.get("comment", "").replace("\r\n", "\n").strip()
    decision = request.POST.get("decision", "")
    try:
        if decision == "approve":
            approve_launch(user=user, launch=launch, comment=comment)
            messages.success(request, _("Approved: it is on its way to Airflow."))
        elif decision == "reject":
            reject_launch(user=user, launch=launch, comment=comment)
            messages.success(request, _("Rejected; nothing was started."))
        else:
            messages.error(request, _("Nothing was decided: choose Approve or Reject."))
    except Problem as problem:
        messages.error(request, problem.message)
    except AirflowError as error:
        messages.error(
            request,
            _("Airflow cannot be asked now whether the Dag is still the same (%(why)s). Nothing was decided.")
            % {"why": error},
        )
    return redirect("launches:launch_detail", launch_id=launch_id)
