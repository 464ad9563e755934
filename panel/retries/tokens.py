"""Plan tokens: the signed memory of what a preview showed, so that a retry does exactly that or nothing. Pure.

A token holds the set of indices (to name a difference), a digest of their instance ids and tries (to notice an index
that ran again meanwhile), and all that Airflow said about the plan, so that it need not be asked again while nothing
moves there. 10,000 scattered indices take about 5 kB.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.core import signing
from django.utils.translation import gettext as _

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.problems import Conflicting, Unprocessable
from panel.retries.choice import Candidate, LeftOut, Plan, RunChoice, TaskChoice

_SALT: Final = "retries.plan"
MAX_AGE: Final = timedelta(days=1)
LONGEST_TOKEN: Final = 1_000_000
"""Characters; a body of the REST API or of a form may have 2 MB."""

Place = tuple[str, str, str]
"""Dag, run and task."""


@dataclass(frozen=True, slots=True)
class ShownTask:
    """One task of a preview. ``unmapped`` is the instance of a task without a map, which no mirror holds."""

    task_id: str
    position: int
    as_upstream: bool
    indices: tuple[int, ...]
    unmapped: Candidate | None


@dataclass(frozen=True, slots=True)
class ShownRun:
    dag_id: str
    run_id: str
    downstream: list[str]
    followers: dict[str, list[str]]
    tasks: tuple[ShownTask, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a preview showed.

    ``seen_at``: what Airflow was like then is what the plan was made of; ``None`` where that is not known. ``picked``
    is the digest of what the mirror alone had chosen, ``digest`` of the whole plan. ``left_out`` is what Airflow's
    answers made leave out.
    """

    seen_at: datetime | None
    picked: str
    digest: str
    runs: tuple[ShownRun, ...]
    left_out: tuple[LeftOut, ...]


def plan_token(plan: Plan, *, about: str) -> str:
    """``about`` is what else must stay the same: the user, the action, whether downstream runs again."""
    body = {
        "about": about,
        "at": plan.seen_at.timestamp() if plan.seen_at else None,
        "picked": plan.picked,
        "digest": digest_of(plan.runs),
        "runs": [
            [run.dag_id, run.run_id, run.downstream, run.followers, [_packed_task(task) for task in run.tasks]]
            for run in plan.runs
        ],
        "left": [[group.why, group.task_id, _packed(group.indices), group.count] for group in plan.left_out_by_airflow],
    }
    return signing.dumps(body, salt=_SALT, compress=True)


def read_token(token: str, *, about: str) -> Shown:
    """Raises Conflicting (409) for a preview that is too old, Unprocessable (422) for a text that is no token of this
    person and these options.
    """
    try:
        body: dict[str, Any] = signing.loads(token, salt=_SALT, max_age=MAX_AGE)
        shown = _shown(body)
    except signing.SignatureExpired as error:
        raise Conflicting(_("This preview is more than a day old. Look at it again."), code="plan_changed") from error
    except (signing.BadSignature, KeyError) as error:  # a token of an earlier Mapboard lacks what this one needs
        problem = _("This is not a token of a preview.")
        raise Unprocessable(problem, {"plan_token": [problem]}) from error
    if body["about"] != about:
        problem = _("This token belongs to another preview: other options, or another person.")
        raise Unprocessable(problem, {"plan_token": [problem]})
    return shown


def check_same_below(shown: Shown, plan: Plan) -> None:
    """Raises Conflicting (409) when more than the preview named would run again below."""
    before = {(run.dag_id, run.run_id): run.downstream for run in shown.runs}
    more = {
        task for run in plan.runs for task in run.downstream if task not in before.get((run.dag_id, run.run_id), [])
    }
    if more:
        problem = _("More has failed below since the preview, and Airflow would run it again: %(tasks)s.")
        tasks = ", ".join(sorted(more))
        raise Conflicting(problem % {"tasks": tasks}, {"added": sorted(more), "removed": []}, code="plan_changed")


def check_shown(shown: Shown, plan: Plan) -> None:
    """Return when ``plan`` is what the preview showed.

    Raises Conflicting (409) with the difference under ``added`` and ``removed``.
    """
    sets, before = _sets(plan), _sets_shown(shown)
    added, removed = _difference(sets, before), _difference(before, sets)
    if added or removed:
        raise Conflicting(_changed(added, removed), {"added": added, "removed": removed}, code="plan_changed")
    if shown.digest != digest_of(plan.runs):
        raise Conflicting(
            _("The indices are the same, but some of them ran again since the preview. Look at it again."),
            code="plan_changed",
        )


