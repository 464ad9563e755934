"""The index map: every outcome in one small answer, then only what changed."""

from __future__ import annotations

import gzip
import random
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.mirror import index_map
from panel.mirror.claims import claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.store import store
from tests.mirror.pages import HTMX, MARKUP, page, place, words
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db

NAMES = {code: name for name, code in index_map.CODES.items()}


@pytest.fixture
def task(server) -> MappedTask:
    return mirrored_task(
        server,
        ["success", "success", "hard_failure", "soft_failure", "running", "success"],
        labels={2: "eu/<b>2</b>"},
        errors={2: ("KeyError", MARKUP)},
    )


@pytest.fixture
def get(as_user, viewer, task):
    """``get("?since=…")``: the answer of the map's address."""
    client = as_user(viewer)
    return lambda query="", **headers: client.get(place(task, "index_map") + query, headers=headers)


def outcomes(cells: str) -> list[str]:
    return [NAMES.get(code, "") for code in cells]


def write(task: MappedTask, outcomes: dict[int, str], gone=()) -> None:
    """A pass of the sync that finds these outcomes and misses what is ``gone``."""
    held = claim(task)
    assert held is not None
    rows = list(Instance.objects.filter(mapped_task=task, map_index__in=outcomes))
    known = {row.map_index for row in rows}
    rows += [Instance(mapped_task=task, map_index=index, ti_id=str(index)) for index in outcomes.keys() - known]
    for row in rows:
        row.outcome = outcomes[row.map_index]
    store(held, rows, gone)
    held.succeed(due_at=None)


# ── All of it ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_index_has_its_outcome(get):
    answer = get()
    body = answer.json()
    assert outcomes(body["cells"]) == ["success", "success", "hard_failure", "soft_failure", "running", "success"]
    assert (body["size"], body["beyond"]) == (6, False)
    assert answer["Cache-Control"] == "private, no-cache"


def test_an_index_without_an_instance_is_absent(get, task):
    write(task, {8: "waiting"}, gone=[1])
    assert outcomes(get().json()["cells"]) == [
        "success", "", "hard_failure", "soft_failure", "running", "success", "", "", "waiting",
    ]  # fmt: skip


def test_removed_instances_are_on_the_map(get, task):
    write(task, {0: "removed"})
    assert outcomes(get().json()["cells"])[:2] == ["removed", "success"]


def test_a_map_that_is_not_expanded_is_empty(as_user, viewer, server):
    task = mirrored_task(server, [], run_state="running", unexpanded_state="none")
    body = as_user(viewer).get(place(task, "index_map")).json()
    assert (body["size"], body["cells"]) == (0, "")


