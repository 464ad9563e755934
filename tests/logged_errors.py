"""What tests compare of an error that was found in a log."""

from __future__ import annotations

from panel.airflow import LoggedError


def told(error: LoggedError | None) -> tuple[str, str] | None:
    """Its type and message."""
    return None if error is None else (error.error_type, error.message)
