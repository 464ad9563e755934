"""Answers have exactly the fields that a real Airflow 3.3.2's have, as recorded in tests/payloads/3.3.2."""

from __future__ import annotations

import pytest

from tests.contract.answers import CALLS, ask, field_names, recorded


@pytest.mark.parametrize("name", CALLS)
def test_fields_of_an_answer(site, mapped, name):
    assert field_names(ask(site, name, mapped)) == field_names(recorded("3.3.2", name))
