"""A pytest plug-in for .ci/run (``-p tests.nothing_skipped``): a test that skips itself there has failed.

Skipping is for a developer's machine that lacks a browser or an Airflow. Where everything is to be proved, a missing
part must not look like success.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest


def _failed_instead(report: Any) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"Nothing may be skipped here. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    _failed_instead(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    _failed_instead(report)
    return report
