"""Where a retry panel stands: beside one mapped task, or beside several of one Dag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.mirror.models import Dag, DagRun, MappedTask
from panel.servers.models import Server


@dataclass(frozen=True, slots=True)
class Place:
    """``mapped_tasks`` is not empty."""

    mapped_tasks: Sequence[MappedTask]

    @property
    def is_one(self) -> bool:
        return len(self.mapped_tasks) == 1

    @property
    def task(self) -> MappedTask:
        return self.mapped_tasks[0]

    @property
    def run(self) -> DagRun:
        return self.task.run

    @property
    def dag(self) -> Dag:
        return self.run.dag

    @property
    def server(self) -> Server:
        return self.dag.server

    @property
    def name(self) -> str:
        """What the title says after "Retry 12 indices of"."""
        if self.is_one:
            return self.task.task_id
        runs = len({task.run_id for task in self.mapped_tasks})
        tasks = {task.task_id for task in self.mapped_tasks}
        words = ngettext("%(task)s in %(count)s run", "%(task)s in %(count)s runs", runs)
        task = next(iter(tasks)) if len(tasks) == 1 else _("%(count)s tasks") % {"count": len(tasks)}
        return words % {"task": task, "count": runs}

    @property
    def panel_url(self) -> str:
        """Without the query, which holds the selection (and the tasks, where they are several)."""
        return reverse("retries:retry_panel", args=[self.task.pk]) if self.is_one else reverse("retries:retry_several")

    @property
    def back_url(self) -> str:
        if not self.is_one:
            return reverse("retries:dag_retry", args=[self.server.slug, self.dag.dag_id])
        return reverse(
            "mirror:mapped_task_detail",
            args=[self.server.slug, self.dag.dag_id, self.run.run_id, self.task.task_id],
        )
