"""`make demo` as somebody sees it who types it: a banner with an address and logins that work, and Ctrl-C."""

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from examples.demo.airflow import REPOSITORY
from tests.live.processes import assert_all_gone, processes_below

START_SECONDS = 280


class RunningDemo:
    """The process, and what it printed until (and with) the banner."""

    def __init__(self, var: Path, sockets: Path) -> None:
        dropped = ("DATABASE_URL", "REDIS_URL")
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment |= {"MAPBOARD_VAR_DIR": str(var), "PORT": "18180", "TMPDIR": str(sockets)}
        self.var = var
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.demo"],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            self.banner = self._read_banner()
        except BaseException:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=60)
            raise
        self.base_url = self.found(r"Mapboard is ready:\s+(http://\S+)")

    def _read_banner(self) -> str:
        assert self.process.stdout is not None
        lines, deadline = [], time.monotonic() + START_SECONDS
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C stops everything" in line:
                return "".join(lines)
            assert time.monotonic() < deadline, "".join(lines)
        raise AssertionError("".join(lines))

    def found(self, pattern: str) -> str:
        match = re.search(pattern, self.banner)
        assert match, self.banner
        return match[1]

    def get(self, path: str) -> object:
        token = Path(self.found(r"API token \(admin\):\s+(\S+)")).read_text()
        request = urllib.request.Request(self.base_url + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def log_in(self, name: str) -> str:
        """The home page as that person sees it."""
        password = self.found(rf"{name}\s+(\S+)")
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        with browser.open(f"{self.base_url}/", timeout=30) as page:
            form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())
            address = page.url
        assert form, f"{address} shows no login form"
        fields = {"csrfmiddlewaretoken": form[1], "username": name, "password": password}
        with browser.open(address, urlencode(fields).encode(), timeout=60) as page:
            return str(page.read().decode())


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "var"


@pytest.fixture
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


@pytest.fixture
def demo(var: Path, sockets: Path) -> Iterator[RunningDemo]:
    demo = RunningDemo(var, sockets)
    yield demo
    if demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=60)


def test_it_shows_all_examples_lets_everybody_in_and_leaves_nothing_after_ctrl_c(
    demo: RunningDemo, sockets: Path
) -> None:
    assert demo.get("/readyz")
    mapped = {task["task_id"]: task["total"] for task in demo.get("/api/v1/mapped-tasks/?server=demo")["results"]}
    mapped.pop("add_up", None)  # the example that catches up by itself: its run of yesterday may be there by now
    assert mapped == {
        "deploy_region": 4,
        "process_file": 24,
        "load_shard": 8,
        "collect_segment": 4,
        "process_item": 100,
    }
    for name in ("viewer", "operator", "deployer", "admin"):
        assert "multi_region_deploy" in demo.log_in(name) or "Multi-region deploy" in demo.log_in(name)
    assert demo.var.stat().st_mode & 0o777 == 0o700

    started = processes_below(demo.process.pid)
    assert len(started) > 10
    demo.process.send_signal(signal.SIGINT)
    output, _ = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 0, output
    assert_all_gone(started)
    assert not list(sockets.glob("mapboard-*"))


def test_the_second_start_keeps_logins_and_runs_and_a_killed_demo_leaves_nothing_either(demo: RunningDemo) -> None:
    known = json.loads((demo.var / "demo" / "logins.json").read_text())
    assert demo.found(r"admin\s+(\S+)\s+may do everything") == known["admin"]
    assert len(demo.get("/api/v1/mapped-tasks/?server=demo")["results"]) >= 10

    started = processes_below(demo.process.pid)
    demo.process.kill()
    demo.process.communicate(timeout=60)
    assert_all_gone(started)
