"""Results: the XCom ``return_value`` of each instance that succeeded, read once a try, the cheapest way there is.

By Mapboard's plug-in where the server has it, at any time; else of a finished run all at once where Airflow can
(``/wait``, 3.3+); else one by one within the pass's budget, and what is left is read by the next pass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from panel.airflow import Airflow
from panel.mirror.claims import Claim
from panel.mirror.models import MappedTask
from panel.mirror.outcome_rules import rule_for
from panel.mirror.sync.bulk_results import read_by_plugin, read_by_wait
from panel.mirror.sync.reading import Reading
from panel.mirror.sync.runs import is_finished
from panel.mirror.sync.single_results import read_singly

BULK_FROM: Final = 25
"""Unread results from which ``/wait`` costs Airflow less than one by one (0.5–1.6 s against 11 ms each)."""


class Reader(StrEnum):
    """How results are read (``MappedTask.results_reader``)."""

    PLUGIN = "plugin"
    WAIT = "wait"
    SINGLE = "single"


def read_results(airflow: Airflow, claim: Claim[MappedTask]) -> bool:
    """Read what is unread. Whether something is left for the next pass. Raises AirflowError, ClaimLost."""
    if not claim.row.unread_results:
        return False
    reading = Reading(airflow, claim, rule_for(claim.row))
    if airflow.bulk_reads.available():
        _note(claim, Reader.PLUGIN)
        if read_by_plugin(reading):
            return True
    elif is_finished(claim.row.run) and claim.row.unread_results >= BULK_FROM:
        _note(claim, Reader.WAIT)
        read_by_wait(reading)
    if not claim.row.unread_results:
        return False
    _note(claim, Reader.SINGLE)
    return read_singly(reading)


def _note(claim: Claim[MappedTask], reader: Reader) -> None:
    """Pages say how results are read."""
    if claim.row.results_reader != reader:
        claim.row.results_reader = reader.value
        MappedTask.objects.filter(pk=claim.row.pk).update(results_reader=reader.value)
