"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

NOTHING = "–"


def duration_words(seconds: float | timedelta | None) -> str:
    """``320 ms``, ``4.1 s``, ``19 s``, ``3 m 05 s``, ``1 h 04 m``, ``2 d 03 h``; a dash for nothing."""
    if seconds is None:
        return NOTHING
    value = max(0.0, seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds))
    if value < 0.9995:
        return _spaced(_("%d ms") % round(value * 1000))
    if value < 9.95:
        return _spaced(_("%s s") % number_format(round(value, 1), 1))
    return _spaced(_whole_seconds(round(value)))


def _whole_seconds(whole: int) -> str:
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if minutes == 0:
        return _("%s s") % whole
    if hours == 0:
        return _("%(minutes)d m %(seconds)02d s") % {"minutes": minutes, "seconds": second}
    if hours < 48:
        return _("%(hours)d h %(minutes)02d m") % {"hours": hours, "minutes": minute}
    return _("%(days)d d %(hours)02d h") % {"days": days, "hours": hour}


def _spaced(text: str) -> str:
    """With spaces that do not break a line between a number and its unit."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def ago_words(moment: datetime, now: datetime | None = None) -> str:
    """``3 s ago``, ``4 m ago``, ``2 h ago``, ``5 d ago``; ``in 4 m`` for what is to come."""
    seconds = ((now or timezone.now()) - moment).total_seconds()
    size = coarse_words(abs(seconds))
    return _("in %s") % size if seconds < -1 else _("%s ago") % size


def coarse_words(seconds: float) -> str:
    """One unit only: what one wants to know of an age."""
    for limit, size, form in ((60, 1, _("%d s")), (3600, 60, _("%d m")), (172_800, 3600, _("%d h"))):
        if seconds < limit:
            return _spaced(form % int(seconds // size))
    return _spaced(_("%d d") % int(seconds // 86_400))


def grouped_words(number: float | None) -> str:
    """``1,000``; a dash for nothing."""
    return NOTHING if number is None else number_format(number, use_l10n=True, force_grouping=True)


def percent_words(rate: float | None) -> str:
    """A share from 0 to 1 as ``3.8%``; never ``0%`` or ``100%`` unless it is exactly that."""
    if rate is None:
        return NOTHING
    percent = rate * 100
    if percent in (0, 100):
        return f"{percent:.0f}%"
    if percent < 0.1:
        return "<" + number_format(0.1, 1) + "%"
    return number_format(min(round(percent, 1), 99.9), 1) + "%"


def cut_in_the_middle(text: str, length: int) -> str:
    """At most ``length`` characters, the beginning and the end kept, where ids differ."""
    if len(text) <= length:
        return text
    tail = (length - 1) * 2 // 5
    head = length - 1 - tail
    return f"{text[:head]}…{text[-tail:]}" if tail else f"{text[:head]}…"
