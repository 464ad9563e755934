"""Where the mirror's pages are, and what a page says, for tests."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.test import Client
from django.urls import reverse

from panel.mirror.models import MappedTask

MARKUP = "<script>alert(1)</script>"


def place(task: MappedTask, name: str = "mapped_task_detail", **more: Any) -> str:
    run = task.run
    ids = {"slug": run.dag.server.slug, "dag_id": run.dag.dag_id, "run_id": run.run_id}
    if name not in {"run_detail"}:
        ids["task_id"] = task.task_id
    return reverse(f"mirror:{name}", kwargs=ids | more)


def page(client: Client, url: str, status: int = 200, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == status, response.content.decode()[:2000]
    return response.content.decode()


def words(html: str) -> str:
    """What a reader sees of it, roughly: no tags, single spaces."""
    text = re.sub(r"<svg.*?</svg>|<script.*?</script>|<head>.*?</head>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).replace("\u00a0", " ").split())


def rows(html: str) -> list[int]:
    """The map indices of the list, in the order of the page."""
    return [int(index) for index in re.findall(r'<tr id="row-(\d+)"', html)]


def poll(html: str) -> str:
    """The address the page's poller asks next."""
    found = re.search(r'id="poller"[^>]*hx-get="([^"]+)"', html)
    assert found, "the page has no poller"
    return unescape(found[1])


def is_polling(html: str) -> bool:
    return re.search(r'id="poller"[^>]*hx-get=', html) is not None


HTMX = {"hx-request": "true"}
