"""Every address there is, tried by everybody: nothing is reached that is not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

from panel.access.actions import GRANTS, Action
from panel.access.decorators import PUBLIC

PUBLIC_ROUTES = {"/login/", "/logout/", "/healthz", "/readyz"}
SAMPLES: dict[str, Any] = {
    "SlugConverter": "no-such-server",
    "StringConverter": "nothing",
    "PathConverter": "nothing/at/all",
    "AirflowIdConverter": "no:such+id~",
    "IntConverter": 7,
    "UUIDConverter": UUID("00000000-0000-4000-8000-000000000000"),
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
IDS = {str(sample) for sample in SAMPLES.values()} | {"nothing"}
MORE_THAN_LOOKING = {
    "view": {
        "POST /api/v1/mapped-tasks/sync/",  # reads from Airflow what it shows
        "POST /api/v1/mapped-tasks/ID/outcome-rule/try-out/",  # writes nothing
    },
    "set_rules": {
        *(f"{method} /api/v1/servers/ID/outcome-rule/" for method in ("PUT", "DELETE")),
        *(f"{method} /api/v1/servers/ID/dags/ID/outcome-rule/" for method in ("PUT", "DELETE")),
        *(f"{method} /api/v1/servers/ID/dags/ID/tasks/ID/outcome-rule/" for method in ("PUT", "DELETE")),
        "page /servers/ID/dags/ID/runs/ID/tasks/ID/outcome-rule/save/",
        "page /servers/ID/dags/ID/runs/ID/tasks/ID/outcome-rule/remove/",
    },
    "retry": {
        "POST /api/v1/retry-jobs/",
        "POST /api/v1/retry-jobs/preview/",
        "POST /api/v1/retry-jobs/ID/pause/",
        "POST /api/v1/retry-jobs/ID/resume/",
        "POST /api/v1/retry-jobs/ID/start/",
        "POST /api/v1/retry-jobs/ID/cancel/",
        "page /mapped-tasks/ID/retry/",
        "page /retry/",
        "page /retry/estimate/",
        "page /servers/ID/dags/ID/retry/",
        "page /servers/ID/dags/ID/runs/ID/tasks/ID/errors/read/",
        "page /servers/ID/dags/ID/runs/ID/tasks/ID/results/read/",
        "page /retry-jobs/ID/pause/",
        "page /retry-jobs/ID/resume/",
        "page /retry-jobs/ID/start/",
        "page /retry-jobs/ID/cancel/",
    },
    "launch": {
        "POST /api/v1/servers/ID/dags/ID/launches/",
        "POST /api/v1/launches/ID/cancel/",
        "POST /api/v1/launches/ID/stop/",
        "POST /api/v1/launches/ID/approve/",
        "POST /api/v1/launches/ID/reject/",
        "page /servers/ID/dags/ID/launch/",
        "page /launches/ID/cancel/",
        "page /launches/ID/stop/",
        "page /launches/ID/decide/",
        "GET /api/v1/launch-forms/",
        "GET /api/v1/servers/ID/dags/ID/launch-forms/",
        "GET /api/v1/servers/ID/dags/ID/launch-forms/ID/",
        "GET /api/v1/servers/ID/dags/ID/launch-forms/ID/options/",
        *(f"{method} /api/v1/servers/ID/dags/ID/presets/" for method in ("GET", "POST")),
        *(f"{method} /api/v1/presets/ID/" for method in ("GET", "PUT", "DELETE")),
        "page /launch-forms/",
        "page /servers/ID/dags/ID/launch/options/",
        "page /servers/ID/dags/ID/launch-forms/",
        "page /presets/ID/",
        "page /presets/ID/rename/",
        "page /presets/ID/delete/",
        "POST /api/v1/servers/ID/dags/ID/backfills/dry-run/",
        "POST /api/v1/servers/ID/dags/ID/backfills/",
        "POST /api/v1/backfills/ID/pause/",
        "POST /api/v1/backfills/ID/resume/",
        "POST /api/v1/backfills/ID/cancel/",
        "page /servers/ID/dags/ID/backfill/",
        "page /backfills/ID/pause/",
        "page /backfills/ID/resume/",
        "page /backfills/ID/cancel/",
    },
    "set_guard_rails": {
        "PUT /api/v1/servers/ID/dags/ID/guard-rails/",
        "POST /api/v1/servers/ID/freezes/",
        "DELETE /api/v1/servers/ID/freezes/ID/",
        "page /servers/ID/dags/ID/guard-rails/set/",
        "page /servers/ID/dags/ID/freezes/",
        "page /servers/ID/dags/ID/freezes/ID/end/",
        "POST /api/v1/servers/ID/dags/ID/launch-forms/",
        *(f"{method} /api/v1/servers/ID/dags/ID/launch-forms/ID/" for method in ("PUT", "DELETE")),
        "PUT /api/v1/servers/ID/dags/ID/only-forms/",
        "page /servers/ID/dags/ID/launch-forms/add/",
        "page /servers/ID/dags/ID/launch-forms/only/",
        "page /servers/ID/dags/ID/launch-forms/ID/",
        "page /servers/ID/dags/ID/launch-forms/ID/delete/",
    },
    "manage_servers": {
        "page /servers/add/",
        "page /servers/ID/edit/",
        "page /servers/ID/check/",
        "page /servers/ID/remove/",
    },
    "see_audit": {"GET /api/v1/audit/", "page /audit/"},
}


@dataclass(frozen=True)
class Route:
    address: str
    view: Any

    @property
    def rest(self) -> bool:
        return hasattr(self.view, "cls")

    def action(self, method: str) -> Action | str | None:
        """What somebody must be allowed to do to get past the door."""
        if not self.rest:
            return getattr(self.view, "required_action", None)
        if not hasattr(self.view.cls, method.lower()):
            return Action.VIEW  # to be told that there is no such method
        return self.view.cls.actions.get(method)


def routes(patterns: list[URLPattern | URLResolver] | None = None, prefix: str = "/") -> Iterator[Route]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        part = str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, prefix + part)
        elif isinstance(pattern.pattern, RegexPattern):  # the answers to unknown addresses of the API
            yield Route("/api/nothing/" if part else f"{prefix}nothing/", pattern.callback)
        else:
            for name, converter in pattern.pattern.converters.items():
                sample = str(SAMPLES[type(converter).__name__])
                part = part.replace(f"<{_kind(part, name)}{name}>", sample)
            yield Route(prefix + part, pattern.callback)


def _kind(part: str, name: str) -> str:
    """The converter's part of ``<slug:name>``: ``slug:``."""
    return part.partition(f"{name}>")[0].rpartition("<")[2]


