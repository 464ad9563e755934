"""What was done to each instance, counted, so that tests can say "each once"."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

What = Literal["clear", "mark", "try"]


@dataclass(frozen=True, slots=True)
class Effect:
    """``before`` is the state that it found. ``user`` is who asked for it, "" for the scheduler; ``cause`` whatever the
    test had called this moment."""

    what: What
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    before: str | None
    user: str = ""
    cause: str = ""

    @property
    def place(self) -> tuple[str, str, str, int]:
        return self.dag_id, self.run_id, self.task_id, self.map_index

    @property
    def is_harmless(self) -> bool:
        """A clear of an instance that waits without a state anyway gives it a new id and nothing else."""
        return self.what == "clear" and self.before is None


@dataclass
class Effects:
    """Every clear, mark and begun try, in order. ``cause`` is kept with those that come now."""

    all: list[Effect] = field(default_factory=list)
    cause: str = ""

    def add(self, what: What, place: tuple[str, str, str, int], before: str | None, user: str = "") -> None:
        self.all.append(Effect(what, *place, before, user, self.cause))

    def count(self, what: What, dag_id: str, run_id: str, task_id: str) -> Counter[int]:
        """By map index; harmless clears are left out."""
        wanted = (what, dag_id, run_id, task_id)
        return Counter(
            one.map_index
            for one in self.all
            if (one.what, one.dag_id, one.run_id, one.task_id) == wanted and not one.is_harmless
        )
