from django.apps import AppConfig


class MirrorConfig(AppConfig):
    name = "panel.mirror"
    label = "mirror"
