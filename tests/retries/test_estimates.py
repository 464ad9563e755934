"""How long a retry takes and what it adds to Airflow's work, by its policy, also while that is typed."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.core.signing import BadSignature
from django.urls import reverse

from panel.retries.estimates import Basis, Part, estimate_load, estimate_seconds
from panel.retries.policies import Policy
from tests.retries.test_pages import panel_url

NEVER_RAN = Part(1_000, False, "", 1, None, None, None, None)
WORK = Part(1_000, False, "small", 2, p50=20.0, p95=60.0, per_minute=60.0, peak=20.0)
"""Twenty at once for 20 s each: a thousand of them take 1,000 s."""
BASIS = Basis([(1_000, 0)], [WORK], groups=3)


def seconds(basis: Basis = BASIS, **policy) -> tuple[int, int]:
    bounds = estimate_seconds(basis, Policy(**policy))
    assert bounds is not None
    return round(bounds.low), round(bounds.high)


def test_without_a_policy_it_goes_as_fast_as_so_far():
    assert seconds() == (1_000, 1_070)


def test_a_pace_is_kept_at_the_least_and_comes_on_top_at_the_most():
    """Ten requests, nine pauses of 5 minutes; at best all but the last have ended by then."""
    assert seconds(chunk_size=100, chunks_per_minute=0.2) == (9 * 300 + 20, 1_070 + 9 * 300)
    low, high = seconds(chunk_size=500, chunks_per_minute=0.2)
    assert (low, high) == (1_000, 1_070 + 300)


def test_waves_wait_for_results_and_then_pause():
    low, high = seconds(wave_size=250, wave_pause_seconds=600)
    assert low == 1_000 + 3 * 600
    assert high == 1_000 + 4 * (5 + 60) + 6 + 3 * 600


def test_the_careful_first_part_takes_as_long_as_one_instance_and_needs_no_pause():
    assert seconds(canary=1)[0] == 20 + 999
    assert seconds(canary_by_group=True, wave_size=997, wave_pause_seconds=600)[0] == 20 + 997


def test_nothing_is_guessed_of_a_task_that_never_ran():
    assert estimate_seconds(Basis([(1_000, 0)], [NEVER_RAN], 1), Policy()) is None


@pytest.mark.parametrize(
    "policy",
    [Policy(), Policy(canary=5), Policy(wave_size=7, wave_pause_seconds=60), Policy(chunk_size=3, chunks_per_minute=6)],
)
def test_every_index_is_in_one_stage_and_the_bounds_are_in_order(policy):
    basis = Basis([(30, 2), (13, 0)], [Part(43, False, "", 1, 1.0, 2.0, 30.0, 4.0)], groups=2)
    assert sum(basis.stages(policy)) == 43
    bounds = estimate_seconds(basis, policy)
    assert 0 < bounds.low <= bounds.high


def test_a_wave_bounds_what_runs_at_once_and_adds_requests():
    load = estimate_load(BASIS, Policy())
    assert (load.at_once, load.pools, load.requests) == (20, {"small": 40}, 6 * 3 + 2)
    load = estimate_load(BASIS, Policy(wave_size=8))
    assert (load.at_once, load.pools, load.requests) == (8, {"small": 16}, 125 * 2 + 2)
    assert estimate_load(BASIS, Policy(chunk_size=10)).requests == 100 * 2 + 2


def test_a_basis_is_read_as_it_was_signed_and_nothing_else_is():
    assert Basis.read(BASIS.signed()) == BASIS
    with pytest.raises(BadSignature):
        Basis.read(BASIS.signed()[:-1] + "!")


# On the page


def load_of(answer) -> str:
    found = re.search(r'<p [^>]*id="retry-load".*?</p>', answer.content.decode(), re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(found[0])).split())


def basis_of(answer) -> str:
    return json.loads(re.search(r"hx-vals='([^']+)'", answer.content.decode())[1])["basis"]


@pytest.mark.django_db
def test_the_estimate_follows_the_policy_as_it_is_typed(etl, as_user, operator):
    client = as_user(operator)
    task = etl.stage(12, failed=range(6))
    task.metrics = {"duration_p50": 20.0, "duration_p95": 30.0, "throughput_per_minute": 6.0, "concurrency_peak": 2.0}
    task.save()
    page = client.get(panel_url(task))
    assert "Takes 60–95 s, going by what this task took so far. At most 2 instances at once" in load_of(page)
    assert "4 requests to Airflow" in load_of(page)
    etl.fake.forget_requests()

    def typed(**fields):
        return client.get(reverse("retries:retry_estimate"), {"basis": basis_of(page), **fields})

    paced = load_of(typed(chunk_size="2", chunks_per_minute="0.1"))
    assert "Takes 20–22 min, going by" in paced
    assert "8 requests to Airflow" in paced
    later = load_of(typed(wave_size="1", wave_pause_minutes="10", window_start="22:00", window_end="23:00", rounds="2"))
    assert "once it starts" in later
    assert "The hours in which it may not send come on top. Further rounds come on top. At most 1 instance at" in later
    assert load_of(typed(chunks_per_minute="-1")).startswith("Requests per minute: ")
    assert load_of(typed(wave_pause_minutes="5")) == "Minutes between waves: Say how many indices a wave has, too."
    assert etl.fake.requests == [], "no keystroke asks Airflow"


@pytest.mark.django_db
def test_the_preview_made_again_counts_what_is_typed_already(etl, as_user, operator):
    task = etl.stage(12, failed=range(6))
    page = as_user(operator).get(panel_url(task, "outcome=hard_failure&chunk_size=1"))
    assert "14 requests to Airflow" in load_of(page)


@pytest.mark.django_db
def test_only_a_basis_of_ours_is_estimated(as_user, operator, viewer):
    url = reverse("retries:retry_estimate")
    assert as_user(operator).get(url).status_code == 400
    assert as_user(operator).get(url, {"basis": "nonsense"}).status_code == 400
    assert as_user(viewer).get(url, {"basis": BASIS.signed()}).status_code == 403
