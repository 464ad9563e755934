"""Setting and removing outcome rules, and having stored outcomes derived anew where another rule holds now."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.services import record_event
from panel.domain.json_pointers import MalformedPointer, parts_of
from panel.domain.outcome_rules import MOST_VALUES, VALUE_LENGTH, Rule, comparable
from panel.mirror.claims import ClaimLost, bring_forward, claim
from panel.mirror.models import MappedTask, OutcomeRule
from panel.mirror.outcome_rules import is_known, rule_of, stale_tasks
from panel.mirror.sync.outcome_rules import keep_rule
from panel.mirror.sync.store import finish
from panel.problems import Unprocessable
from panel.servers.models import Server
from panel.wake import wake

SECONDS_A_ROUND: Final = 20.0
MOST_A_ROUND: Final = 200

User = AbstractBaseUser | AnonymousUser | None


def checked_rule(*, status_pointer: str, failing_values: Iterable[Any], message_pointer: str = "") -> Rule:
    """The rule that these inputs mean; values may be strings, numbers, truth values and null. Raises Unprocessable."""
    fields: dict[str, list[str]] = {}
    for name, pointer in (("status_pointer", status_pointer), ("message_pointer", message_pointer)):
        try:
            parts_of(pointer)
        except MalformedPointer as error:
            fields[name] = [str(error)]
    values, problem = _checked_values(list(failing_values))
    if problem:
        fields["failing_values"] = [problem]
    if fields:
        raise Unprocessable(_("This is not a rule yet."), fields)
    return Rule(status_pointer, tuple(values), message_pointer)


def set_rule(*, user: User, server: Server, dag_id: str = "", task_id: str = "", rule: Rule) -> OutcomeRule:
    """Have this rule hold for the server, one of its Dags or one task of it, and outcomes derived by it.

    Raises Unprocessable when the mirror knows no such Dag or task: a misspelt name would never hold.
    """
    if not is_known(server, dag_id, task_id):
        raise Unprocessable(
            _("Mapboard knows no such mapped task."), {"task_id" if task_id else "dag_id": [_("Not known.")]}
        )
    columns = {
        "status_pointer": rule.status_pointer,
        "failing_values": list(rule.failing_values),
        "message_pointer": rule.message_pointer,
    }
    with transaction.atomic():
        place: dict[str, Any] = {"server": server, "dag_id": dag_id, "task_id": task_id}
        before = OutcomeRule.objects.filter(**place).first()
        if before is not None and rule_of(before) == rule:
            return before
        row, _made = OutcomeRule.objects.update_or_create(**place, defaults=columns)
        _record(user, "mirror.set_outcome_rule", row, columns | {"before": _columns(before)})
        wake("mirror.rederive_outcomes", server.pk)
    return row


def remove_rule(*, user: User, row: OutcomeRule) -> None:
    """Have the next less specific rule hold in its place."""
    with transaction.atomic():
        if not OutcomeRule.objects.filter(pk=row.pk).delete()[0]:
            return
        _record(user, "mirror.remove_outcome_rule", row, {"before": _columns(row)})
        wake("mirror.rederive_outcomes", row.server_id)


def wake_where_stale(*, server: Server) -> bool:
    """Wake the worker where outcomes were derived by another rule than the one that holds; whether they were."""
    stale = bool(stale_tasks(server, most=1))
    if stale:
        wake("mirror.rederive_outcomes", server.pk)
    return stale


def rederive_outcomes(*, server_id: int) -> int:
    """Derive the outcomes of every mapped task whose rule has changed; how many were done.

    One that another worker has a claim on is left: that pass derives them, or the next sweep finds it.
    """
    server = Server.objects.filter(pk=server_id).first()
    if server is None:
        return 0
    ends_at, done = time.monotonic() + SECONDS_A_ROUND, 0
    stale = stale_tasks(server, most=MOST_A_ROUND)
    for mapped_task_id in stale:
        done += _derive_one(mapped_task_id)
        if time.monotonic() > ends_at:
            break
    if done and stale_tasks(server, most=1):
        wake("mirror.rederive_outcomes", server_id)
    return done


def _derive_one(mapped_task_id: UUID) -> bool:
    mapped_task = MappedTask.objects.select_related("run__dag__server").filter(pk=mapped_task_id).first()
    held = claim(mapped_task) if mapped_task is not None else None
    if held is None:
        return False
    try:
        keep_rule(held)
        finish(held)
    except ClaimLost:
        return False
    held.release()
    if held.row.unread_results:  # of some the rule asks for what was not kept
        rows = MappedTask.objects.filter(pk=mapped_task_id)
        rows.update(complete=False)
        bring_forward(rows, timezone.now())
        wake("mirror.sync_mapped_task", str(mapped_task_id), 0)
    return True


def _checked_values(values: Sequence[Any]) -> tuple[list[str], str]:
    """The values as they are compared, and what is wrong with them."""
    texts = [comparable(value) for value in values]
    if any(text is None or len(text) > VALUE_LENGTH or not text.isprintable() for text in texts):
        most = {"most": VALUE_LENGTH}
        return [], _("Words, numbers, true, false or null, of at most %(most)d characters.") % most
    known = list(dict.fromkeys(text for text in texts if text))
    if not known:
        return [], _("Name at least one value that means failure.")
    if len(known) > MOST_VALUES:
        return [], _("At most %(most)d values.") % {"most": MOST_VALUES}
    return known, ""


def _columns(row: OutcomeRule | None) -> dict[str, Any] | None:
    names = ("status_pointer", "failing_values", "message_pointer")
    return {name: getattr(row, name) for name in names} if row is not None else None


def _record(user: User, action: str, row: OutcomeRule, detail: dict[str, Any]) -> None:
    record_event(
        user=user,
        action=action,
        target_kind="outcome_rule",
        target_id="/".join(name for name in (row.server.slug, row.dag_id, row.task_id) if name),
        server_slug=row.server.slug,
        detail=detail,
    )
