"""Airflow's ids in our paths."""

from __future__ import annotations

from urllib.parse import unquote

from django.urls import register_converter


class AirflowIdConverter:
    """Dag, run and task ids, which may hold ``+ : ~`` and, where an Airflow allows it, a slash.

    A slash and a percent sign are escaped twice: servers decode a path once before it is matched.
    """

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        return unquote(value)

    def to_url(self, value: str) -> str:
        return str(value).replace("%", "%25").replace("/", "%2F")


register_converter(AirflowIdConverter, "airflow_id")
