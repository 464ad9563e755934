"""The audit trail: every change leaves a row; administrators read and filter it."""

from __future__ import annotations

import pytest

from panel.access.models import AuditEvent
from panel.access.services import record_event

pytestmark = pytest.mark.django_db


@pytest.fixture
def trail(operator, admin) -> None:
    record_event(user=operator, action="retries.request", target_kind="retry_job", target_id="j1", server_slug="prod")
    record_event(user=admin, action="servers.add", target_kind="server", target_id="prod", server_slug="prod")
    record_event(user=None, action="access.add_user", target_kind="user", target_id="<b>bob</b>")


def shown(browser, query: str = "") -> list[str]:
    return [event.target_id for event in browser.get(f"/audit/{query}").context["page"].rows]


def test_an_admin_sees_the_newest_first(as_user, admin, trail) -> None:
    assert shown(as_user(admin)) == ["<b>bob</b>", "prod", "j1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?user=olga", ["j1"]),
        ("?action=servers.add", ["prod"]),
        ("?target=prod", ["prod", "j1"]),
        ("?target=retry_job", ["j1"]),
        ("?user=olga&action=servers.add", []),
        ("?user=(command line)", ["<b>bob</b>"]),
    ],
)
def test_filters_narrow_it_together(as_user, admin, trail, query, found) -> None:
    assert shown(as_user(admin), query) == found


def test_names_are_text_and_not_markup(as_user, admin, trail) -> None:
    page = as_user(admin).get("/audit/").content
    assert b"<b>bob</b>" not in page
    assert b"&lt;b&gt;bob&lt;/b&gt;" in page


def test_long_trails_have_pages_both_ways(as_user, admin) -> None:
    for number in range(250):
        record_event(user=admin, action="a.b", target_kind="k", target_id=str(number))
    browser = as_user(admin)
    first = browser.get("/audit/?user=anna").context["page"]
    second = browser.get(f"/audit/?user=anna&cursor={first.next_cursor}").context["page"]
    third = browser.get(f"/audit/?user=anna&cursor={second.next_cursor}").context["page"]
    assert [event.target_id for page in (first, second, third) for event in page.rows] == [
        str(number) for number in reversed(range(250))
    ]
    assert third.next_cursor is None
    assert browser.get(f"/audit/?cursor={third.previous_cursor}").context["page"].rows == second.rows


@pytest.mark.parametrize("query", ["?cursor=nonsense", "?user=%00", "?target=%00"])
def test_a_damaged_link_is_400(as_user, admin, query) -> None:
    assert as_user(admin).get(f"/audit/{query}").status_code == 400


def test_a_row_outlives_its_user(admin, operator, trail) -> None:
    operator.delete()
    event = AuditEvent.objects.get(target_id="j1")
    assert (event.user, event.username) == (None, "olga")


def test_the_api_gives_it_to_administrators_only(as_user, admin, viewer, trail) -> None:
    assert as_user(viewer).get("/api/v1/audit/").status_code == 403
    answer = as_user(admin).get("/api/v1/audit/?user=olga").json()
    assert [(row["user"], row["action"], row["server"]) for row in answer["results"]] == [
        ("olga", "retries.request", "prod")
    ]
