"""Where each room hangs."""

from django.urls import include, path, re_path

from panel.api.views import UnknownAddress

urlpatterns = [
    path("api/v1/", include("panel.api.urls")),  # first: programs ask often, and each address before it costs
    path("", include("panel.ui.urls")),
    path("", include("panel.access.urls")),
    path("", include("panel.servers.urls")),
    path("", include("panel.launches.urls")),
    path("", include("panel.retries.urls")),
    path("", include("panel.mirror.urls")),
    re_path(r"^api(?:/|$)", UnknownAddress.as_view()),
]

handler500 = "panel.api.views.server_error"
