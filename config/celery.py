"""The Celery application. The broker is only a wake-up signal: what is to be done stands in the database."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("mapboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
