"""The Django project: settings from the environment, URLs, Celery, WSGI."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
