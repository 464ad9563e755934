"""What launches keep.

``params_json`` columns are text, not JSONField: PostgreSQL's jsonb forgets the order of keys and turns ``1e16`` into a
whole number, and a launch sends what was typed.
"""

from panel.launches.models.backfills import Backfill, BackfillRun
from panel.launches.models.dag_forms import DagForm
from panel.launches.models.guard_rails import FreezeWindow, GuardRails
from panel.launches.models.launches import Launch

__all__ = ["Backfill", "BackfillRun", "DagForm", "FreezeWindow", "GuardRails", "Launch"]
