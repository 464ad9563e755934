from django.apps import AppConfig


class LaunchesConfig(AppConfig):
    name = "panel.launches"
    label = "launches"
