"""`python -m config.run`, which `make run` calls: the whole panel in the foreground.

Brings the database up to date, then runs web, worker and scheduler until one of them ends or SIGINT/SIGTERM comes;
then all of them end. Without ``REDIS_URL`` an embedded Redis-compatible server runs beside them, on a Unix socket in a
private directory; its address stands in ``var/redis_url``, so that a bare ``manage.py`` in another shell uses the same.

Variables besides those of config/settings.py: ``PORT`` (8000), ``HOST`` (production only; elsewhere it is loopback),
``WORKER_PROCESSES`` (4). With ``--until-stdin-closes`` it also ends when standard input does: whoever started it died.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from honcho.manager import Manager

from config.embedded_broker import BrokerUnavailable, embedded_broker
from config.environment import env

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
WEB_THREADS = 8
SECONDS_TO_FINISH = 3


class CannotRun(Exception):
    """What is wrong and what to do about it, in one or two sentences."""


class Processes(Manager):  # type: ignore[misc]  # honcho has no types
    """honcho's manager, which would stumble over a signal that comes before every process has told its id."""

    _asked_to_stop = False

    def terminate(self) -> None:
        self._asked_to_stop = True
        if super()._all_started():
            super().terminate()

    def _all_started(self) -> bool:
        started: bool = super()._all_started()
        if started and self._asked_to_stop:
            super().terminate()
        return started


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Until honcho listens, SIGTERM is what Ctrl-C is: every started thing is stopped on the way out. A shell starts
    # background jobs with SIGINT ignored; it stops us all the same.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        django.setup()
        return run(until_stdin_closes="--until-stdin-closes" in arguments)
    except (CannotRun, BrokerUnavailable, ImproperlyConfigured) as error:
        print(f"Mapboard cannot run: {error}", file=sys.stderr)  # noqa: T201 (a command's answer)
        return 1
    except KeyboardInterrupt:
        return 130


def run(*, until_stdin_closes: bool) -> int:
    host, port = listening_address()
    with ExitStack() as stack:
        stack.enter_context(ended_with_stdin() if until_stdin_closes else ExitStack())
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if not settings.IN_PRODUCTION and not env.str("REDIS_URL", ""):
            environment["REDIS_URL"] = stack.enter_context(embedded_broker(settings.BROKER_URL_FILE))
        manage(["migrate", "--noinput", "--verbosity", "1"], environment)
        if settings.IN_PRODUCTION:
            manage(["collectstatic", "--noinput", "--verbosity", "0"], environment)
        processes = Processes()
        for name, command in commands(host, port).items():
            processes.add_process(name, f"exec {shlex.join(command)}", env=environment, cwd=str(BASE_DIR))
        processes.loop()
        return 0 if processes.returncode in (130, 143) else int(processes.returncode or 1)


def commands(host: str, port: int) -> dict[str, list[str]]:
    """What runs, by name."""
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    return {
        "web": [
            *[sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port)],
            *["--workers", "1", "--blocking-threads", str(WEB_THREADS)],
            *["--workers-kill-timeout", str(SECONDS_TO_FINISH), "config.wsgi:application"],
        ],
        "worker": [
            *[*celery, "worker", "--loglevel", "INFO", "--concurrency", str(whole_number("WORKER_PROCESSES", 4))],
            *["--without-gossip", "--without-mingle"],
        ],
        "scheduler": [*celery, "beat", "--loglevel", "WARNING", "--pidfile="],
    }


def listening_address() -> tuple[str, int]:
    """Raises CannotRun when somebody listens there already."""
    host, port = env.str("HOST", ""), whole_number("PORT", 8000)
    if host and not settings.IN_PRODUCTION:
        raise CannotRun("HOST is for MAPBOARD_ENV=production; elsewhere Mapboard listens on loopback only. Unset it.")
    host = host or LOOPBACK
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise CannotRun(
                f"port {port} of {host} cannot be used ({error.strerror}). Stop what uses it, or choose another port: "
                f"PORT={port + 1} make run"
            ) from error
    return host, port


def whole_number(variable: str, default: int) -> int:
    text = env.str(variable, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise CannotRun(f"{variable} must be a whole number from 1 to 65535, not {text!r}.")
    return int(text)


def manage(arguments: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
    done = subprocess.run(command, env=environment, check=False)  # noqa: S603 (our own commands)
    if done.returncode != 0:
        raise CannotRun(f"`manage.py {arguments[0]}` failed; its message stands above.")


@contextmanager
def ended_with_stdin() -> Iterator[None]:
    def wait() -> None:
        # Not through sys.stdin: a thread waiting there holds its lock, and honcho's forked children would wait for it.
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
    yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
