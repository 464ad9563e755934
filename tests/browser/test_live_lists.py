"""Lists that grow while one looks: no row moves under the pointer, and numbers still change."""

from playwright.sync_api import expect

from panel.mirror.models import DagRun
from tests.browser.conftest import BUSY, RUN
from tests.mirror.stage import mirrored_run

DAG = "/servers/prod/dags/etl.daily/"


def test_a_new_run_waits_until_the_pointer_has_left_the_list(opened, olga, task):
    page = opened(olga, DAG)
    page.hover("#runs tbody tr")
    mirrored_run(task.run.dag, "newer", state="running", run_after="2026-12-01T00:00:00Z")
    with page.expect_response(lambda answer: "?v=" in answer.url and answer.status == 200):
        pass
    expect(page.locator(BUSY)).to_have_count(0)
    expect(page.locator("#runs")).not_to_contain_text("newer")
    page.hover("h1")
    expect(page.locator("#runs tbody tr").first).to_contain_text("newer")


def test_numbers_change_under_the_pointer(opened, olga, task):
    page = opened(olga, DAG)
    page.hover("#runs tbody tr")
    DagRun.objects.filter(run_id=RUN).update(state="failed")
    expect(page.locator("#runs tbody tr")).to_contain_text("failed", timeout=15_000)


def test_a_new_run_appears_at_once_when_nobody_points_at_the_list(opened, olga, task):
    page = opened(olga, DAG)
    page.hover("h1")
    mirrored_run(task.run.dag, "newer", state="running", run_after="2026-12-01T00:00:00Z")
    expect(page.locator("#runs")).to_contain_text("newer", timeout=15_000)
    page.click("#runs a:has-text('newer')")
    expect(page.locator("h1")).to_contain_text("newer")
