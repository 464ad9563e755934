"""Plan tokens: the signed memory of what a preview showed, so that a retry does exactly that or nothing. Pure.

A token holds the set of indices (to name a difference) and a digest of their instance ids and tries (to notice an
index that ran again meanwhile).
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Final

from django.core import signing
from django.utils.translation import gettext as _

from panel.domain.index_expression import IndexExpression, MalformedIndexExpression
from panel.problems import Conflicting, Unprocessable
from panel.retries.choice import Plan

_SALT: Final = "retries.plan"
MAX_AGE: Final = timedelta(days=1)


def plan_token(plan: Plan, *, about: str) -> str:
    """``about`` is what else must stay the same: the user, the action, whether downstream runs again."""
    return signing.dumps({"about": about, "sets": _sets(plan), "digest": _digest(plan)}, salt=_SALT, compress=True)


def check_token(token: str, plan: Plan, *, about: str) -> None:
    """Return when ``plan`` is what the token's preview showed.

    Raises Conflicting (409) with the difference under ``added`` and ``removed``, Unprocessable (422) for a text that
    is no token of ours.
    """
    try:
        shown: dict[str, Any] = signing.loads(token, salt=_SALT, max_age=MAX_AGE)
    except signing.SignatureExpired as error:
        raise Conflicting(_("This preview is more than a day old. Look at it again."), code="plan_changed") from error
    except signing.BadSignature as error:
        problem = _("This is not a token of a preview.")
        raise Unprocessable(problem, {"plan_token": [problem]}) from error
    if shown["about"] != about:
        problem = _("This token belongs to another preview: other options, or another person.")
        raise Unprocessable(problem, {"plan_token": [problem]})
    sets = _sets(plan)
    added, removed = _difference(sets, shown["sets"]), _difference(shown["sets"], sets)
    if added or removed:
        raise Conflicting(_changed(added, removed), {"added": added, "removed": removed}, code="plan_changed")
    if shown["digest"] != _digest(plan):
        raise Conflicting(
            _("The indices are the same, but some of them ran again since the preview. Look at it again."),
            code="plan_changed",
        )


def _sets(plan: Plan) -> dict[str, str]:
    """Index expressions by run and task; an unmapped task has an empty one."""
    return {f"{run.dag_id}/{run.run_id}/{task.task_id}": str(task.indices) for run in plan.runs for task in run.tasks}


def _digest(plan: Plan) -> str:
    digest = hashlib.sha256()
    for task in plan.tasks:
        for candidate in task.chosen:
            row = (task.mapped_task_id, candidate.map_index, candidate.ti_id, candidate.try_number)
            digest.update("\x1f".join(map(str, row)).encode() + b"\x1e")
    return digest.hexdigest()


def _difference(these: dict[str, str], those: dict[str, str]) -> list[str]:
    """What ``these`` have and ``those`` have not, a line a task: ``task_id: 3,17-40``."""
    lines = []
    for place, text in these.items():
        task_id = place.rpartition("/")[2]
        if place not in those and not text:
            lines.append(task_id)
            continue
        try:
            other = set(IndexExpression.parse(those.get(place, "")))
        except MalformedIndexExpression:
            other = set()
        if missing := set(IndexExpression.parse(text)) - other:
            lines.append(f"{task_id}: {IndexExpression.of(missing)}")
    return lines


def _changed(added: list[str], removed: list[str]) -> str:
    parts = [_("The indices changed since the preview.")]
    if removed:
        parts.append(_("No longer to be retried: %(what)s.") % {"what": "; ".join(removed)[:500]})
    if added:
        parts.append(_("New: %(what)s.") % {"what": "; ".join(added)[:500]})
    parts.append(_("Look at it again."))
    return " ".join(parts)
