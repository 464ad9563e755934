"""What each state of a job and of an index means, and what to do when a job stands still.

The one home of these words: the help page shows them, and docs/retries.md holds the same (a test compares).
"""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from panel.retries.states import ItemState, JobState

Text = str | Promise

PROMISE: Final[tuple[Text, ...]] = (
    _("What was previewed is what is done, or it is refused with the difference."),
    _("Every index of every job gets a final word."),
    _("No index is cleared twice by one job, and no index belongs to two unfinished jobs."),
    _("Nothing is lost when anything is killed: a worker, the broker, the web server, an answer of Airflow."),
)

JOBS: Final[dict[JobState, Text]] = {
    JobState.PLANNED: _("Stored; nothing is sent yet. The next free worker begins."),
    JobState.SCHEDULED: _("Stored, and waits for the time it was asked for."),
    JobState.RUNNING: _("Chunks are being sent to Airflow. The page says what it waits for between two of them."),
    JobState.PAUSED: _("Nothing more is sent until a person resumes it; why is said. What was sent is still watched."),
    JobState.WATCHING: _("Everything is sent. Each index is watched until it has a result."),
    JobState.DONE: _("Over: every index has its final word. Some may have failed again."),
    JobState.CANCELLED: _("A person stopped it for good. What had been sent is watched to its end."),
    JobState.FAILED: _("Over, and nothing could be sent: Airflow would not have it."),
}

ITEMS: Final[dict[ItemState, Text]] = {
    ItemState.PENDING: _("Not sent yet."),
    ItemState.SENDING: _(
        "A request with it is under way. After a kill or a lost answer it stays so until Airflow's rows have told what "
        "became of it; it is never sent again before."
    ),
    ItemState.SENT: _("Airflow has cleared it. Its new try has not ended, or its result is not read yet."),
    ItemState.RECOVERED: _("Its new try succeeded, its result too."),
    ItemState.FAILED_AGAIN: _(
        "Its new try failed, hard or softly, or a person marked it as failed. The report says whether it is the same "
        "error as before."
    ),
    ItemState.SKIPPED: _(
        "Left alone, with the reason: it ran already, somebody cleared it first, or somebody marked it by hand after "
        "it was sent."
    ),
    ItemState.REFUSED: _("Airflow would not clear it, however often it was asked; its words are the reason."),
    ItemState.CANCELLED: _("Never sent: the job was cancelled before."),
    ItemState.LOST: _(
        "There is no result to be had: the run or the index is gone from Airflow, or nothing came of it for 24 hours "
        "in which Airflow could be asked."
    ),
}

STANDS_STILL: Final[tuple[tuple[Text, Text], ...]] = (
    (
        _("The page says that no worker looks after it"),
        _("Start one (/readyz names what is missing). It goes on where the last one stopped."),
    ),
    (
        _("Airflow cannot be asked"),
        _("Nothing to do here: it is asked again, each minute at the latest, and no index is lost meanwhile."),
    ),
    (
        _("Airflow refuses Mapboard's login"),
        _("Put the server's password or token right on its page. A job that was paused by it has to be resumed."),
    ),
    (
        _("The Dag is paused"),
        _("Unpause it in Airflow. What was cleared waits there and starts then."),
    ),
    (
        _("Paused by too many failures among the first ones"),
        _("Read what failed again. Resume to retry the rest anyway, or cancel the rest."),
    ),
    (
        _("It waits for a task downstream that runs"),
        _("That task ends first and runs once more after all indices. If it hangs, end it in Airflow."),
    ),
    (
        _("An index is “being sent” for minutes"),
        _("Its answer was lost. It is known what became of it at the time that the page gives, at the latest."),
    ),
    (
        _("Indices are “sent” for long"),
        _("They wait in Airflow: look at pools, at the Dag's limits, and at the run there."),
    ),
)
