"""The worker's side of retries: sends the chunks of a job and watches until every index has a result.

Nothing is kept in a process. Each step reads the database, does one thing and writes it down; a worker that is killed
loses its claim after a while, and the next one goes on from what is written.
"""

from panel.retries.runner.jobs import run_job, wake_due_jobs

__all__ = ["run_job", "wake_due_jobs"]
