"""Pages: what counts as a soft failure in the results of a mapped task, tried out before it is saved."""

from __future__ import annotations

from typing import Any, Final, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.domain.outcome_rules import comparable
from panel.domain.rule_suggestions import Place
from panel.mirror import outcome_rules_tried as tried
from panel.mirror import selectors
from panel.mirror.live_pages import mirrored
from panel.mirror.models import MappedTask
from panel.mirror.outcome_rules import RuleInPlace, Scope, place_of, rules_for
from panel.mirror.outcome_rules_changing import remove_rule, set_rule
from panel.mirror.outcome_rules_form import OutcomeRuleForm, entered_of
from panel.problems import BadRequest, Problem

TEMPLATE: Final = "mirror/outcome_rule.html"
PARTIALS: Final = ("outcome-rule", "outcome-try")


@requires(Action.VIEW)
@require_GET
@mirrored
def outcome_rule(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    """The rule that holds, or the draft in the query string, and what it makes of the results that are stored."""
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    known = rules_for(task)
    draft = _draft(request, known)
    form = OutcomeRuleForm(draft)
    target = request.headers.get("HX-Target", "")
    partial = f"#{target}" if target in PARTIALS else ""
    return render(request, TEMPLATE + partial, _context(task, known, form, draft))


@requires(Action.SET_RULES)
@require_POST
@mirrored
def outcome_rule_save(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    form = OutcomeRuleForm(request.POST)
    if form.is_valid():
        scope = Scope(form.cleaned_data["scope"])
        try:
            set_rule(user=cast(User, request.user), **_place(task, scope), rule=form.rule)
        except Problem as problem:
            form.add_error("scope", problem.message)
        else:
            messages.success(request, _("The rule is saved; stored outcomes follow within seconds."))
            return _back(task)
    return render(request, TEMPLATE, _context(task, rules_for(task), form, request.POST.dict()), status=422)


@requires(Action.SET_RULES)
@require_POST
@mirrored
def outcome_rule_remove(request: HttpRequest, slug: str, dag_id: str, run_id: str, task_id: str) -> HttpResponse:
    task = selectors.mapped_task(slug, dag_id, run_id, task_id)
    wanted = request.POST.get("scope", "")
    held = next((held for held in rules_for(task) if held.scope == wanted and held.row is not None), None)
    if held is None or held.row is None:
        messages.info(request, _("There is no such rule any more."))
    else:
        remove_rule(user=cast(User, request.user), row=held.row)
        messages.success(request, _("The rule is removed; stored outcomes follow within seconds."))
    return _back(task)


def _draft(request: HttpRequest, known: list[RuleInPlace]) -> dict[str, str]:
    """What is asked for; without a question the rule that holds, or that of the ``scope`` alone."""
    scope = request.GET.get("scope", "")
    if "status_pointer" in request.GET or "failing_values" in request.GET:
        return request.GET.dict()
    held = next((held for held in known if held.scope == scope), known[0])
    if scope and held.scope != scope and scope not in {*Scope}:
        raise BadRequest(_("There is no such scope."))
    return entered_of(held.rule, Scope(scope) if scope else held.scope)


def _context(
    task: MappedTask, known: list[RuleInPlace], form: OutcomeRuleForm, draft: dict[str, str]
) -> dict[str, Any]:
    suggestions = tried.suggestions_for(task)
    context: dict[str, Any] = {
        "task": task,
        "run": task.run,
        "dag": task.run.dag,
        "server": task.run.dag.server,
        "known": known,
        "form": form,
        "suggestions": suggestions,
        "places": [_offer(place, draft) for place in suggestions.statuses],
    }
    if form.is_valid():
        scope = Scope(form.cleaned_data["scope"])
        place = place_of(task, scope)
        context |= {
            "tried": tried.try_rule(task, form.rule),
            "reach": tried.reach(task, dag_id=place[0], task_id=place[1]),
            "scope": scope,
            "stays": next((held for held in known if held.row and _is_narrower(held.scope, scope)), None),
        }
    return context


def _is_narrower(one: Scope, other: Scope) -> bool:
    order = list(Scope)
    return order.index(one) < order.index(other)


def _offer(place: Place, draft: dict[str, str]) -> dict[str, Any]:
    """A place that results have, with links that put it and its values into the form."""
    chosen = place.pointer == draft.get("status_pointer", "")
    failing = [text for line in draft.get("failing_values", "").splitlines() if (text := comparable(line))]
    failing = failing if chosen else []
    values = [
        {"text": text, "count": n, "chosen": text in failing, "query": _query(draft, place, _toggled(failing, text))}
        for text, n in place.values
    ]
    return {"pointer": place.pointer, "values": values}


def _toggled(failing: list[str], text: str) -> list[str]:
    return [value for value in failing if value != text] if text in failing else [*failing, text]


def _query(draft: dict[str, str], place: Place, failing: list[str]) -> str:
    kept = {name: draft.get(name, "") for name in ("message_pointer", "scope")}
    return urlencode(kept | {"status_pointer": place.pointer, "failing_values": "\n".join(failing)})


def _place(task: MappedTask, scope: Scope) -> dict[str, Any]:
    dag_id, task_id = place_of(task, scope)
    return {"server": task.run.dag.server, "dag_id": dag_id, "task_id": task_id}


def _back(task: MappedTask) -> HttpResponse:
    run = task.run
    names = (run.dag.server.slug, run.dag.dag_id, run.run_id, task.task_id)
    return redirect("mirror:outcome_rule", *names)
