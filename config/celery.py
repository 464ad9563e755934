"""The Celery application. The broker is only a wake-up signal: what is to be done stands in the database."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import worker_process_init
from kombu.transport.redis import Channel

from config.startup import settle_in

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A worker that has lost its broker must not try to give back the messages it holds: that fails and ends it (kombu 5.7).
# There is no option for this.
Channel.do_restore = False

app = Celery("mapboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def _settle(**_signal: object) -> None:
    settle_in()
