from django.apps import AppConfig


class RetriesConfig(AppConfig):
    name = "panel.retries"
    label = "retries"
