"""Numbers and times as people read them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

NOTHING = "–"


def duration_words(seconds: float | timedelta | None) -> str:
    """``320 ms``, ``4.1 s``, ``19 s``, ``3 m 05 s``, ``10 m``, ``1 h 04 m``, ``2 d 03 h``; a dash for nothing."""
    if seconds is None:
        return NOTHING
    value = max(0.0, seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds))
    if value < 0.9995:
        return _spaced(_("%d ms") % round(value * 1000))
    if value < 9.95:
        return _spaced(_("%s s") % number_format(round(value, 1), 1))
    return _spaced(_whole_seconds(round(value)))


def round_words(seconds: float) -> str:
    """A round duration without what says nothing: ``2 s``, ``5 m``, ``6 h``, ``2 d``; any other as duration_words."""
    for size, form in ((86_400, _("%d d")), (3_600, _("%d h")), (60, _("%d m")), (1, _("%d s"))):
        if seconds >= size and seconds % size == 0 and seconds < 120 * size:
            return _spaced(form % (seconds // size))
    return duration_words(seconds) if seconds else "0"


def _whole_seconds(whole: int) -> str:
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if minutes == 0:
        return _("%s s") % whole
    if hours == 0:
        form = _("%(minutes)d m %(seconds)02d s") if second else _("%(minutes)d m")
        return form % {"minutes": minutes, "seconds": second}
    if hours < 48:
        form = _("%(hours)d h %(minutes)02d m") if minute else _("%(hours)d h")
        return form % {"hours": hours, "minutes": minute}
    form = _("%(days)d d %(hours)02d h") if hour else _("%(days)d d")
    return form % {"days": days, "hours": hour}


def between_words(low: float, high: float) -> str:
    """``6–8 min``, ``40–90 s``, ``1–3 h``, ``at most 1 min``: rounded outwards, the truth stays inside."""
    units = (
        (100, 1, _("%(low)d–%(high)d s"), _("at most %(high)d s")),
        (6_000, 60, _("%(low)d–%(high)d min"), _("at most %(high)d min")),
        (259_200, 3600, _("%(low)d–%(high)d h"), _("at most %(high)d h")),
        (math.inf, 86_400, _("%(low)d–%(high)d days"), _("at most %(high)d days")),
    )
    size, form, most = next(unit[1:] for unit in units if high < unit[0])
    bounds = {"low": math.floor(low / size), "high": max(1, math.ceil(high / size))}
    return _spaced((form if 0 < bounds["low"] < bounds["high"] else most) % bounds)


def _spaced(text: str) -> str:
    """With spaces that do not break a line between a number and its unit."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def pace_words(per_minute: float | None) -> str:
    """``2.6/s``, ``12/min``; a dash for nothing."""
    if per_minute is None:
        return NOTHING
    rate, form = (per_minute / 60, _("%s/s")) if per_minute >= 60 else (per_minute, _("%s/min"))
    return form % number_format(rate, 0 if rate >= 10 else 1, force_grouping=True)


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


def amount_words(number: float | None) -> str:
    """A sum or an average: ``1,203,331``, ``1,203.5``, ``0.0417``, ``1.5e+20``; a dash for nothing."""
    if number is None:
        return NOTHING
    if number == int(number) and abs(number) < 1e15:
        return grouped_words(int(number))
    if not 1e-4 <= abs(number) < 1e15:
        return f"{number:.3g}"
    digits = 1 if abs(number) >= 100 else 2 if abs(number) >= 1 else 4
    return number_format(round(number, digits), use_l10n=True, force_grouping=True)


def change_words(rate: float) -> str:
    """By how much more or less: ``+0.4%``, ``−12%``, ``±0%``."""
    share = abs(rate) * 100
    if share < 0.05:
        return "±0%"
    number = number_format(round(share, 1 if share < 10 else 0), 1 if share < 10 else 0, force_grouping=True)
    return f"{'+' if rate > 0 else '−'}{number}%"


def percent_words(rate: float | None) -> str:
    """A share from 0 to 1 as ``3.8%`` or ``20%``; never ``0%`` or ``100%`` unless it is exactly that."""
    if rate is None:
        return NOTHING
    percent = rate * 100
    if percent in (0, 100):
        return f"{percent:.0f}%"
    if percent < 0.1:
        return "<" + number_format(0.1, 1) + "%"
    shown = min(round(percent, 1), 99.9)
    return number_format(shown, 0 if shown.is_integer() else 1) + "%"


def limit_words(rate: float | None) -> str:
    """A share from 0 to 1 that somebody chose, as they chose it: ``20%``, ``0.05%``; a dash for nothing."""
    return NOTHING if rate is None else f"{rate * 100:g}%"


def cut_in_the_middle(text: str, length: int) -> str:
    """At most ``length`` characters, the beginning and the end kept, where ids differ."""
    if len(text) <= length:
        return text
    tail = (length - 1) * 2 // 5
    head = length - 1 - tail
    return f"{text[:head]}…{text[-tail:]}" if tail else f"{text[:head]}…"
