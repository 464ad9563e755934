"""REST: the instances of a mapped task, filtered, sorted, paged, grouped."""

from __future__ import annotations

import pytest
from django.test import Client

from panel.mirror import selectors
from panel.mirror.airflow_links import mapped_task_url
from panel.mirror.services import request_refresh
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(server):
    return mirrored_task(
        server,
        ["success", "hard_failure", "soft_failure", "running", "hard_failure", "waiting", "upstream_failed"],
        labels={0: "us-east-1", 1: "EU-West-1", 2: "eu-west-2"},
        errors={1: ("KeyError", "customer_17"), 4: ("KeyError", "customer_4711")},
        tries={1: 3},
    )


@pytest.fixture
def get(as_user, viewer, task):
    browser = as_user(viewer)

    def ask(query: str = "", path: str = "instances/"):
        return browser.get(f"/api/v1/mapped-tasks/{task.pk}/{path}{query}")

    return ask


def indices(answer) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["map_index"] for row in answer.json()["results"]]


def test_a_row_says_everything_about_an_instance(get):
    row = get("?indices=1").json()["results"][0]
    assert row["label"] == "EU-West-1"
    assert (row["state"], row["outcome"], row["try_number"]) == ("failed", "hard_failure", 3)
    assert (row["error_type"], row["error_message"]) == ("KeyError", "customer_17")
    assert len(row["error_group"]) == 16
    assert row["start_date"].endswith("Z")
    assert row["duration"] == 61.0
    assert row["airflow_url"].endswith("/dags/etl.daily/runs/manual__1/tasks/process_file/mapped/1")
    assert (row["result"], row["note"]) == (None, "")


def test_a_page_is_three_queries(get, django_assert_num_queries):
    """Who asks, of which mapped task, its rows with their results."""
    get()  # the worker is woken, and the texts of the queries are known from then on
    with django_assert_num_queries(3):
        assert len(indices(get("?ordering=-duration&page_size=2"))) == 2
    get("?label=west")
    with django_assert_num_queries(3):
        assert indices(get("?label=west&page_size=1")) == [1]


def test_a_list_knows_of_its_mapped_task_what_the_mapped_task_knows(task, django_assert_num_queries):
    whole = selectors.mapped_task_by_id(task.pk)
    with django_assert_num_queries(1):
        found = selectors.mapped_task_of_list(task.pk)
        seen = [(way, name) for way, model, names in selectors._OF_LISTS for name in names]
        for way, name in seen:
            ours, its = found, whole
            for link in filter(None, way.split("__")):
                ours, its = getattr(ours, link), getattr(its, link)
            assert getattr(ours, name) == getattr(its, name), (way, name)
        assert mapped_task_url(found) == mapped_task_url(whole)
    with django_assert_num_queries(1):  # what it writes
        request_refresh(mapped_task=found)


