from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.html import escape

from panel.mirror.models import DagRun, Instance, MappedTask
from panel.servers.models import Server
from tests.mirror.pages import HTMX, MARKUP, page, place, rows, words
from tests.mirror.stage import mirrored_task

OUTCOMES = ["success", "soft_failure", "hard_failure", "hard_failure", "running", "waiting"]
RETRY = "/retry/"


@pytest.fixture
def task(server) -> MappedTask:
    return mirrored_task(
        server,
        OUTCOMES,
        labels={0: "us-east-1", 1: "eu-west-1", 2: "EU-central", 3: MARKUP},
        errors={2: ("KeyError", "'customer_1'"), 3: ("ConnectionError", f"refused {MARKUP}")},
        durations={0: 5.0, 1: 3.0, 2: 9.0, 3: 1.0},
        tries={2: 3},
    )


def test_every_count_is_a_link_to_its_instances(as_user, viewer, task):
    client = as_user(viewer)
    html = page(client, place(task))
    assert f'href="{place(task)}?outcome=hard_failure"' in html
    assert rows(page(client, f"{place(task)}?outcome=hard_failure")) == [2, 3]


def test_a_chosen_count_says_so_and_its_link_takes_the_filter_off(as_user, viewer, task):
    html = page(as_user(viewer), f"{place(task)}?outcome=hard_failure&label=eu")
    tile = html[html.index('id="tile-hard_failure"') :].split("</a>")[0]
    assert 'aria-current="true"' in tile
    assert f'href="{place(task)}?label=eu"' in tile


def test_the_head_tells_how_far_it_is_and_what_failed(as_user, viewer, task):
    text = words(page(as_user(viewer), place(task)))
    assert "6 indices" in text
    assert "66.7% done" in text
    assert "hard 33.3% · soft 16.7%" in text


def test_errors_stand_in_groups_with_their_counts_and_links(as_user, operator, task):
    html = page(as_user(operator), place(task))
    group = Instance.objects.get(mapped_task=task, map_index=2).error_group
    assert f"?error_group={group}" in html
    assert "customer_&lt;n&gt;" in html
    assert rows(page(as_user(operator), f"{place(task)}?error_group={group}")) == [2]


def test_an_error_says_where_it_was_raised_which_indices_have_it_and_whether_it_is_new(as_user, operator, server):
    before = mirrored_task(server, ["hard_failure"], run_id="before", errors={0: ("KeyError", "'customer_9'")})
    DagRun.objects.filter(pk=before.run_id).update(run_after=timezone.now() - timedelta(hours=1))
    task = mirrored_task(
        server, ["hard_failure"] * 3, errors={1: ("KeyError", "'customer_17'"), 2: ("OSError", f"full {MARKUP}")}
    )
    Instance.objects.filter(mapped_task=task, map_index=1).update(error_frame="etl.py:42 in load")
    html = page(as_user(operator), place(task))
    lines = [words(line) for line in html[html.index('class="errors"') :].split("<li>")[1:]]
    found = next(line for line in lines if "KeyError" in line)
    assert "etl.py:42 in load" in found
    assert "1 run" in found
    assert " new " not in found
    assert "example: 1" in found
    assert " new " in next(line for line in lines if "OSError" in line)
    assert f'href="{place(task, "instance_detail", map_index=1)}"' in html
    assert MARKUP not in html


def test_the_most_frequent_errors_are_shown_and_the_others_on_request(as_user, viewer, server):
    errors = {index: (f"Error{chr(ord('A') + index)}", "m") for index in range(12)}
    task = mirrored_task(server, ["hard_failure"] * 12, errors=errors)
    html = page(as_user(viewer), f"{place(task)}?label=x")
    assert html.count('class="error-type"') == 5
    assert "7 more errors" in html
    assert f'href="{place(task)}?label=x&amp;errors=all"' in html
    html = page(as_user(viewer), f"{place(task)}?label=x&errors=all")
    assert html.count('class="error-type"') == 12


def test_failures_whose_error_is_not_read_are_counted(as_user, viewer, task):
    MappedTask.objects.filter(pk=task.pk).update(unread_errors=7)
    assert "7 failures whose error is not read yet" in words(page(as_user(viewer), place(task)))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("indices=0,3-4", [0, 3, 4]),
        ("indices=4-", [4, 5]),
        ("indices=1000-", []),
        ("label=EU", [1, 2]),
        ("q=keyerror", [2]),
        ("try_number=3", [2]),
        ("try_number_gte=2", [2]),
        ("duration_gte=3&duration_lte=5", [0, 1]),
        ("duration_gte=0m+4s", [0, 2]),
        ("outcome=soft_failure&outcome=running", [1, 4]),
        ("outcome=hard_failure&indices=0-2", [2]),
        ("ordering=-duration&outcome=hard_failure", [2, 3]),
        ("ordering=duration&indices=0-3", [3, 1, 0, 2]),
        ("ordering=-map_index", [5, 4, 3, 2, 1, 0]),
    ],
)
def test_filters_and_order_of_a_link_hold(as_user, viewer, task, query, found):
    assert rows(page(as_user(viewer), f"{place(task)}?{query}")) == found


