"""Everything under /api/v1/: each room's own routes, the schema, and an answer for every other address."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from django.urls import URLPattern, URLResolver, include, path, re_path

from panel.api.views import Docs, Schema, UnknownAddress

app_name = "api"

ROOMS: Final = ("servers", "mirror", "retries", "launches", "access")

urlpatterns: list[URLPattern | URLResolver] = [
    *(
        path("", include(import_module(f"panel.{room}.api_urls").urlpatterns))
        for room in ROOMS
        if find_spec(f"panel.{room}.api_urls")
    ),
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", Docs.as_view(), name="docs"),
    re_path(r"", UnknownAddress.as_view(), name="unknown"),
]
