"""The whole panel as its users run it (`config.run`: web, worker, scheduler), for the parts that look from outside."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx

from benchmarks.part import Order
from examples.demo.panel import Panel

USER, PASSWORD = "bench", "bench-Pa55-word"


@contextmanager
def served_panel(
    order: Order, base_url: str, port: int, *, settings: Mapping[str, str] | None = None
) -> Iterator[Panel]:
    with tempfile.TemporaryDirectory(prefix="mapboard-bench-") as home:
        panel = Panel(var=Path(home), log=Path(home) / "panel.log", port=port, settings=settings)
        panel.start()
        try:
            panel.wait_until_ready()
            panel.python("manage.py", "create_user", USER, "--groups", "admin", "--password-stdin", secrets=[PASSWORD])
            panel.python(
                *["manage.py", "add_server", "bench", base_url, "--username", order.username, "--password-stdin"],
                secrets=[order.password],
            )
            panel.token = panel.python("manage.py", "create_api_token", USER).strip().splitlines()[-1]
            yield panel
        finally:
            panel.stop()


def signed_in(panel: Panel) -> httpx.Client:
    browser = httpx.Client(base_url=panel.base_url, follow_redirects=True, timeout=60)
    form = browser.get("/login/").text
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert found is not None, form[:500]
    data = {"csrfmiddlewaretoken": found[1], "username": USER, "password": PASSWORD}
    browser.post("/login/", data=data, headers={"Referer": f"{panel.base_url}/login/"}).raise_for_status()
    return browser


def page_of(dag_id: str, run_id: str, task_id: str) -> str:
    return f"/servers/bench/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}/tasks/{task_id}/"


def wait_until_complete(panel: Panel, dag_id: str, run_id: str, task_id: str, seconds: float = 600) -> None:
    """Everything of this mapped task has been read; asks for that the way a program does."""
    body = {"server": "bench", "dag_id": dag_id, "run_id": run_id, "task_id": task_id, "wait": True}
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=panel.base_url, headers={"Authorization": f"Bearer {panel.token}"}) as program:
        while True:
            answer = program.post("/api/v1/mapped-tasks/sync/", json=body, timeout=90)
            answer.raise_for_status()
            if answer.json()["complete"]:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"{run_id} was not mirrored in {seconds:.0f} s: {answer.json()}")
