"""The params of a launch beside those of the one before: what one confirms, and what one approves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from panel.launches.conf import digest
from panel.launches.fields import Field
from panel.launches.models import Launch
from panel.mirror.models import MASKED


@dataclass(frozen=True, slots=True)
class Row:
    """One param: its value now and last time, as they may be shown. ``is_given``: else it is the Dag's default."""

    name: str
    title: str
    value: Any
    is_given: bool
    last: Any
    changed: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """``last`` is the launch compared with; ``None`` when this is the first."""

    rows: list[Row]
    last: Launch | None

    @property
    def changes(self) -> int:
        return sum(row.changed for row in self.rows)


def compared(
    fields: Sequence[Field], params: Mapping[str, Any], last: Launch | None, *, secrets: Collection[str] = ()
) -> Comparison:
    """Every param of the Dag and every one that was given, in the order of the form."""
    by_name = {field.name: field for field in fields}
    before = last.params if last else {}
    hidden = {*secrets, *(field.name for field in fields if field.is_secret), *(last.secret_params if last else ())}
    rows = []
    for name in dict.fromkeys([*by_name, *params]):
        field = by_name.get(name)
        default = field.default if field else None
        now, then = params.get(name, default), before.get(name, default)
        rows.append(
            Row(
                name=name,
                title=field.title if field else name,
                value=MASKED if name in hidden and now is not None else now,
                is_given=name in params,
                last=MASKED if name in hidden and then is not None else then,
                changed=last is not None and digest(now) != digest(then),
            )
        )
    return Comparison(rows, last)
