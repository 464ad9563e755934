"""Live tests talk to a real Airflow on this machine. They are chosen with `-m live` and run in one process."""

from pathlib import Path

import pytest
import pytest_socket

from tests.browser.conftest import browser

__all__ = ["browser"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session", autouse=True)
def sockets_are_open() -> None:
    """Only connections to this machine: Airflow is here, nothing else is needed."""
    pytest_socket.enable_socket()
