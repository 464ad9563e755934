import pytest
from django.db.models import F
from django.utils import timezone

from panel.mirror.models import Instance, MappedTask, TryError
from panel.servers.models import Server
from tests.mirror.pages import HTMX, MARKUP, is_polling, page, place, poll, words
from tests.mirror.stage import mirrored_task

SECTIONS = ("instance_tries", "instance_log", "instance_result", "instance_input")
ROUTES = ("instance_detail", "instance_log_text", *SECTIONS)


@pytest.fixture
def task(server) -> MappedTask:
    return mirrored_task(
        server,
        ["success", "hard_failure", "soft_failure"],
        labels={1: f"eu {MARKUP}"},
        errors={1: ("KeyError", f"'x' {MARKUP}")},
        tries={1: 3},
        results={0: {"rows": 7, "note": MARKUP}},
    )


@pytest.fixture
def real(mapped, etl, sync) -> MappedTask:
    """Two instances that the fake Airflow knows as well: 0 succeeded, 1 failed twice."""
    task = mapped(2)
    etl.finish("etl", "r1", "work", 0, result={"rows": 7})
    etl.finish("etl", "r1", "work", 1, error=("KeyError", "'x'"))
    return sync(task)


def at(task, index, name="instance_detail"):
    return place(task, name, map_index=index)


def test_it_tells_what_became_of_the_instance_and_why(as_user, viewer, task):
    html = page(as_user(viewer), at(task, 1))
    text = words(html)
    assert "[1]" in text
    assert "hard failure" in text
    assert "KeyError" in text
    assert "try 3" in text
    assert MARKUP not in html


def test_every_section_is_a_plain_link_without_javascript(as_user, viewer, task):
    html = page(as_user(viewer), at(task, 1))
    for name in SECTIONS:
        assert f'href="{at(task, 1, name)}"' in html


def test_what_became_of_the_same_item_in_other_runs_is_one_section_of_it(as_user, viewer, task):
    client = as_user(viewer)
    address = at(task, 1, "task_history")
    assert f'hx-get="{address}"' in page(client, at(task, 1))
    assert "this run" in words(page(client, address, **HTMX))


def test_neighbours_are_one_step_away(as_user, viewer, task):
    html = page(as_user(viewer), at(task, 1))
    assert f'rel="prev" href="{at(task, 0)}"' in html
    assert f'rel="next" href="{at(task, 2)}"' in html
    assert 'rel="prev"' not in page(as_user(viewer), at(task, 0))


def test_only_people_who_may_retry_are_offered_it(as_user, operator, viewer, task):
    link = f"/mapped-tasks/{task.pk}/retry/?indices=1"
    assert link in page(as_user(operator), at(task, 1))
    assert link not in page(as_user(viewer), at(task, 1))


def test_a_result_the_mirror_keeps_needs_no_airflow(as_user, viewer, task, fake_airflow):
    fake_airflow.down = True
    html = page(as_user(viewer), at(task, 0, "instance_result"), **HTMX)
    assert "&quot;rows&quot;: 7" in html
    assert MARKUP not in html


@pytest.mark.parametrize(("index", "said"), [(1, "has not succeeded"), (2, "&quot;status&quot;: &quot;failed&quot;")])
def test_a_failure_has_no_result_and_a_soft_one_shows_what_it_returned(as_user, viewer, task, index, said):
    assert said in page(as_user(viewer), at(task, index, "instance_result"), **HTMX)


def test_a_forbidden_result_says_what_that_means(as_user, viewer, server):
    task = mirrored_task(server, ["unknown_result"])
    html = page(as_user(viewer), at(task, 0, "instance_result"), **HTMX)
    assert "does not let this server" in html


def test_tries_come_from_airflow_with_a_link_to_each_log(as_user, viewer, real):
    html = page(as_user(viewer), at(real, 1, "instance_tries"), **HTMX)
    assert "failed" in html
    assert "?try_number=1" in html
    assert "<html" not in html


def test_the_log_is_folded_escaped_and_opens_where_it_failed(as_user, viewer, real, etl):
    entries = [
        {"event": "::group::Source details"},
        {"event": "attempt=1.log"},
        {"event": "::endgroup::"},
        {"event": f"reading {MARKUP}", "level": "info"},
        {"event": "slow", "level": "warning"},
        {"event": "failed", "level": "error", "error_detail": [{"exc_type": "KeyError", "exc_value": MARKUP}]},
    ]
    etl.set_log("etl", "r1", "work", 1, 1, entries)
    html = page(as_user(viewer), at(real, 1, "instance_log"), **HTMX)
    assert "<summary>Source details" in html
    assert "KeyError: &lt;script&gt;" in html
    assert MARKUP not in html
    errors = page(as_user(viewer), f"{at(real, 1, 'instance_log')}?level=error", **HTMX)
    assert "KeyError" in errors
    assert "slow" not in errors


def test_a_result_is_a_tree_with_its_json_beside_it(as_user, viewer, task):
    html = page(as_user(viewer), at(task, 0, "instance_result"), **HTMX)
    assert '<span class="tree-key">rows</span>' in html
    assert '<span class="tree-number">7</span>' in html
    assert 'id="result-text"' in html


