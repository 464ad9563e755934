import time

from celery import current_app

from panel.wake import _send as send_to_the_broker  # the real one: the fixture "woken" replaces it where it is used

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


def test_a_broker_that_is_away_is_no_error_and_holds_nobody_up(caplog, monkeypatch):
    send = current_app.send_task
    with current_app.connection_for_write(url=NOBODY_LISTENS) as away:
        monkeypatch.setattr(current_app, "send_task", lambda *args, **options: send(*args, connection=away, **options))
        started = time.monotonic()
        send_to_the_broker("mirror.sweep", ())
    assert time.monotonic() - started < 3
    assert "The broker is away" in caplog.text
