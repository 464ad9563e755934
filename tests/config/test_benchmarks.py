"""The benchmarks are run by hand; that they can be loaded at all is seen here."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import benchmarks

MODULES = sorted(found.name for found in pkgutil.iter_modules(benchmarks.__path__))


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__main__"])
def test_every_part_can_be_loaded(name):
    assert import_module(f"benchmarks.{name}")


def test_every_part_that_is_named_is_there():
    from benchmarks.__main__ import PARTS

    named = {command[0].removeprefix("benchmarks.") for commands in PARTS.values() for command in commands}
    assert named <= set(MODULES)
    assert named
