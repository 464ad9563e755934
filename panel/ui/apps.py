from django.apps import AppConfig
from django.db.backends.signals import connection_created

from panel.postgres import read_moments_quickly


class UiConfig(AppConfig):
    name = "panel.ui"
    label = "ui"

    def ready(self) -> None:
        connection_created.connect(read_moments_quickly, dispatch_uid="moments")
