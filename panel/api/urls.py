"""Everything under /api/v1/: each room's own routes, the schema, and an answer for every other address."""

from __future__ import annotations

from django.urls import include, path, re_path

from panel.access.api_urls import urlpatterns as access
from panel.api.views import Docs, Schema, UnknownAddress
from panel.launches.api_urls import urlpatterns as launches
from panel.mirror.api_urls import urlpatterns as mirror
from panel.retries.api_urls import urlpatterns as retries
from panel.servers.api_urls import urlpatterns as servers

app_name = "api"

urlpatterns = [
    *(path("", include(room)) for room in (servers, mirror, retries, launches, access)),
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", Docs.as_view(), name="docs"),
    re_path(r"", UnknownAddress.as_view(), name="unknown"),
]