ALL = sorted(set(routes()), key=lambda route: route.address)
GUARDED = [route for route in ALL if route.address not in PUBLIC_ROUTES]


def ids(route: Route) -> str:
    return route.address


def test_the_walk_finds_the_pages_and_the_api() -> None:
    addresses = {route.address for route in ALL}
    assert {"/servers/", "/audit/", "/api/v1/servers/", "/api/v1/schema/", "/api/v1/docs/"} <= addresses
    assert not [address for address in addresses if "<" in address]
    assert len(addresses) == len(ALL) > 15


def test_only_login_logout_and_health_are_public() -> None:
    assert {route.address for route in ALL if route.action("GET") == PUBLIC} == PUBLIC_ROUTES


def test_what_takes_more_than_looking_is_written_down_here() -> None:
    """A new route that changes something is entered here on purpose, or this fails."""
    found: dict[str, set[str]] = {}
    for route in GUARDED:
        for method in METHODS if route.rest else ("GET",):
            known = not route.rest or hasattr(route.view.cls, method.lower())
            if known and (route.action(method) != Action.VIEW or (route.rest and method != "GET")):
                words = ["ID" if word in IDS else word for word in route.address.split("/")]
                found.setdefault(str(route.action(method)), set()).add(
                    f"{method if route.rest else 'page'} {'/'.join(words)}"
                )
    for method in METHODS[1:]:
        found["view"] -= {f"{method} /api/ID/", f"{method} /api/v1/ID/"}  # the answers to unknown addresses
    assert found == MORE_THAN_LOOKING


@pytest.mark.parametrize("route", GUARDED, ids=ids)
def test_every_route_says_who_may_reach_it(route) -> None:
    methods = [method for method in METHODS if not route.rest or hasattr(route.view.cls, method.lower())]
    assert methods
    assert all(isinstance(route.action(method), Action) for method in methods)


@pytest.mark.parametrize("route", GUARDED, ids=ids)
def test_nobody_logged_in_reaches_nothing(db, route) -> None:
    browser = Client()
    for method in METHODS:
        answer = browser.generic(method, route.address, content_type="application/json")
        if route.rest and not route.address.endswith("/docs/"):
            assert (method, answer.status_code) == (method, 401)
            assert answer["WWW-Authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "not_authenticated"
        else:
            assert (method, answer.status_code) == (method, 302)
            assert answer["Location"].startswith("/login/?next=")


@pytest.mark.parametrize("route", GUARDED, ids=ids)
def test_a_user_without_groups_reaches_nothing(db, as_user, nobody, route) -> None:
    browser = as_user(nobody)
    for method in METHODS:
        answer = browser.generic(method, route.address, content_type="application/json")
        assert (method, answer.status_code) == (method, 403)


@pytest.mark.parametrize("group", list(GRANTS))
@pytest.mark.parametrize("route", GUARDED, ids=ids)
def test_a_group_passes_the_door_exactly_where_it_may(db, as_user, person, fake_airflow, route, group) -> None:
    browser = as_user(person("someone", group))
    for method in METHODS:
        answer = browser.generic(method, route.address, content_type="application/json")
        reached = answer.status_code not in {401, 403}
        assert (method, reached) == (method, route.action(method) in GRANTS[group])
        assert answer.status_code < 500


def test_a_user_who_was_switched_off_reaches_nothing(as_user, admin) -> None:
    browser = as_user(admin)
    admin.is_active = False
    admin.save()
    assert browser.get("/servers/").status_code == 302
    assert browser.get("/api/v1/servers/").status_code == 401


def test_an_htmx_request_without_a_session_moves_the_whole_page_to_the_login(db) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/servers/?q=1"}
    answer = Client().get("/servers/", headers=headers)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/login/?next=/servers/%3Fq%3D1"


@pytest.mark.parametrize("current", ["https://evil.test//other.test/x", "//other.test", "javascript:alert(1)", ""])
def test_an_htmx_login_never_leads_to_another_site(db, current) -> None:
    answer = Client().get("/servers/", headers={"HX-Request": "true", "HX-Current-URL": current})
    after = Client().get(answer["HX-Redirect"])
    assert after.context["next"] == "" or after.context["next"].startswith("/")
    assert not after.context["next"].startswith("//")