def test_a_link_holds_the_columns_one_added(as_user, viewer, server):
    task = mirrored_task(server, ["success"] * 3, results={index: {"rows": 30 - index} for index in range(3)})
    html = page(as_user(viewer), f"{place(task)}?columns=number_0&columns=queue_wait&label=&ordering=number_0")
    assert rows(html) == [2, 1, 0]
    head = words(html[html.index("<thead>") : html.index("</thead>")])
    assert "queue wait" in head
    assert "rows" in head
    assert "raised at" not in head
    assert '<td class="number added" data-label="rows">28</td>' in html
    assert "columns=queue_wait&amp;columns=number_0" in html[html.index('id="tile-success"') :].split("</a>")[0]
    assert '<input type="hidden" name="ordering" value="number_0">' in html[html.index('id="columns"') :]


@pytest.mark.parametrize("name", ["{index}", "{0}", "{", "}}", "%s", '"><b>'])
def test_a_result_field_may_have_any_name(as_user, viewer, server, name):
    task = mirrored_task(server, ["success"], results={0: {name: 28}})
    html = page(as_user(viewer), f"{place(task)}?columns=number_0")
    assert f'<td class="number added" data-label="{escape(name)}">28</td>' in html


def test_without_javascript_ticked_boxes_make_one_expression(as_user, viewer, task):
    assert rows(page(as_user(viewer), f"{place(task)}?indices=0&indices=4")) == [0, 4]


def test_a_link_holds_its_filters_in_the_fields_and_as_chips(as_user, viewer, task):
    html = page(as_user(viewer), f"{place(task)}?indices=0-3&q=refused&outcome=hard_failure")
    assert 'value="0-3"' in html
    assert 'value="refused"' in html
    text = words(html)
    assert "indices 0-3" in text
    assert "error has “refused”" in text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("indices=3,x", 422, "is not an index"),
        ("indices=9-3", 422, "runs backwards"),
        ("outcome=nonsense", 400, "There is no such outcome"),
        ("try_number=many", 400, "There is no such try"),
        ("duration_gte=soon", 400, "This duration cannot be read"),
        ("duration_gte=9&duration_lte=3", 422, "The longest duration is below the shortest one"),
        ("columns=colour", 400, "There is no such column"),
        ("ordering=colour", 400, "cannot be sorted that way"),
        ("cursor=garbage", 400, "damaged"),
        ("error_group=%3Cscript%3E", 400, "There is no such error group"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {**HTMX, "hx-target": "explorer"}], ids=["page", "htmx"])
def test_a_bad_filter_is_answered_in_place_and_shows_no_rows(as_user, operator, task, query, status, said, headers):
    html = page(as_user(operator), f"{place(task)}?{query}", status, **headers)
    assert said in words(html)
    assert rows(html) == []
    assert "Retry selected" not in html
    assert "that match" not in html
    assert ("<html" in html) is (not headers)


def test_what_was_typed_wrongly_stays_in_its_field_beside_the_message(as_user, viewer, task):
    html = page(as_user(viewer), f"{place(task)}?indices=3,x", 422)
    field = html[html.index('id="filter-indices"') :]
    assert 'value="3,x"' in field[:200]
    assert 'aria-invalid="true"' in field[:400]


def test_nothing_that_matches_leads_back_to_everything(as_user, viewer, task):
    html = page(as_user(viewer), f"{place(task)}?label=zzz")
    assert "Nothing matches" in html
    assert f'href="{place(task)}"' in html


def test_texts_of_airflow_are_escaped(as_user, operator, task):
    Instance.objects.filter(mapped_task=task).update(note=MARKUP)
    MappedTask.objects.update(last_error=MARKUP)
    html = page(as_user(operator), place(task))
    assert MARKUP not in html
    assert "&lt;script&gt;alert(1)" in html


def test_only_people_who_may_retry_are_offered_it(as_user, operator, viewer, deployer, task):
    assert RETRY in page(as_user(operator), place(task))
    for other in (viewer, deployer):
        html = page(as_user(other), place(task))
        assert f"{RETRY}?" not in html
        assert "Retry" not in words(html).replace("Retry jobs", "").replace("Retry what is selected", "")


def test_a_retry_of_all_that_match_carries_the_filters(as_user, operator, task):
    html = page(as_user(operator), f"{place(task)}?outcome=hard_failure&label=EU")
    assert f"/mapped-tasks/{task.pk}/retry/?outcome=hard_failure&amp;label=EU" in html
    assert "Retry the one that matches…" in words(html)


def test_the_failed_ones_can_be_retried_without_a_filter(as_user, operator, task):
    text = words(page(as_user(operator), place(task)))
    assert "Retry all 3 failed…" in text
    assert "Show all 3 failed" in text