def test_soft_failures_show_their_result(get):
    row = get("?outcome=soft_failure").json()["results"][0]
    assert row["result"] == {"id": 2, "status": "failed", "error": "no rows in part 2"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("?outcome=hard_failure", [1, 4]),
        ("?outcome=hard_failure&outcome=soft_failure", [1, 2, 4]),
        ("?indices=1,3-4,900-", [1, 3, 4]),
        ("?indices=5-", [5, 6]),
        ("?label=eu-west", [1, 2]),
        ("?label=EU-WEST-1", [1]),
        ("?label=%25", []),  # not a wildcard
        ("?try_number=3", [1]),
        ("?try_number_gte=2", [1]),
        ("?try_number=1&try_number_gte=2", []),
        ("?duration_gte=62&duration_lte=1m4s", [2, 4]),
        ("?duration_lte=999999", [0, 1, 2, 4, 6]),  # what has none yet is outside
        ("?q=keyerror", [1, 4]),
        ("?q=CUSTOMER_17", [1]),
        ("?q=no+rows", [2]),
        ("?outcome=hard_failure&label=eu", [1]),
        ("?outcome=success&label=eu", []),
        ("?outcome=&label=", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_filters(get, query, expected):
    answer = get(query)
    assert indices(answer) == expected
    assert answer.json()["count"] == len(expected)


def test_the_filter_by_error_group_gives_the_groups_members(get):
    group = get(path="error-groups/").json()["results"][0]
    assert (group["error_type"], group["message"], group["count"]) == ("KeyError", "customer_<n>", 2)
    assert (group["indices"], group["example_index"], group["frame"]) == ("1,4", 1, "")
    assert group["example_message"].startswith("customer_")
    assert (group["share"], group["new"], group["runs_seen"], group["runs_known"]) == (0.5, False, 0, 0)
    assert group["first_seen"] < group["last_seen"]
    assert indices(get(f"?error_group={group['id']}")) == [1, 4]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("?outcomes=success", 400, "outcomes"),  # misspelt: it must not widen the list
        ("?outcome=broken", 400, "outcome"),
        ("?try_number=two", 400, "try_number"),
        ("?duration_gte=long", 400, "duration_gte"),
        ("?duration_gte=2&duration_lte=1", 422, "duration_lte"),
        ("?error_group=nope", 400, "error_group"),
        ("?indices=3-1", 422, "indices"),
        ("?indices=a", 422, "indices"),
        ("?ordering=note", 400, "ordering"),
        ("?page_size=501", 400, "page_size"),
        ("?cursor=rubbish", 400, "cursor"),
    ],
)
def test_what_cannot_be_filtered_by_is_said(get, query, status, field):
    answer = get(query)
    assert answer.status_code == status
    assert field in answer.json()["error"]["fields"]


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [
        ("map_index", [0, 1, 2, 3, 4, 5, 6]),
        ("-map_index", [6, 5, 4, 3, 2, 1, 0]),
        ("label", [1, 2, 0, 3, 4, 5, 6]),  # whoever has no label comes last
        ("-label", [0, 2, 1, 6, 5, 4, 3]),
        ("duration", [0, 1, 2, 4, 6, 3, 5]),
        ("-duration", [6, 4, 2, 1, 0, 5, 3]),
        ("start_date", [0, 1, 2, 3, 4, 6, 5]),
        ("-try_number", [1, 6, 5, 4, 3, 2, 0]),  # equal ones too are read backwards
    ],
)
def test_sorted_any_way_with_empty_values_last_page_by_page(get, ordering, expected):
    assert indices(get(f"?ordering={ordering}")) == expected
    page, seen = get(f"?ordering={ordering}&page_size=2").json(), []
    pages = []
    for _ in range(10):
        pages.append([row["map_index"] for row in page["results"]])
        seen += pages[-1]
        if page["next"] is None:
            break
        page = get(path="instances/", query="?" + page["next"].split("?")[1]).json()
    assert seen == expected
    back = get(path="instances/", query="?" + page["previous"].split("?")[1]).json()
    assert [row["map_index"] for row in back["results"]] == pages[-2]


def test_a_cursor_of_another_order_is_refused(get):
    cursor = get("?page_size=2&ordering=label").json()["next"].split("cursor=")[1].split("&")[0]
    assert get(f"?page_size=2&ordering=duration&cursor={cursor}").status_code == 400


def test_looking_wakes_one_refresh_however_many_look(get, task, later, woken, worker):
    later(30)
    for _ in range(3):
        get()
    assert woken.names() == ["mirror.sync_mapped_task"]


@pytest.mark.parametrize("path", ["", "instances/", "error-groups/", "instances/1/", "instances/1/log/", "export/"])
def test_only_people_who_may_view(as_user, nobody, task, path):
    address = f"/api/v1/mapped-tasks/{task.pk}/{path}"
    assert Client().get(address).status_code == 401
    assert as_user(nobody).get(address).status_code == 403


def test_an_unknown_mapped_task_is_a_404(as_user, viewer):
    for path in ("", "instances/", "error-groups/", "instances/0/", "export/"):
        answer = as_user(viewer).get(f"/api/v1/mapped-tasks/00000000-0000-5000-8000-000000000000/{path}")
        assert answer.status_code == 404, path
        assert answer.json()["error"]["code"] == "not_found"


def test_an_index_outside_the_map_is_a_404(get):
    assert get(path="instances/99/").status_code == 404
    assert get(path="instances/99999999999999999999/").status_code == 404
