"""Live tests talk to a real Airflow on this machine; chosen with `-m live`, and `-n 2 --dist loadgroup` for two at a
time: those that share one Airflow (tests/contract too), and those that start their own. `alone` are those that measure.
"""

from pathlib import Path

import pytest
import pytest_socket

from tests.browser.conftest import browser

__all__ = ["browser"]
HERE = Path(__file__).parent
START_THEIR_OWN = {"test_airflow_standalone.py", "test_demo.py", "test_heavy_data.py"}


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.timeout(600))
        if item.get_closest_marker("live"):
            own = HERE in item.path.parents and item.path.name in START_THEIR_OWN
            item.add_marker(pytest.mark.xdist_group("their own Airflows" if own else "one Airflow"))


@pytest.fixture(scope="session", autouse=True)
def sockets_are_open() -> None:
    """Only connections to this machine: Airflow is here, nothing else is needed."""
    pytest_socket.enable_socket()
