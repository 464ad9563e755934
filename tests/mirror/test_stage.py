"""The stage other tests stand on: what it puts there is what a sync would have left."""

from __future__ import annotations

import pytest

from panel.domain.outcomes import Outcome
from panel.domain.selection import Selection
from panel.mirror import selectors
from panel.mirror.error_groups import error_groups
from tests.mirror.stage import mirrored_task


@pytest.mark.django_db
def test_every_outcome_can_be_staged_and_the_rollup_counts_them(server):
    task = mirrored_task(server, list(Outcome))
    assert task.counts == {outcome.value: 1 for outcome in Outcome}
    assert (task.total, task.failing) == (9, 3)  # removed is not part of the map
    assert task.complete


@pytest.mark.django_db
def test_staged_failures_form_groups(server):
    task = mirrored_task(server, ["hard_failure", "hard_failure", "soft_failure", "success"])
    assert [(group.outcome, group.count, str(group.indices)) for group in error_groups(task)] == [
        ("hard_failure", 2, "0-1"),
        ("soft_failure", 1, "2"),
    ]
    chosen = selectors.select_instances(task, Selection(outcomes=frozenset({Outcome.SOFT_FAILURE})))
    assert [row.map_index for row in chosen] == [2]
