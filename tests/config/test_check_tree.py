"""scripts/check_tree.py: the house rules, each broken once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import check_tree

GOOD = {
    "panel/retries/services.py": "def request_retry() -> None:\n    '''Fine.'''\n",
    "templates/retries/job.html": '<p class="a">{{ job|upper }}</p><script src="x.js"></script>\n',
    "config/settings.py": 'from config.environment import env\nPORT = env.int("PORT", 8000)\n',
    "docs/settings.md": "| `PORT` | 8000 | Where it listens |\n",
}
BROKEN = {
    "a long file": ("panel/a.py", "x = 1\n" * 401, "401 lines"),
    "a long template": ("templates/a.html", "<p>\n" * 401, "401 lines"),
    "a long test": ("tests/test_a.py", "x = 1\n" * 401, "401 lines"),
    "a machine's path": ("docs/a.md", f"See /{'home'}/alice/x.\n", "path of one machine"),
    "a registry": ("docs/a.md", "Get it from https://pypi.org/simple\n", "registry"),
    "an index option": ("scripts/a.sh", "pip install --index-url x\n", "registry"),
    "a lock file": ("uv.lock", "version = 1\n", "uv.lock"),
    "unescaped text": ("templates/a.html", "{{ text|safe }}\n", "not escaped"),
    "unescaped text, spaced": ("templates/a.html", "{{ text | safe }}\n", "not escaped"),
    "escaping switched off": ("templates/a.html", "{% autoescape off %}{% endautoescape %}\n", "not escaped"),
    "inline script": ("templates/a.html", "<script>alert(1)</script>\n", "CSP"),
    "inline handler": ("templates/a.html", '<a onclick="x()">a</a>\n', "CSP"),
    "inline style": ("templates/a.html", '<a style="color: red">a</a>\n', "CSP"),
    "catching everything": ("panel/a.py", "try:\n    pass\nexcept Exception:\n    pass\n", "name what can go wrong"),
    "catching everything and more": (
        "panel/a.py",
        "try:\n    pass\nexcept (OSError, Exception):\n    pass\n",
        "name what can go wrong",
    ),
    "a bare except": ("panel/a.py", "try:\n    pass\nexcept:\n    pass\n", "name what can go wrong"),
    "a noqa without reason": ("panel/a.py", "x = 1  # noqa: E501\n", "noqa without"),
    "a noqa without code": ("panel/a.py", "x = 1  # noqa\n", "noqa without"),
    "an ignore without reason": ("panel/a.py", "x = 1  # type: ignore[misc]\n", "type: ignore without"),
    "mark_safe": ("panel/a.py", "from django.utils.safestring import mark_safe\n", "mark_safe"),
    "text taken as HTML": ("panel/a.py", "shown = SafeString(text)\n", "taken as HTML"),
    "an open end": ("panel/a.py", "x = 1  # TODO later\n", "open end"),
    "a vague name": ("panel/launches/utils.py", "x = 1\n", "says nothing"),
    "another vague name": ("panel/common/a.py", "x = 1\n", "says nothing"),
    "a setting nobody documented": ("config/run.py", 'env.str("HOST", "")\n', "HOST is not in docs/settings.md"),
    "a documented setting nobody reads": ("docs/settings.md", "| `PORT` | |\n| `GONE` | |\n", "GONE is read nowhere"),
}


@pytest.fixture
def tree(tmp_path) -> Path:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    for name, text in GOOD.items():
        put(tmp_path, name, text)
    return tmp_path


def put(tree: Path, name: str, text: str) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)


def test_a_tree_that_keeps_the_rules_passes(tree, capsys) -> None:
    assert check_tree.main(tree) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "text", "what"), list(BROKEN.values()), ids=list(BROKEN))
def test_a_broken_rule_is_named_with_its_file(tree, capsys, name, text, what) -> None:
    put(tree, name, text)
    assert check_tree.main(tree) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{name}:")
    assert what in line


def test_what_is_allowed_stays_allowed(tree) -> None:
    put(tree, "panel/a/migrations/0001_initial.py", "x = 1\n" * 500)
    put(tree, "panel/a.py", "x = 1  # noqa: S603 - fixed words\ny = 2  # type: ignore[misc]  # no types there\n")
    put(tree, "panel/b.py", "try:\n    pass\nexcept (OSError, ValueError):\n    pass\n")
    put(tree, "docs/a.md", "See https://example.com/work/of/others and /servers/prod/.\n")
    put(tree, ".gitignore", "/var/\n")
    put(tree, "var/uv.lock", "x\n")
    assert check_tree.main(tree) == 0