def digest_of(runs: Iterable[RunChoice], *more: str) -> str:
    """The same for the same instances in the same tries."""
    lines = [*more]
    for run in runs:
        for task in run.tasks:
            lines.append(f"{task.mapped_task_id}")
            lines += [f"{one.map_index}\x1f{one.ti_id}\x1f{one.try_number}" for one in task.chosen]
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()


def _packed_task(task: TaskChoice) -> list[Any]:
    unmapped = next((one for one in task.chosen if one.map_index < 0), None)
    loose = [unmapped.ti_id, unmapped.try_number, unmapped.outcome.value] if unmapped else None
    indices = _packed(one.map_index for one in task.chosen if one.map_index >= 0)
    return [task.task_id, task.position, task.as_upstream, indices, loose]


def _shown(body: dict[str, Any]) -> Shown:
    return Shown(
        seen_at=None if body["at"] is None else datetime.fromtimestamp(body["at"], UTC),
        picked=body["picked"],
        digest=body["digest"],
        runs=tuple(
            ShownRun(dag_id, run_id, downstream, followers, tuple(_shown_task(*task) for task in tasks))
            for dag_id, run_id, downstream, followers, tasks in body["runs"]
        ),
        left_out=tuple(
            LeftOut(why, task_id, IndexExpression.of(_unpacked(indices)), count)
            for why, task_id, indices, count in body["left"]
        ),
    )


def _shown_task(task_id: str, position: int, as_upstream: bool, indices: str, loose: list[Any] | None) -> ShownTask:
    unmapped = Candidate(-1, loose[0], loose[1], Outcome(loose[2])) if loose else None
    return ShownTask(task_id, position, as_upstream, tuple(_unpacked(indices)), unmapped)


def _packed(indices: Iterable[int]) -> str:
    """Rising numbers by the gaps between them, seven bits a byte: an index takes two bits to a byte in the end."""
    packed, last = bytearray(), -1
    for index in indices:
        gap, last = index - last, index
        while gap > 0x7F:
            packed.append(gap & 0x7F | 0x80)
            gap >>= 7
        packed.append(gap)
    return base64.b64encode(zlib.compress(bytes(packed), 9)).decode()


def _unpacked(text: str) -> list[int]:
    indices, last, gap, shift = [], -1, 0, 0
    for byte in zlib.decompress(base64.b64decode(text)):
        gap |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            last, gap, shift = last + gap, 0, 0
            indices.append(last)
    return indices


def _sets(plan: Plan) -> dict[Place, frozenset[int]]:
    return {
        (run.dag_id, run.run_id, task.task_id): frozenset(one.map_index for one in task.chosen)
        for run in plan.runs
        for task in run.tasks
    }


def _sets_shown(shown: Shown) -> dict[Place, frozenset[int]]:
    return {
        (run.dag_id, run.run_id, task.task_id): frozenset((*task.indices, *([-1] if task.unmapped else [])))
        for run in shown.runs
        for task in run.tasks
    }


def _difference(these: dict[Place, frozenset[int]], those: dict[Place, frozenset[int]]) -> list[str]:
    """What ``these`` have and ``those`` have not, a line a task: ``task_id: 3,17-40``, or its id where it has no map.

    The run stands in front where there are several.
    """
    several = len({place[:2] for place in (*these, *those)}) > 1
    lines = []
    for place, indices in these.items():
        name = f"{place[1]} {place[2]}" if several else place[2]
        missing = indices - those.get(place, frozenset())
        if mapped := IndexExpression.of(index for index in missing if index >= 0):
            lines.append(f"{name}: {mapped}")
        elif missing:
            lines.append(name)
    return lines


def _changed(added: list[str], removed: list[str]) -> str:
    parts = [_("The indices changed since the preview.")]
    if removed:
        parts.append(_("No longer to be retried: %(what)s.") % {"what": "; ".join(removed)[:500]})
    if added:
        parts.append(_("New: %(what)s.") % {"what": "; ".join(added)[:500]})
    parts.append(_("Look at it again."))
    return " ".join(parts)
