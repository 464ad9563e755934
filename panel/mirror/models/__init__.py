"""The local copy of Airflow: Dags, runs, mapped tasks and instances. It can be deleted and rebuilt at any time."""

from panel.mirror.models.instances import (
    SORTED_APART,
    TOLD_APART,
    ErrorGroup,
    Held,
    Instance,
    InstanceResult,
    TryError,
)
from panel.mirror.models.tasks import (
    MASKED,
    Dag,
    DagRun,
    MappedTask,
    ServerMirror,
    Synced,
    mapped_task_uuid,
)
from panel.mirror.models.wishes import (
    OutcomeRule,
    SyncRequest,
)

__all__ = [
    "MASKED",
    "SORTED_APART",
    "TOLD_APART",
    "Dag",
    "DagRun",
    "ErrorGroup",
    "Held",
    "Instance",
    "InstanceResult",
    "MappedTask",
    "OutcomeRule",
    "ServerMirror",
    "SyncRequest",
    "Synced",
    "TryError",
    "mapped_task_uuid",
]
