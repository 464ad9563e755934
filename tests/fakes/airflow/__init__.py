"""A stateful fake Airflow 3 on the wire. See ``app`` for how tests use it."""

from tests.fakes.airflow.app import FakeAirflow
from tests.fakes.airflow.effects import Effect
from tests.fakes.airflow.remote import RemoteFake
from tests.fakes.airflow.scheduler import Fatal, KeepRunning, Skip
from tests.fakes.airflow.state import Dag, Instance, Run, Task
from tests.fakes.airflow.wire import Recorded

__all__ = [
    "Dag",
    "Effect",
    "FakeAirflow",
    "Fatal",
    "Instance",
    "KeepRunning",
    "Recorded",
    "RemoteFake",
    "Run",
    "Skip",
    "Task",
]
