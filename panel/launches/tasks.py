"""Shells that the worker runs: ids in, one call."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from panel.launches import mailing
from panel.launches.backfill_submission import submit_backfill
from panel.launches.backfill_watching import sweep_backfills, watch_backfill
from panel.launches.stop_sending import stop_run
from panel.launches.submission import submit_launch
from panel.launches.watching import ask_airflow, mirror_run, sweep_launches


@shared_task(name="launches.submit")
def submit(launch_id: str) -> None:
    submit_launch(launch_id=UUID(launch_id))


@shared_task(name="launches.stop")
def stop(stop_id: str) -> None:
    stop_run(stop_id=UUID(stop_id))


@shared_task(name="launches.watch")
def watch(server_id: int) -> None:
    ask_airflow(server_id=server_id)


@shared_task(name="launches.sweep")
def sweep() -> None:
    sweep_launches()
    mailing.wake_due_mails()


@shared_task(name="launches.send_mail")
def send_mail(mail_id: int) -> None:
    mailing.send_mail(mail_id)


@shared_task(name="launches.mirror_run")
def mirror(launch_id: str) -> None:
    mirror_run(launch_id=UUID(launch_id))


@shared_task(name="launches.submit_backfill")
def submit_one_backfill(backfill_id: str) -> None:
    submit_backfill(backfill_id=UUID(backfill_id))


@shared_task(name="launches.watch_backfill")
def watch_one_backfill(backfill_id: str) -> None:
    watch_backfill(backfill_id=UUID(backfill_id))


@shared_task(name="launches.sweep_backfills")
def sweep_all_backfills() -> None:
    sweep_backfills()
