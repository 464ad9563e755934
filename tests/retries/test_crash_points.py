"""A worker that is killed at any point between database, Airflow and broker: the next one goes on rightly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from django.db import connection

from panel.retries import runner, selectors
from panel.retries.policies import Policy
from panel.retries.services import cancel_job, pause_job, resume_job
from tests.mirror import dying
from tests.retries.conftest import Killed, pass_time
from tests.retries.proof import LONG_ENOUGH, assert_each_once, lives_again

pytestmark = pytest.mark.django_db

RUNNER = "panel.retries.runner"
SEND = "panel.airflow.instances.InstancesNamespace.clear"
POINTS = {
    "the claim is taken": ("after", f"{RUNNER}.jobs.open_client", 1),
    "looked once more, nothing written": ("before", f"{RUNNER}.sending._write_down", 1),
    "written down, not sent": ("before", SEND, 1),
    "Airflow did it, nothing written": ("after", SEND, 1),
    "written as sent": ("after", f"{RUNNER}.sending.mark_sent", 1),
    "the second chunk written down, not sent": ("before", SEND, 2),
    "Airflow did the second chunk": ("after", SEND, 2),
    "all sent, downstream not looked at": ("before", f"{RUNNER}.closing._clear_downstream", 1),
    "downstream looked at, nothing written": ("before", f"{RUNNER}.closing.write_down_others", 1),
    "downstream written down, not sent": ("before", SEND, 3),
    "Airflow did downstream": ("after", SEND, 3),
    "downstream written as sent": ("after", f"{RUNNER}.closing.mark_sent", 1),
    "the run is closed": ("after", f"{RUNNER}.jobs.close_run", 1),
    "results read, nothing written": ("before", f"{RUNNER}.watching._settle", 2),
    "results written": ("after", f"{RUNNER}.watching._settle", 2),
    "everything is over, the job does not say so": ("before", f"{RUNNER}.jobs.finish", 2),
    "the job says that it is over": ("after", f"{RUNNER}.jobs.finish", 2),
    "the claim is not released": ("before", f"{RUNNER}.claims.Claim.release", 1),
    "the claim is released": ("after", f"{RUNNER}.claims.Claim.release", 1),
}


class Death:
    """Comes at the n-th passing of a point, before or after it; reads of Airflow do not count."""

    def __init__(self, when: str, number: int) -> None:
        self.when, self.left, self.came = when, number, False

    def wrapped(self, point: Callable[..., Any]) -> Callable[..., Any]:
        def passed(*args: Any, **more: Any) -> Any:
            self.left -= 0 if more.get("dry_run") else 1
            here = self.left == 0 and not self.came and not more.get("dry_run")
            if here and self.when == "before":
                self.came = True
                raise Killed
            answer = point(*args, **more)
            if here:
                self.came = True
                raise Killed
            return answer

        return passed


def dies(monkeypatch, when: str, point: str, number: int = 1) -> Death:
    death = Death(when, number)
    owner, name = point.rsplit(".", 1)
    if owner.endswith((".Claim", ".InstancesNamespace")):
        module, kind = owner.rsplit(".", 1)
        target = getattr(__import__(module, fromlist=[kind]), kind)
    else:
        target = __import__(owner, fromlist=[name])
    monkeypatch.setattr(target, name, death.wrapped(getattr(target, name)))
    return death


@pytest.mark.parametrize("point", POINTS)
def test_killed_where(point, etl, jobs, monkeypatch):
    task = etl.stage(5, failed=range(4))
    etl.fake.effects.all.clear()
    job = jobs.request(task, policy=Policy(chunk_size=2))
    death = dies(monkeypatch, *POINTS[point])
    job = lives_again(etl, jobs, job)
    assert death.came
    assert_each_once(etl, jobs, job, range(4))


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_notes_that_airflow_did_not_answer(etl, jobs, monkeypatch, when):
    task = etl.stage(5, failed=range(4))
    etl.fake.effects.all.clear()
    job = jobs.request(task, policy=Policy(chunk_size=2))
    etl.fake.fail_next(drop=True, after=True, path="clearTaskInstances", skip=1)
    death = dies(monkeypatch, when, f"{RUNNER}.requests.mark_unsure")
    job = lives_again(etl, jobs, job)
    assert death.came
    assert_each_once(etl, jobs, job, range(4))


@pytest.mark.parametrize("name", ["mark_sent", "mark_unsent"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_again_while_it_finds_out_what_became_of_a_killed_workers_request(etl, jobs, monkeypatch, name, when):
    task = etl.stage(5, failed=range(4))
    etl.fake.effects.all.clear()
    job = jobs.request(task, policy=Policy(chunk_size=2))
    first = dies(monkeypatch, "after" if name == "mark_sent" else "before", SEND)
    second = dies(monkeypatch, when, f"{RUNNER}.resolving.{name}")
    job = lives_again(etl, jobs, job)
    assert first.came
    assert second.came
    assert_each_once(etl, jobs, job, range(4))


@pytest.mark.parametrize(
    ("when", "point"),
    [
        ("before", f"{RUNNER}.closing.write_down_others"),
        ("before", SEND),
        ("after", SEND),
        ("after", f"{RUNNER}.closing.mark_sent"),
    ],
)
def test_killed_while_a_paused_job_starts_what_waits(etl, jobs, wire, operator, monkeypatch, when, point):
    task = etl.stage(4, failed=range(4))
    etl.fake.effects.all.clear()
    job = jobs.request(task, policy=Policy(chunk_size=2))
    wire.after_clear.append(lambda: pause_job(user=operator, job=job))
    death = dies(monkeypatch, when, point, 2 if point == SEND else 1)
    with suppress(Killed):
        jobs.work()
    assert death.came
    for _ in range(3):
        pass_time(LONG_ENOUGH)
        jobs.work()
        etl.run_airflow()
    assert etl.states() == {0: "success", 1: "success", 2: "failed", 3: "failed"}, "nothing waits on a finished run"
    resume_job(user=operator, job=job)
    assert_each_once(etl, jobs, lives_again(etl, jobs, job), range(4))


def test_the_web_process_killed_between_commit_and_publish_leaves_a_job_that_the_sweep_finds(
    etl, jobs, woken, django_capture_on_commit_callbacks
):
    task = etl.stage(3, failed=range(3))
    etl.fake.effects.all.clear()
    job = jobs.request(task)  # what would wake the worker is not carried out
    assert "retries.run_job" not in woken.names()
    with django_capture_on_commit_callbacks(execute=True):
        assert runner.wake_due_jobs() == 1
        assert runner.wake_due_jobs() == 1, "any number of sweeps at once"
    assert woken.names().count("retries.run_job") == 2
    assert_each_once(etl, jobs, lives_again(etl, jobs, job), range(3))


# Every write and every request, one after the other


@contextmanager
def killed_at_write(number: int) -> Iterator[dying.Death]:
    """Before the write of this number to a retry's rows, or before the end of the transaction it is in."""
    death = dying.Death(number)

    def watch(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        if not sql.startswith("ROLLBACK"):
            writes = sql.startswith(("INSERT", "UPDATE", "DELETE")) and "retries_" in sql
            death.count(counts=writes or sql.startswith("RELEASE"))
        return execute(sql, *more)

    with connection.execute_wrapper(watch), suppress(dying.Killed):
        yield death


def a_life(etl, jobs, job) -> None:
    for _ in range(3):
        jobs.work()
        etl.run_airflow()
        pass_time(35)


def killed_everywhere(etl, jobs, killed_at, *, start: int = 0, step: int = 1) -> int:
    """A run of its own for each place; how many places there were."""
    for number in count(start, step):
        run_id = f"r{number}"
        task = etl.stage(3, failed=[0, 2], run_id=run_id)
        etl.fake.effects.all.clear()
        job = jobs.request(task, policy=Policy(chunk_size=1))
        with killed_at(number) as death:
            a_life(etl, jobs, job)
        pass_time(LONG_ENOUGH)
        if selectors.job(job.pk).finished_at is None:
            job = lives_again(etl, jobs, job)
        assert_each_once(etl, jobs, job, [0, 2], run_id)
        etl.fake.remove_run("etl", run_id)
        if not death.came:
            return number
    raise AssertionError("unreachable")


@pytest.mark.parametrize("start", range(4))
def test_killed_at_any_write(etl, jobs, start):
    assert killed_everywhere(etl, jobs, killed_at_write, start=start, step=4) > 40


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_request(etl, jobs, after):
    def killed_at(number):
        return dying.killed_at_request(number, after=after)

    assert killed_everywhere(etl, jobs, killed_at) > 8


def test_killed_while_a_person_cancels_every_index_ends_and_nothing_hangs(etl, jobs, wire, operator, monkeypatch):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2))
    wire.after_clear.append(lambda: cancel_job(user=operator, job=job))
    death = dies(monkeypatch, "before", f"{RUNNER}.sending.mark_sent")
    job = lives_again(etl, jobs, job)
    assert death.came
    assert (job.state, jobs.counts(job)) == ("cancelled", {"recovered": 2, "cancelled": 2})
    assert etl.fake.tries_started("etl", "r1", "report") == {-1: 2}, "once when staged, once after what was sent"
    assert None not in etl.states().values()