def test_a_map_that_holds_is_not_sent_again(get, task):
    first = get(**{"accept-encoding": "gzip"})
    again = get(**{"if-none-match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    write(task, {0: "hard_failure"})
    assert get(**{"if-none-match": first["ETag"]}).status_code == 200


def test_many_mixed_outcomes_take_a_quarter_byte_an_index_and_few_queries(as_user, viewer, server):
    task = mirrored_task(server, [])
    mix = {"success": 80, "hard_failure": 8, "soft_failure": 5, "waiting": 4, "running": 2, "retrying": 1}
    wanted = random.Random(7).choices(list(mix), list(mix.values()), k=10_000)
    Instance.objects.bulk_create(
        [Instance(mapped_task=task, map_index=index, outcome=outcome) for index, outcome in enumerate(wanted)],
        batch_size=2_000,
    )
    MappedTask.objects.filter(pk=task.pk).update(counts=dict(Counter(wanted)), total=10_000, version=7)
    client = as_user(viewer)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(place(task, "index_map"), headers={"accept-encoding": "gzip"})
    assert len(answer.content) < 2_500
    assert len(queries) < 20
    body = gzip.decompress(answer.content).decode()
    assert f'"cells": "{"".join(index_map.CODES[outcome] for outcome in wanted)}"' in body


def test_indices_beyond_what_can_be_drawn_are_left_out_and_told(get, task, monkeypatch):
    monkeypatch.setattr(index_map, "MOST_CELLS", 4)
    body = get().json()
    assert outcomes(body["cells"]) == ["success", "success", "hard_failure", "soft_failure"]
    assert body["beyond"]
    assert get(f"?since=0.{body['version'].partition('.')[2]}").json()["beyond"]


# ── What changed ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_nothing_new_is_204_and_reads_no_outcome(get):
    version = get().json()["version"]
    with CaptureQueriesContext(connection) as queries:
        assert get(f"?since={version}").status_code == 204
    assert not any('"outcome"' in query["sql"] for query in queries)


def test_only_what_changed_is_sent(get, task):
    version = get().json()["version"]
    write(task, {4: "success", 6: "waiting", 7: "waiting"})
    news = get(f"?since={version}").json()
    assert "cells" not in news
    assert {NAMES[code]: indices for code, indices in news["changes"].items()} == {"success": "4", "waiting": "6-7"}
    assert news["size"] == 8
    assert {NAMES[code]: count for code, count in news["counts"].items()} == {
        "success": 4, "hard_failure": 1, "soft_failure": 1, "waiting": 2,
    }  # fmt: skip
    assert get(f"?since={news['version']}").status_code == 204


def test_random_histories_add_up_to_the_whole_map(get, task):
    chance = random.Random(3)
    known = get().json()
    cells, version = list(known["cells"]), known["version"]
    for _ in range(25):
        size = len(cells) + chance.randrange(2)
        write(task, {chance.randrange(size): chance.choice(list(Outcome)).value for _ in range(chance.randrange(4))})
        answer = get(f"?since={version}")
        if answer.status_code == 204:
            continue
        news = answer.json()
        cells += "." * (news["size"] - len(cells))
        for code, indices in news["changes"].items():
            for index in IndexExpression.parse(indices):
                cells[index] = code
        version = news["version"]
    assert "".join(cells) == get().json()["cells"]


def test_what_is_gone_shows_in_the_counts(get, task):
    version = get().json()["version"]
    write(task, {}, gone=[5])
    news = get(f"?since={version}").json()
    assert (news["size"], news["changes"]) == (5, {})
    assert sum(news["counts"].values()) == 5


def test_a_mirror_that_was_rebuilt_is_sent_whole(get, task):
    version = get().json()["version"]
    Instance.objects.filter(mapped_task=task).delete()
    write(task, {0: "waiting"})
    assert outcomes(get(f"?since={version}").json()["cells"]) == ["waiting"]


@pytest.mark.parametrize("since", ["x", "999.1", "-1.1", "1", "²", "%00"])
def test_a_version_there_never_was_gets_the_whole_map(get, since):
    assert get(f"?since={since}").json()["size"] == 6


def test_a_version_from_the_future_of_this_mirror_gets_the_whole_map(get):
    mirror = get().json()["version"].partition(".")[2]
    assert "cells" in get(f"?since=999.{mirror}").json()


def test_many_changes_are_sent_as_the_whole_map(get, task):
    version = get().json()["version"]
    write(task, dict.fromkeys(range(1200), "waiting"))
    assert get(f"?since={version}").json()["cells"].count(index_map.CODES["waiting"]) == 1_200


# ── Single cells ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_cell_tells_its_label_and_its_error_as_data(as_user, viewer, task):
    answer = as_user(viewer).get(place(task, "index_map_cells") + "?indices=2-3")
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["cells"] == [
        {"index": 2, "label": "eu/<b>2</b>", "outcome": "hard_failure", "error": f"KeyError {MARKUP}"},
        {"index": 3, "label": "", "outcome": "soft_failure", "error": "no rows in part 3"},
    ]


def test_only_a_few_cells_are_told_at_once(as_user, viewer, server):
    task = mirrored_task(server, ["success"] * 150)
    client = as_user(viewer)
    assert len(client.get(place(task, "index_map_cells") + "?indices=0-").json()["cells"]) == 100
    assert client.get(place(task, "index_map_cells")).json()["cells"] == []
    assert client.get(place(task, "index_map_cells") + "?indices=x").status_code == 422


# ── Without the picture ──────────────────────────────────────────────────────────────────────────────────────────
def test_the_page_says_without_javascript_which_indices_failed(as_user, viewer, server):
    task = mirrored_task(server, ["hard_failure", "success"] * 30 + ["soft_failure"] * 3)
    html = page(as_user(viewer), place(task))
    plain = html[html.index("<noscript>") : html.index("</noscript>")]
    assert "hard failure 30: 0 , 2 , 4" in words(plain)
    assert f'href="{place(task)}?outcome=hard_failure">…' in plain
    assert f'href="{place(task)}?indices=60-62">60-62</a>' in plain
    assert f'href="{place(task, "index_map_table")}"' in plain


def test_the_table_has_every_range_with_its_counts(as_user, viewer, server):
    task = mirrored_task(server, ["success"] * 100 + ["hard_failure"] * 7)
    html = page(as_user(viewer), place(task, "index_map_table"))
    assert "hard failure 7: 100-106" in words(html)
    assert "100-104 hard failure 5" in words(html)
    assert "105-106 hard failure 2" in words(html)
    assert f'href="{place(task)}?indices=95-99"' in html
    assert html.count('<th scope="row"') == 22


def test_the_table_of_a_large_map_is_short(server):
    task = mirrored_task(server, [])
    Instance.objects.bulk_create(
        [Instance(mapped_task=task, map_index=index, outcome="success") for index in range(3_001)], batch_size=1_000
    )
    found = index_map.ranges(task)
    assert [str(each.indices) for each in found[:2]] == ["0-99", "100-199"]
    assert (str(found[-1].indices), found[-1].counts) == ("3000", {"success": 1})
    assert sum(each.counts["success"] for each in found) == 3_001


def test_an_empty_map_has_an_empty_table(as_user, viewer, server):
    task = mirrored_task(server, [], run_state="running", unexpanded_state="none")
    assert "No instances" in page(as_user(viewer), place(task, "index_map_table"))


# ── On the page ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_legends_counts_are_filters(as_user, viewer, task):
    html = page(as_user(viewer), place(task))
    legend = html[html.index('id="map-legend"') : html.index('id="map-view"')]
    assert "hard failure 1" in words(legend)
    assert f'href="{place(task)}?outcome=hard_failure"' in legend
    assert "skipped" not in legend


def test_news_bring_the_legend_with_its_version(as_user, viewer, task):
    client = as_user(viewer)
    write(task, {0: "hard_failure"})
    html = page(client, f"{place(task)}?v=old&shown=", **HTMX)
    legend = html[html.index('id="map-legend"') :].split("</div>")[0]
    assert f'data-version="{MappedTask.objects.get(pk=task.pk).version}"' in legend
    assert "hard failure 2" in words(legend)
    assert 'id="map-view"' not in html


@pytest.mark.parametrize("name", ["index_map", "index_map_cells", "index_map_table"])
def test_people_in_no_group_are_refused_strangers_log_in_and_what_is_not_there_is_404(
    as_user, nobody, viewer, client, task, name
):
    address = place(task, name)
    assert as_user(nobody).get(address).status_code == 403
    assert "/login/" in client.get(address)["Location"]
    assert as_user(viewer).get(address.replace("process_file", "nope")).status_code == 404
    assert as_user(viewer).post(address).status_code == 405
