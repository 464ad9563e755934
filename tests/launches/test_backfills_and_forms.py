"""A Dag that is launched through its launch forms only: what becomes of backfills, which have none."""

from __future__ import annotations

import pytest

from panel.launches.dag_forms import read_form
from panel.launches.launch_forms_changing import set_only_forms
from panel.problems import Conflicting
from tests.launches.backfilling import DAG, worked

pytestmark = pytest.mark.django_db


def test_a_dag_that_is_launched_through_its_forms_is_backfilled_by_admins_only(backfilled, server, admin, deployer):
    read_form(server=server, dag_id=DAG)
    set_only_forms(user=admin, server=server, dag_id=DAG, only_forms=True)
    with pytest.raises(Conflicting, match="through its launch forms only"):
        backfilled()
    assert backfilled(user=admin).state == "submitting"


def test_a_dag_that_is_kept_for_its_forms_meanwhile_gets_no_backfill(backfilled, server, admin, fake_airflow):
    backfill = backfilled()
    set_only_forms(user=admin, server=server, dag_id=DAG, only_forms=True)
    refused = worked(backfill)
    assert refused.state == "refused"
    assert "through its launch forms only" in refused.message
    assert fake_airflow.world.backfills == {}
