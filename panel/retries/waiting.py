"""What a job that sends by itself waits for, in words."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.states import WaitsFor
from panel.ui.words import grouped_words, limit_words, round_words


def waiting_words(job: RetryJob) -> str:
    """Sentences to be followed by ``job.waiting_until``; "" when it waits for nothing."""
    told = _told(WaitsFor(job.waiting_for)) if job.waiting_for else ""
    if told:
        return told
    match job.waiting_for:
        case WaitsFor.TIME:
            return _put_off(job)
        case WaitsFor.CANARY:
            return _first(job)
        case WaitsFor.WAVE | WaitsFor.WAVE_PAUSE:
            return _wave(job)
        case WaitsFor.PACE:
            return _pace(job)
    return ""


def _told(reason: WaitsFor) -> str:
    """What is the same for every job."""
    return {
        WaitsFor.WINDOW: _("The next chunk goes when the hours in which it may send begin."),
        WaitsFor.SLOW_ANSWER: _("Airflow answered slowly: it gets a rest before the next chunk."),
        WaitsFor.DOWNSTREAM: _("Everything is sent. The tasks downstream run again when the last index has ended."),
    }.get(reason, "")


def _put_off(job: RetryJob) -> str:
    if job.round == 1:
        return _("Put off. Each index is looked at once more, and what changed is left out with the reason. It starts:")
    words = _("Round %(round)s of %(rounds)s, over what failed again. Each index is looked at once more. It starts:")
    return words % {"round": job.round, "rounds": job.rounds}


def _first(job: RetryJob) -> str:
    first, rest = selectors.first_and_rest(job)
    waits = ngettext("Waits for the first index", "Waits for the first %(shown)s indices", first)
    waits %= {"shown": grouped_words(first)}
    others = ngettext("the other one follows", "the other %(shown)s follow", rest) % {"shown": grouped_words(rest)}
    return f"{waits}; {others} {_condition(first, job.canary_max_failure_rate or 0)}."


def _condition(first: int, limit: float) -> str:
    """On which the others follow."""
    if limit >= 1:
        return _("in any case")
    if first == 1:
        return _("unless it fails again")
    if not limit:
        return _("if none of them fails again")
    return _("if at most %(limit)s of them fail again") % {"limit": limit_words(limit)}


def _wave(job: RetryJob) -> str:
    wave, waves = selectors.wave_under_way(job)
    numbers = {"wave": wave, "waves": waves, "pause": round_words(job.wave_pause_seconds or 0)}
    if job.waiting_for == WaitsFor.WAVE_PAUSE:
        return _("Wave %(wave)s of %(waves)s is over. The next one goes after the pause.") % numbers
    if job.wave_pause_seconds:
        return _("Waits for the results of wave %(wave)s of %(waves)s, then %(pause)s more.") % numbers
    return _("Waits for the results of wave %(wave)s of %(waves)s.") % numbers


def _pace(job: RetryJob) -> str:
    _first, rest = selectors.first_and_rest(job)
    size = min(job.chunk_size, rest)
    words = ngettext("The next chunk, %(shown)s index, goes.", "The next chunk, %(shown)s indices, goes.", size)
    return words % {"shown": grouped_words(size)}
