"""What a preview warns of: the Dag's condition, its versions, notes; and what it says about the extra load."""

from __future__ import annotations

import pytest

from panel.mirror.models import MappedTask
from panel.problems import Unprocessable
from panel.retries.policies import Policy
from panel.servers import client

pytestmark = pytest.mark.django_db


def warnings(jobs, task, **more) -> str:
    return " ".join(jobs.preview(task, **more).plan.warnings)


def test_a_healthy_dag_is_no_reason_to_warn(etl, jobs):
    assert warnings(jobs, etl.stage(3, failed=[1])) == ""


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"is_paused": True}, "The Dag etl is paused"),
        ({"has_import_errors": True}, "import errors"),
        ({"is_stale": True}, "it is stale"),
    ],
)
def test_the_dags_condition_is_said_as_airflow_has_it_now(etl, jobs, condition, said):
    task = etl.stage(3, failed=[1])
    for name, value in condition.items():
        setattr(etl.fake.world.dags["etl"], name, value)
    assert said in warnings(jobs, task)


def test_an_older_version_is_named_with_what_to_do(etl, jobs):
    task = etl.stage(3, failed=[1])
    etl.fake.new_version("etl")
    etl.fake.new_version("etl")
    preview = jobs.preview(task)
    assert preview.plan.outdated
    assert "This run is of version 1 of the Dag; the latest is 3." in " ".join(preview.plan.warnings)
    assert "version" not in warnings(jobs, task, run_on_latest_version=True)


def test_a_retry_on_the_latest_version_says_so_to_airflow_in_every_clear(etl, jobs):
    task = etl.stage(5, failed=[0, 1, 2])
    etl.fake.new_version("etl")
    job = jobs.request(task, policy=Policy(chunk_size=2), run_on_latest_version=True)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}
    assert [body.get("run_on_latest_version") for body in etl.clears()] == [True] * 3
    rows = etl.fake.world.of_task("etl", "r1", "work")
    assert [rows[index].dag_version is None for index in range(5)] == [True, True, True, False, False]


def test_without_the_choice_the_server_decides_by_its_own_settings(etl, jobs):
    task = etl.stage(3, failed=[0])
    jobs.to_the_end(jobs.request(task))
    assert all("run_on_latest_version" not in body for body in etl.clears())


def test_a_server_without_the_choice_refuses_it_in_words(etl, jobs):
    task = etl.stage(3, failed=[1])
    etl.fake.version, etl.fake.numbers = "3.0.6", (3, 0, 6)
    client.forget_capabilities()
    for ask in (jobs.preview, jobs.request):
        with pytest.raises(
            Unprocessable, match=r"Airflow 3\.0\.6, which cannot retry on the latest version"
        ) as refusal:
            ask(task, run_on_latest_version=True, include_downstream=False)
        assert "run_on_latest_version" in refusal.value.fields


def test_notes_that_will_be_replaced_are_counted(etl, jobs):
    etl.stage(4, failed=[0, 1, 2])
    etl.fake.instance("etl", "r1", "work", 0).note = "asked the vendor"
    etl.fake.instance("etl", "r1", "work", 3).note = "stays as it is"
    etl.fake.instance("etl", "r1", "report").note = "read this"
    preview = jobs.preview(etl.mirrored())
    assert preview.plan.notes == 2
    assert "2 notes in Airflow are replaced by the reason of this retry." in preview.plan.warnings


def test_notes_of_earlier_retries_are_no_loss(etl, jobs):
    task = etl.stage(2, failed=[0])

    def decide(row):
        raise KeyError("again")

    jobs.to_the_end(jobs.request(task), decide)
    assert etl.fake.instance("etl", "r1", "work", 0).note
    assert jobs.preview(etl.mirrored()).plan.notes == 0


def test_a_server_that_takes_no_note_replaces_none(etl, jobs):
    etl.stage(2, failed=[0])
    etl.fake.instance("etl", "r1", "work", 0).note = "asked the vendor"
    etl.fake.version, etl.fake.numbers = "3.2.2", (3, 2, 2)
    client.forget_capabilities()
    assert jobs.preview(etl.mirrored()).plan.notes == 0


def test_the_load_is_what_the_task_took_so_far(etl, jobs):
    task = etl.stage(500, failed=range(450))
    MappedTask.objects.filter(pk=task.pk).update(metrics={**task.metrics, "concurrency_peak": 16.0})
    for row in etl.fake.world.dags["etl"].tasks.values():
        row.pool = "warehouse"
    load = jobs.preview(task).load
    assert (load.at_once, load.pools) == (16, {"warehouse": 16})
    # At most a small first chunk and three of 200, each looked at by hundreds and cleared; then what is downstream.
    assert load.requests == 4 * 3 + 2
    assert jobs.preview(task, indices="0").load.at_once == 1


def test_a_task_that_never_ran_tells_nothing_about_its_load(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    MappedTask.objects.filter(pk=task.pk).update(metrics={})
    load = jobs.preview(task).load
    assert (load.at_once, load.pools) == (None, {})
