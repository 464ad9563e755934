"""What results offer to an outcome rule: places that judge, likeliest first, and places with texts."""

from __future__ import annotations

from panel.domain.rule_suggestions import suggest


def test_places_with_few_values_are_offered_with_how_often_each_occurs():
    results = [{"id": n, "load": {"state": "Bad" if n < 2 else "ok"}, "region": "eu"} for n in range(20)]
    found = {place.pointer: place.values for place in suggest(results).statuses}
    assert found == {"/load/state": [("ok", 18), ("bad", 2)], "/region": [("eu", 20)]}
    assert next(iter(found)) == "/load/state"


def test_a_result_that_is_a_plain_value_is_a_place_itself():
    assert suggest([True, False, True, True]).statuses[0].pointer == ""


def test_texts_are_offered_for_the_message_those_named_so_first():
    results = [{"path": f"s3://{n}", "stats": {"why": f"reason {n}"}, "n": n} for n in range(5)]
    assert suggest(results).messages == ["/stats/why", "/path"]


def test_nothing_is_offered_of_nothing_and_odd_values_do_no_harm():
    assert suggest([]).statuses == suggest([[], {}, [{"a": 1}]]).statuses == []
    table = [{f"column {n}": 1 for n in range(5_000)}] * 3
    assert len(suggest(table).statuses) == 6
