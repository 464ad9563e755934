"""What launches keep.

``params_json`` columns are text, not JSONField: PostgreSQL's jsonb forgets the order of keys and turns ``1e16`` into a
whole number, and a launch sends what was typed.
"""

from panel.launches.models.backfills import Backfill, BackfillRun
from panel.launches.models.dag_forms import DagForm
from panel.launches.models.guard_rails import FreezeWindow, GuardRails
from panel.launches.models.launch_forms import FormDefinition, FormsSwitch, KnownOptions
from panel.launches.models.launches import Launch
from panel.launches.models.mails import LaunchMail
from panel.launches.models.presets import Preset
from panel.launches.models.stops import LaunchStop

__all__ = [
    "Backfill",
    "BackfillRun",
    "DagForm",
    "FormDefinition",
    "FormsSwitch",
    "FreezeWindow",
    "GuardRails",
    "KnownOptions",
    "Launch",
    "LaunchMail",
    "LaunchStop",
    "Preset",
]
