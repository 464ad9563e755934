from django.urls import path

from panel.ui import health

app_name = "ui"
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
