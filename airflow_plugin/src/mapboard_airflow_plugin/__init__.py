"""Mapboard's plug-in for Apache Airflow 3.0 to 3.3: the results of a whole mapped task in one request.

Airflow imports this module in every process it starts, that of each task included; only the api-server ever needs
what stands behind it. So the routes, which take 1 to 2 s and 20 to 30 MB to import, wait for their first request.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application under ``/mapboard``."""
    from mapboard_airflow_plugin.routes import app  # noqa: PLC0415 - see above

    await app(scope, receive, send)


class MapboardPlugin(AirflowPlugin):
    name = "mapboard"
    fastapi_apps = [{"app": serve, "url_prefix": "/mapboard", "name": "Mapboard: results of mapped tasks"}]
