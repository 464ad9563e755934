"""The Dag of tests/live/test_in_the_browser.py: a param of every kind that Airflow's form knows, and what arrived."""

from __future__ import annotations

import json

from airflow.sdk import Param, dag, get_current_context, task

PARAMS = {
    "text": Param("x", type="string", minLength=1, maxLength=20, title="Text", section="Texts"),
    "needed": Param(type="string", title="Needed", section="Texts", description="There is no default."),
    "lines": Param(
        "a\nb", type="string", format="multiline", title="Lines", section="Texts", description_md="**Many** lines."
    ),
    "pattern": Param("v1", type="string", pattern="^v[0-9]+$", title="Pattern", section="Texts"),
    "perhaps": Param(None, type=["null", "string"], title="Perhaps", section="Texts"),
    "suggested": Param("x", type="string", examples=["x", "y"], title="Suggested", section="Texts"),
    "secret": Param(type="string", format="password", minLength=3, title="Secret", section="Texts"),
    "whole": Param(5, type="integer", minimum=1, maximum=10, title="Whole", section="Numbers"),
    "number": Param(5, type="number", title="Number", section="Numbers"),
    "no_number": Param(7, type=["integer", "null"], title="No number", section="Numbers"),
    "plain": 5,
    "flag": Param(False, type="boolean", title="Flag", section="Choices"),
    "open": Param(None, type=["boolean", "null"], title="Open", section="Choices"),
    "enum": Param("b", type="string", enum=["a", "b"], title="Enum", section="Choices"),
    "labelled": Param(3, enum=[1, 2, 3], values_display={"1": "One", "2": "Two"}, title="Labelled", section="Choices"),
    "several": Param(["one"], type="array", examples=["one", "two", "three"], title="Several", section="Choices"),
    "day": Param("2026-01-02", type="string", format="date", title="Day", section="Times"),
    "moment": Param("2026-01-02T00:00:00+00:00", type="string", format="date-time", title="Moment", section="Times"),
    "kept_moment": Param("2026-01-02T00:00:00Z", type="string", format="date-time", title="Kept", section="Times"),
    "clock": Param("10:00:00", type="string", format="time", title="Clock", section="Times"),
    "mail": Param("a@b.example", type="string", format="email", title="Mail", section="Addresses"),
    "address": Param("https://a.example", type="string", format="uri", title="Address", section="Addresses"),
    "strings": Param(["a"], type="array", items={"type": "string"}, title="Strings", section="Lists and objects"),
    "numbers": Param([1], type="array", items={"type": "number"}, title="Some numbers", section="Lists and objects"),
    "objects": Param([], type="array", items={"type": "object"}, title="Objects", section="Lists and objects"),
    "free": Param({"a": 1}, type="object", title="Free object", section="Lists and objects"),
    "size": Param(
        {"cpu": 1},
        type="object",
        properties={"cpu": {"type": "integer", "title": "Processors"}, "spot": {"type": "boolean", "title": "Spot"}},
        required=["cpu"],
        title="Size",
        section="Lists and objects",
    ),
    "no_object": Param({"a": 1}, type=["object", "null"], title="No object", section="Lists and objects"),
    "fixed": Param("fixed", const="fixed", title="Fixed", section="Others"),
    "either": Param(1, oneOf=[{"type": "integer"}, {"type": "string"}], title="Either", section="Others"),
    "untouched": Param({"b": [1, 1.0, "1", None], "a": True}, type="object", title="Untouched", section="Others"),
}


@dag(dag_id="live_every_kind", schedule=None, catchup=False, params=PARAMS, tags=["live"])
def every_kind():
    @task(retries=0)
    def received():
        """Each value as JSON, in which 4 is not 4.0; Airflow's database keeps no order of keys."""
        return {name: json.dumps(value, sort_keys=True) for name, value in get_current_context()["params"].items()}

    received()


every_kind()
