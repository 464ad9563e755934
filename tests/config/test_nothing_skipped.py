"""Under .ci/run a skipped test is a failed one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "a test that skips itself": "import pytest\ndef test_a(): pytest.skip('no browser here')\n",
    "a marked test": "import pytest\n@pytest.mark.skip(reason='no browser here')\ndef test_a(): pass\n",
    "a whole module": "import pytest\npytest.skip('no browser here', allow_module_level=True)\n",
    "a fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('no browser here')\ndef test_a(f): pass\n",
}


def run(tmp_path: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(test)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:django", *arguments]
    return subprocess.run(
        [*command, "-c", str(tmp_path / "pytest.ini"), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("test", list(TESTS.values()), ids=list(TESTS))
def test_what_skips_fails_and_says_why(tmp_path, test) -> None:
    assert run(tmp_path, test).returncode in {0, 5}
    answer = run(tmp_path, test, "-p", "tests.nothing_skipped")
    assert answer.returncode in {1, 2}, answer.stdout
    assert "no browser here" in answer.stdout


def test_an_expected_failure_and_a_passed_test_stay_what_they_are(tmp_path) -> None:
    test = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a(): assert 0\ndef test_b(): pass\n"
    answer = run(tmp_path, test, "-p", "tests.nothing_skipped")
    assert answer.returncode == 0, answer.stdout