def test_each_try_tells_why_it_failed_with_its_causes(as_user, viewer, real):
    error = {"error_type": "RuntimeError", "message": f"outer {MARKUP}", "frame": "etl.py:42 in load"}
    causes = [{"type": "KeyError", "message": "'inner'", "frame": "etl.py:7 in get"}]
    TryError.objects.update_or_create(mapped_task=real, map_index=1, try_number=1, defaults=error | {"causes": causes})
    html = page(as_user(viewer), at(real, 1, "instance_tries"), **HTMX)
    text = words(html)
    assert "RuntimeError : outer" in text
    assert "etl.py:42 in load" in text
    assert "One cause" in text
    assert "KeyError : 'inner'" in text
    assert MARKUP not in html


def test_why_an_earlier_try_failed_is_read_once_and_kept(as_user, viewer, real, etl, airflow):
    airflow.instances.clear("etl", "r1", [("work", 1)], dry_run=False)
    etl.finish("etl", "r1", "work", 1, error=("ValueError", "another one"))
    TryError.objects.all().delete()
    client = as_user(viewer)
    text = words(page(client, at(real, 1, "instance_tries"), **HTMX))
    assert text.index("ValueError : another one") < text.index("KeyError : 'x'")
    assert TryError.objects.filter(mapped_task=real, map_index=1).count() == 2
    etl.forget_requests()
    page(client, at(real, 1, "instance_tries"), **HTMX)
    assert etl.calls("GET", "/tries")
    assert not etl.calls("GET", "/logs/")


def test_the_whole_log_can_be_downloaded_as_text(as_user, viewer, real, etl):
    etl.set_log("etl", "r1", "work", 1, 1, [{"event": f"reading {MARKUP}", "level": "info"}, {"event": "the end"}])
    answer = as_user(viewer).get(f"{at(real, 1, 'instance_log_text')}?try_number=1")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="log-1-try-1.txt"'
    assert b"".join(answer.streaming_content).decode().endswith(f"[INFO] reading {MARKUP}\nthe end\n")


def test_a_log_that_cannot_be_read_is_no_empty_file(as_user, viewer, real, fake_airflow):
    assert as_user(viewer).get(f"{at(real, 1, 'instance_log_text')}?try_number=9").status_code == 502
    fake_airflow.down = True
    assert as_user(viewer).get(at(real, 1, "instance_log_text")).status_code == 502


def test_the_log_offers_the_way_to_the_error_only_where_there_is_one(as_user, viewer, real, etl):
    etl.set_log("etl", "r1", "work", 1, 1, [{"event": "fine", "level": "info"}])
    assert "To the error" not in page(as_user(viewer), at(real, 1, "instance_log"), **HTMX)
    etl.set_log("etl", "r1", "work", 1, 1, [{"event": "bad", "level": "error"}])
    assert "To the error" in page(as_user(viewer), at(real, 1, "instance_log"), **HTMX)


def test_a_level_or_try_that_is_none_is_taken_as_not_given(as_user, viewer, real):
    page(as_user(viewer), f"{at(real, 1, 'instance_log')}?level={MARKUP}&try_number=-1", **HTMX)


def test_a_try_that_airflow_does_not_have_is_said_in_the_log_section(as_user, viewer, real):
    html = page(as_user(viewer), f"{at(real, 1, 'instance_log')}?try_number=9", **HTMX)
    assert "The log cannot be read from Airflow" in html
    assert "Try again" in html


@pytest.mark.parametrize("name", ["instance_tries", "instance_log", "instance_input"])
def test_airflow_being_down_is_said_in_its_section_only(as_user, viewer, task, fake_airflow, name):
    fake_airflow.down = True
    client = as_user(viewer)
    html = page(client, at(task, 1, name), **HTMX)
    assert "cannot be read from Airflow" in html
    whole = page(client, at(task, 1, name))
    assert "cannot be read from Airflow" in whole
    assert "KeyError" in whole


def test_a_section_without_javascript_is_the_whole_page_with_it_read(as_user, viewer, real):
    html = page(as_user(viewer), at(real, 0, "instance_input"))
    assert "<html" in html
    assert 'id="input"' in html
    assert f'href="{at(real, 0, "instance_log")}"' in html


def test_news_come_alone_and_end_when_the_task_has_ended(as_user, viewer, server):
    task = mirrored_task(server, ["running"])
    client = as_user(viewer)
    address = poll(page(client, at(task, 0)))
    assert client.get(address, headers=HTMX).status_code == 204
    Instance.objects.update(
        outcome="hard_failure", state="failed", error_type="KeyError", error_message="'x'", version=F("version") + 1
    )
    html = page(client, address, **HTMX)
    assert "KeyError" in html
    assert "<html" not in html
    assert not is_polling(page(client, at(mirrored_task(server, ["success"], dag_id="done"), 0)))


def test_a_server_that_is_down_shows_the_last_known_data(as_user, viewer, task):
    Server.objects.update(healthy=False, unreachable_since=timezone.now())
    text = words(page(as_user(viewer), at(task, 1)))
    assert "Last known data" in text
    assert "KeyError" in text


@pytest.mark.parametrize("name", ROUTES)
def test_an_unknown_index_is_404_and_people_in_no_group_are_refused(as_user, viewer, nobody, task, name):
    page(as_user(viewer), at(task, 99, name), 404)
    page(as_user(nobody), at(task, 1, name), 403)
