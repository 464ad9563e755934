"""Under .ci/run a skipped test is a failed one."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = {
    "a test that skips itself": "import pytest\ndef test_a(): pytest.skip('no browser here')\n",
    "a marked test": "import pytest\n@pytest.mark.skip(reason='no browser here')\ndef test_a(): pass\n",
    "a whole module": "import pytest\npytest.skip('no browser here', allow_module_level=True)\n",
    "a fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('no browser here')\ndef test_a(f): pass\n",
}


def run(pytester: pytest.Pytester, monkeypatch, test: str) -> pytest.RunResult:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(test)
    return pytester.runpytest_inprocess("-p", "tests.nothing_skipped")


@pytest.mark.parametrize("test", list(TESTS.values()), ids=list(TESTS))
def test_what_skips_fails_and_says_why(pytester, monkeypatch, test) -> None:
    answer = run(pytester, monkeypatch, test)
    assert answer.ret in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
    assert "no browser here" in answer.stdout.str()


def test_an_expected_failure_and_a_passed_test_stay_what_they_are(pytester, monkeypatch) -> None:
    test = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a(): assert 0\ndef test_b(): pass\n"
    run(pytester, monkeypatch, test).assert_outcomes(passed=1, xfailed=1)
