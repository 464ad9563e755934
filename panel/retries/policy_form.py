"""The part of the retry panel's form that says how carefully; left alone, everything goes at once."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from panel.problems import Unprocessable
from panel.retries.hours import next_time, parse_zone
from panel.retries.models import LARGEST_CHUNK
from panel.retries.policies import (
    LARGEST_WAVE,
    LONGEST_PAUSE,
    MOST_CHUNKS_PER_MINUTE,
    MOST_ROUNDS,
    SHORTEST_ROUND_PAUSE,
    Policy,
)

FIELD_OF_POLICY: Final = {
    "canary_max_failure_rate": "canary_percent",
    "stop_failure_rate": "stop_percent",
    "wave_pause_seconds": "wave_pause_minutes",
    "round_pause_seconds": "round_pause_minutes",
    "not_before": "after",
}
"""Where the form's field has another name, and another unit, than the policy's."""
_TIME: Final[dict[str, Any]] = {"required": False, "input_formats": ["%H:%M"]}


def _clock() -> forms.TimeInput:
    return forms.TimeInput(format="%H:%M", attrs={"type": "time"})


class PolicyForm(forms.Form):
    """Percents, minutes and times of day, where the policy has shares, seconds and moments."""

    canary = forms.IntegerField(label=_("Retry so many first"), required=False, min_value=1)
    canary_by_group = forms.BooleanField(label=_("Retry one of each error group first"), required=False)
    canary_percent = forms.FloatField(
        label=_("Go on if at most so many percent fail again"), required=False, min_value=0, max_value=100
    )
    chunk_size = forms.IntegerField(
        label=_("Indices in one request"), required=False, min_value=1, max_value=LARGEST_CHUNK
    )
    chunks_per_minute = forms.FloatField(
        label=_("Requests per minute"), required=False, min_value=0.01, max_value=MOST_CHUNKS_PER_MINUTE
    )
    wave_size = forms.IntegerField(label=_("Indices in a wave"), required=False, min_value=1, max_value=LARGEST_WAVE)
    wave_pause_minutes = forms.FloatField(
        label=_("Minutes between waves"), required=False, min_value=0, max_value=LONGEST_PAUSE // 60
    )
    stop_percent = forms.FloatField(
        label=_("Pause when more than so many percent fail again"), required=False, min_value=0, max_value=99.9
    )
    rounds = forms.IntegerField(label=_("Rounds in all"), required=False, min_value=1, max_value=MOST_ROUNDS)
    round_pause_minutes = forms.FloatField(
        label=_("Minutes before the second round"),
        required=False,
        min_value=SHORTEST_ROUND_PAUSE // 60,
        max_value=LONGEST_PAUSE // 60,
    )
    after = forms.TimeField(label=_("Start after"), widget=_clock(), **_TIME)
    window_start = forms.TimeField(label=_("Send only from"), widget=_clock(), **_TIME)
    window_end = forms.TimeField(label=_("until"), widget=_clock(), **_TIME)
    time_zone = forms.CharField(
        max_length=64, required=False, initial="UTC", widget=forms.HiddenInput(attrs={"data-time-zone": True})
    )

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"] or "UTC"
        if parse_zone(name) is None:
            self.add_error("after", _now("Your browser's time zone “%(name)s” is not known here.") % {"name": name})
        return name

    def typed_policy(self) -> Policy | None:
        """What the fields say so far; ``None`` while that makes no policy."""
        if not self.is_valid():
            return None
        policy = self.policy()
        try:
            policy.check()
        except Unprocessable as problem:
            for name, messages in problem.fields.items():
                if (field := FIELD_OF_POLICY.get(name, name)) in self.fields:
                    self.add_error(field, messages)
            return None
        return policy

    def policy(self) -> Policy:
        """What the fields say; only once they are valid."""
        given = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        zone = parse_zone(given["time_zone"])
        after = given.get("after")
        return Policy(
            chunk_size=given.get("chunk_size", Policy().chunk_size),
            chunks_per_minute=given.get("chunks_per_minute"),
            canary=given.get("canary"),
            canary_by_group=given["canary_by_group"],
            canary_max_failure_rate=_share(given.get("canary_percent")),
            wave_size=given.get("wave_size"),
            wave_pause_seconds=_seconds(given.get("wave_pause_minutes")),
            stop_failure_rate=_share(given.get("stop_percent")),
            not_before=next_time(after, zone, timezone.now()) if after is not None and zone else None,
            window_start=f"{given['window_start']:%H:%M}" if "window_start" in given else "",
            window_end=f"{given['window_end']:%H:%M}" if "window_end" in given else "",
            time_zone=given["time_zone"] if "window_start" in given or "window_end" in given else "UTC",
            rounds=given.get("rounds", 1),
            round_pause_seconds=_seconds(given.get("round_pause_minutes")),
        )

    @property
    def is_careful(self) -> bool:
        return self._says("canary", "canary_by_group", "canary_percent")

    @property
    def is_paced(self) -> bool:
        return self._says("chunk_size", "chunks_per_minute", "wave_size", "wave_pause_minutes")

    @property
    def minds_failures(self) -> bool:
        return self._says("stop_percent", "rounds", "round_pause_minutes")

    @property
    def is_later(self) -> bool:
        return self._says("after", "window_start", "window_end")

    def _says(self, *names: str) -> bool:
        """Something was filled in, or is wrong: what is folded away opens."""
        return any(self[name].value() or self[name].errors for name in names)


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _seconds(minutes: float | None) -> int | None:
    return None if minutes is None else round(minutes * 60)
