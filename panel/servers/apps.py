from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "panel.servers"
    label = "servers"

    def ready(self) -> None:
        from panel.servers import checks  # noqa: F401, PLC0415 - models are loaded only now; it registers itself