def test_htmx_gets_the_explorer_alone(as_user, viewer, task):
    html = page(as_user(viewer), f"{place(task)}?outcome=running", **HTMX, **{"hx-target": "explorer"})
    assert html.strip().startswith('<div id="explorer"')
    assert rows(html) == [4]


def test_the_indices_that_match_can_be_had_as_one_expression(as_user, viewer, task):
    client = as_user(viewer)
    response = client.get(f"{place(task, 'mapped_task_indices')}?outcome=hard_failure&outcome=running")
    assert response["Content-Type"].startswith("text/plain")
    assert response.content == b"2-4"
    assert client.get(f"{place(task, 'mapped_task_indices')}?indices=x").status_code == 422


def test_long_lists_come_in_pages_that_keep_filter_and_order(as_user, viewer, server):
    task = mirrored_task(server, ["success"] * 150 + ["hard_failure"] * 70)
    client = as_user(viewer)
    html = page(client, f"{place(task)}?outcome=hard_failure&ordering=-map_index")
    assert rows(html) == list(range(219, 169, -1))
    following = html.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    html = page(client, following)
    assert rows(html) == list(range(169, 149, -1))
    assert 'rel="prev"' in html


def test_a_page_costs_as_many_queries_whatever_its_length(as_user, viewer, server, django_assert_max_num_queries):
    errors = {index: (f"Error{'ABCDEFGH'[index % 8]}", "") for index in range(100)}
    task = mirrored_task(server, ["hard_failure"] * 100, errors=errors)
    client = as_user(viewer)
    with django_assert_max_num_queries(19):
        page(client, place(task))


def test_a_task_that_is_not_expanded_yet_says_so(as_user, viewer, server):
    task = mirrored_task(server, [], run_state="running", unexpanded_state="none")
    html = page(as_user(viewer), place(task))
    assert "not expanded yet" in html
    assert "appear here by themselves" in html


def test_an_empty_map_says_so(as_user, viewer, server):
    task = mirrored_task(server, [], run_state="success", unexpanded_state="skipped")
    assert "an empty list" in page(as_user(viewer), place(task))


def test_removed_and_unknown_results_have_their_tiles_when_there_are_any(as_user, viewer, server):
    html = page(as_user(viewer), place(mirrored_task(server, ["removed", "unknown_result", "success"])))
    assert 'id="tile-removed"' in html
    assert 'id="tile-unknown_result"' in html


def test_a_server_that_is_down_shows_the_last_known_data(as_user, viewer, task):
    Server.objects.update(healthy=False, unreachable_since=timezone.now(), last_error="refused")
    html = page(as_user(viewer), place(task))
    assert "Last known data" in html
    assert rows(html) == [0, 1, 2, 3, 4, 5]


def test_a_read_that_did_not_work_is_told(as_user, viewer, task):
    MappedTask.objects.update(last_error="Airflow answered 500.")
    text = words(page(as_user(viewer), place(task)))
    assert "The last read of this task did not work" in text
    assert "Airflow answered 500." in text


def test_an_unknown_task_is_404(as_user, viewer, etl, server):
    page(as_user(viewer), "/servers/prod/dags/etl/runs/nope/tasks/work/", 404)
    page(as_user(viewer), "/servers/nope/dags/etl/runs/nope/tasks/work/", 404)


def test_a_task_of_an_old_run_is_asked_of_airflow(as_user, viewer, etl, server):
    etl.add_run("etl", "ancient", state="success")
    assert "work" in page(as_user(viewer), "/servers/prod/dags/etl/runs/ancient/tasks/work/")


def test_people_in_no_group_are_refused_and_strangers_log_in(as_user, nobody, client, task):
    page(as_user(nobody), place(task), 403)
    assert client.get(place(task)).status_code == 302
    answer = client.get(place(task), headers=HTMX | {"hx-current-url": f"http://testserver{place(task)}"})
    assert answer["HX-Redirect"].startswith("/login/")


def test_upstream_failures_without_a_message_can_still_be_shown_and_retried(as_user, operator, server):
    html = page(as_user(operator), place(mirrored_task(server, ["success", "upstream_failed", "upstream_failed"])))
    section = html[html.index('id="errors"') :].split("</section>")[0]
    assert "Show all 2 failed" in section
    assert "Retry all 2…" in section
    assert " hidden>" not in section.split(">")[0] + ">"


def test_pages_and_lists_go_over_the_wire_compressed(as_user, viewer, server):
    task = mirrored_task(server, ["success"] * 100, dag_id="compressed")
    browser = as_user(viewer)
    for address in (place(task), f"/api/v1/mapped-tasks/{task.pk}/instances/"):
        plain = browser.get(address)
        packed = browser.get(address, headers={"accept-encoding": "gzip"})
        assert packed["Content-Encoding"] == "gzip"
        assert len(packed.content) < len(plain.content) / 4
