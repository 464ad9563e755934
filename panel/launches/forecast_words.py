"""What a forecast says, in sentences."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.launches.forecasting import Advice, Forecast, Sharing
from panel.ui.words import duration_words, grouped_words


def basis_words(told: Forecast) -> str:
    """What the numbers rest on; honest where there are none."""
    if not told.is_known:
        return _(
            "No run of this Dag that has ended is known here, so how many instances there will be and how long it "
            "takes cannot be said. Run a short range first: the next forecast is made from it."
        )
    said = ngettext("From the last %(n)s run that ended", "From the last %(n)s runs that ended", told.based_on) % {
        "n": told.based_on
    }
    with_values = _("all with these values") if told.same_values else _("with other values: the maps may differ")
    return f"{said}, {with_values}."


def unknown_words(told: Forecast) -> str:
    """What Airflow does not tell, where it matters; ``""`` where it does not."""
    if not told.is_known or told.at_once < 2:
        return ""
    if told.sharing is Sharing.UNKNOWN:
        return _(
            "No two runs of the past went on at once. Whether they share a limit (max_active_tis_per_dag, a pool, the "
            "slots of the executor) Airflow does not tell, hence the wide range."
        )
    if told.pool_slots is not None and told.peak_high == told.pool_slots:
        said = ngettext(
            "The pool of its mapped tasks has %(n)s slot for all runs together: more at once would not be faster.",
            "The pool of its mapped tasks has %(n)s slots for all runs together: more at once would not be faster.",
            told.pool_slots,
        )
        return said % {"n": grouped_words(told.pool_slots)}
    if told.sharing is Sharing.SHARED:
        return _("Runs that went on at once shared a limit: more of them at once would not be faster.")
    return ""


def advice_words(told: Forecast) -> list[str]:
    """What is too much at once, which setting to lower, and to what."""
    return [_advice(told, one) for one in told.warnings]


def _advice(told: Forecast, one: Advice) -> str:
    numbers = {
        "runs": grouped_words(told.runs),
        "each": grouped_words(told.per_run),
        "instances": grouped_words(told.instances),
        "found": grouped_words(one.found),
        "limit": grouped_words(one.limit),
        "high": duration_words(one.found // 3600 * 3600),
        "at_once": grouped_words(told.at_once),
        "to": grouped_words(one.to),
    }
    if one.code == "many_instances":
        said = _(
            "%(runs)s runs × %(each)s = %(instances)s instances: Airflow's scheduler and database feel that many. "
            "Shorten the range to %(to)s runs, and do the rest in further backfills."
        )
    elif one.code == "long":
        said = _("It may take %(high)s. For a result within a day choose a range of at most %(to)s runs.")
    elif one.lower == "max_active_runs":
        said = _(
            "Up to %(found)s instances want to run at once, and Airflow's default pool has %(limit)s slots: everything "
            "else waits with them. Lower the runs at a time from %(at_once)s to %(to)s."
        )
    else:
        said = _(
            "Up to %(found)s instances want to run at once, and Airflow's default pool has %(limit)s slots: everything "
            "else waits with them. Lower the Dag's max_active_tasks, or its tasks' max_active_tis_per_dag, to %(to)s."
        )
    return said % numbers
