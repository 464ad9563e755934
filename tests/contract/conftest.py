"""Every contract test runs twice: against the fake, and (marker ``live``) against a real Airflow 3.3.2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.site import Site
from tests.contract.stage import set_stage
from tests.fakes.airflow import FakeAirflow

REAL = pytest.param("real", marks=[pytest.mark.live, pytest.mark.timeout(600), pytest.mark.enable_socket])
DAGS = [f"contract_{name}" for name in ("daily", "group", "mapped", "params", "paused", "slow", "values")]


@pytest.fixture(scope="session", params=["fake", REAL])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    if request.param == "fake":
        fake = FakeAirflow()
        fake.plugin = True
        set_stage(fake)
        found = Site.of_fake(fake)
    else:
        server = request.getfixturevalue("real_airflow")
        server.wait_for_dags(DAGS)
        found = Site.of_server(server)
    yield found
    found.close()


@pytest.fixture(scope="session")
def mapped(site: Site) -> str:
    """A finished run of ``contract_mapped`` with six items; tests only look at it."""
    run_id = site.start("contract_mapped", n=6)
    site.finished("contract_mapped", run_id)
    return run_id


@pytest.fixture(scope="session")
def group(site: Site) -> str:
    """A finished run of ``contract_group``; tests only look at it."""
    run_id = site.start("contract_group")
    site.finished("contract_group", run_id)
    return run_id


@pytest.fixture
def own_mapped(site: Site) -> str:
    """A finished run of ``contract_mapped`` that the test may change."""
    run_id = site.start("contract_mapped", n=6)
    site.finished("contract_mapped", run_id)
    return run_id
