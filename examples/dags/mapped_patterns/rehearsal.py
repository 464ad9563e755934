"""Failures on purpose: which indices fail, and when that ends. Shared by the Dags that move data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EXPRESSION = r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"
SECTION = {"section": "Rehearsal"}
INDICES = SECTION | {"type": "string", "pattern": EXPRESSION, "maxLength": 200}
"""Of a param that names indices, like 3,11-13; empty means none."""
SWITCH = "switch"


def failing_until(variable: str) -> dict[str, Any]:
    """Of the param ``failing_until``: ``manual_retry``, or ``switch`` for the Airflow Variable of this name."""
    displayed = {"manual_retry": "A retry by hand", SWITCH: f"The Variable {variable} is 'yes'"}
    schema = {"type": "string", "enum": [*displayed], "values_display": displayed}
    return SECTION | schema | {"title": "They fail until"}


@dataclass(frozen=True)
class Rehearsal:
    """What the run's params ask of one try of one index. fixed: everything is well again."""

    params: Mapping[str, Any]
    map_index: int
    try_number: int
    fixed: bool

    def asks_for(self, param: str, *, failing_tries: int) -> bool:
        """Whether this try is to fail in the way whose indices `param` names: the first `failing_tries` do, or all."""
        if self.fixed or not any(self.map_index in indices for indices in named_indices(self.params[param])):
            return False
        return self.params["failing_until"] == SWITCH or self.try_number <= failing_tries


def named_indices(expression: str) -> list[range]:
    """``"3,11-13"`` as ranges, in the order written; raises ValueError for anything else."""
    if not re.fullmatch(EXPRESSION, expression):
        raise ValueError(f"indices are written like 3,11-13, not {expression!r}")
    ends = [[int(end) for end in part.split("-")] for part in expression.split(",") if part]
    if backwards := [part for part in ends if part[0] > part[-1]]:
        raise ValueError(f"{backwards[0][0]}-{backwards[0][1]} goes backwards")
    return [range(part[0], part[-1] + 1) for part in ends]
