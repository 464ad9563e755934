from __future__ import annotations

from uuid import UUID

from celery import shared_task

from panel.retries import mailing, runner


@shared_task(name="retries.run_job")
def run_job(job_id: str) -> None:
    runner.run_job(UUID(job_id))


@shared_task(name="retries.sweep")
def sweep() -> None:
    runner.wake_due_jobs()
    mailing.wake_due_mails()


@shared_task(name="retries.send_report")
def send_report(mail_id: int) -> None:
    mailing.send_report(mail_id)
