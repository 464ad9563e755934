"""On every page, at both widths and in both themes: no serious axe violation, no sideways scrolling, large targets."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import expect

from panel.servers.models import Server
from tests.browser.conftest import BUSY, DESKTOP, DESKTOP_DARK, PHONE, PHONE_DARK, RUN

DAG = "/servers/prod/dags/etl.daily/"
TASK = f"{DAG}runs/{RUN}/tasks/process_file/"
PAGES = {
    "home": "/",
    "servers": "/servers/",
    "add a server": "/servers/add/",
    "edit a server": "/servers/prod/edit/",
    "dags": "/servers/prod/dags/",
    "dag": DAG,
    "launch form": f"{DAG}launch/",
    "run": f"{DAG}runs/{RUN}/",
    "mapped task": TASK,
    "mapped task, filtered": f"{TASK}?outcome=hard_failure&indices=0-20&q=refused",
    "mapped task, nothing matches": f"{TASK}?label=zzz",
    "mapped task, bad filter": f"{TASK}?indices=3,x",
    "index map as a table": f"{TASK}index-map/table/",
    "outcome rule": f"{TASK}outcome-rule/?scope=dag&status_pointer=/status&failing_values=ok%0Afailed&message_pointer=",
    "numbers in results": f"{TASK}result-fields/",
    "instance": f"{TASK}3/",
    "retry": None,
    "retry over several runs": f"{DAG}retry/?hours=720",
    "retry jobs": "/retry-jobs/",
    "launches": "/launches/",
    "launch forms": "/launch-forms/",
    "launch forms of a Dag": f"{DAG}launch-forms/",
    "a new launch form": f"{DAG}launch-forms/add/",
    "backfill, of a Dag without dates": f"{DAG}backfill/",
    "backfills, none yet": f"{DAG}backfills/",
    "audit": "/audit/",
    "not found": "/no/such/page/",
}
SCREENS = pytest.mark.parametrize(
    "screen", [DESKTOP, DESKTOP_DARK, PHONE, PHONE_DARK], ids=["desktop", "desktop dark", "phone", "phone dark"]
)

BOTH_WIDTHS = pytest.mark.parametrize("screen", [DESKTOP, PHONE_DARK], ids=["desktop", "phone dark"])
"""For stories of many steps: both widths and both themes, not each with each."""

TARGETS = (
    "main a.button, main button, main input, main select, main a.tile, main a.chip, header a, header summary, "
    "main .cards th[scope=row] > a:first-child"
)
SMALL_TARGETS = """(targets) => [...document.querySelectorAll(targets)]
  .filter((element) => element.checkVisibility() && element.type !== "hidden")
  .map((element) => [element.closest("label") || element.closest(".cards tr:has(th)") || element, element.outerHTML])
  .filter(([target]) => target.getBoundingClientRect().height < 43.5)
  .map(([, html]) => html.slice(0, 120))"""


def serious(page):
    found = Axe().run(page).response["violations"]
    return [
        (rule["id"], node["html"][:200], node.get("failureSummary", "")[:300])
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def settled(page):
    page.wait_for_load_state("networkidle")
    expect(page.locator(BUSY)).to_have_count(0)
    return page


def check(page, screen):
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= screen.width
    if screen.is_phone:
        assert page.evaluate(SMALL_TARGETS, TARGETS) == []


@SCREENS
@pytest.mark.parametrize("name", PAGES)
def test_it_can_be_read_and_used(name, screen, opened, anna, task):
    path = PAGES[name] or f"/mapped-tasks/{task.pk}/retry/?outcome=hard_failure"
    check(settled(opened(anna, path, screen)), screen)


@SCREENS
def test_a_retry_and_its_pages_can_be_read_and_used(screen, opened, anna, task):
    page = opened(anna, f"{TASK}?outcome=hard_failure", screen)
    page.click("#retry-failures")
    page.fill("#retry-panel [name=reason]", "warehouse was read-only")
    check(settled(page), screen)
    page.click("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    check(settled(page), screen)
    for path in ("/retry-jobs/", "/audit/"):
        page.goto(path)
        check(settled(page), screen)


@SCREENS
def test_a_launch_and_its_pages_can_be_read_and_used(screen, opened, anna, task):
    page = opened(anna, f"{DAG}launch/", screen)
    page.click("main button.primary")
    check(settled(page), screen)  # the version is missing: errors beside the fields
    page.fill("[name$=version]", "1.2.3")
    page.click("main button.primary")
    page.wait_for_url("**/launches/*/")
    check(settled(page), screen)
    page.goto("/launches/")
    check(settled(page), screen)


@SCREENS
def test_the_login_can_be_read_and_used(screen, opened):
    check(settled(opened(None, "/login/", screen)), screen)


@SCREENS
def test_a_server_that_is_down_can_be_read(screen, opened, anna, task):
    Server.objects.update(healthy=False, unreachable_since=timezone.now(), last_error="Connection refused")
    for path in ("/", TASK, "/servers/"):
        check(settled(opened(anna, path, screen)), screen)


@SCREENS
def test_the_first_page_of_an_empty_panel_can_be_read(screen, opened, anna):
    check(settled(opened(anna, "/", screen)), screen)


def test_a_chosen_theme_holds_on_the_next_page(opened, anna, task):
    page = opened(anna, "/")
    page.click("header summary")
    page.check("input[name=theme][value=dark]")
    page.goto("/servers/")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_times_are_shown_in_the_viewers_zone(opened, anna, task):
    page = opened(anna, f"{DAG}runs/{RUN}/", timezone_id="Asia/Tokyo")
    time = page.locator("#run-head time[data-ago]").first
    shown = time.get_attribute("title")
    expected = page.evaluate("(iso) => new Date(iso).getHours()", time.get_attribute("datetime"))
    assert int(shown.split(" ")[1].split(":")[0]) == expected
    assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == "Asia/Tokyo"
