"""The house rules that no other tool checks, over every file that git has or would take. Part of `make check`.

    python scripts/check_tree.py [DIRECTORY]

Prints one line a breach (`path:line: what`) and ends with 1 when there is any.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOST_LINES: Final = 400
COUNTED: Final = {".py", ".html", ".css", ".js"}
BINARY: Final = {".png", ".jpg", ".ico", ".woff2", ".mo", ".svg"}
THIS: Final = {"scripts/check_tree.py", "tests/config/test_check_tree.py"}

Breach = tuple[str, int, str]

ANYWHERE: Final = (
    (re.compile(r"(?<![\w.@:/-])/(?:work|root)(?:/|\b)|(?<![\w.:/-])/home/\w"), "a path of one machine"),
    (re.compile(r"(?:pypi|pythonhosted|npmjs)\.(?:org|com)|--(?:extra-)?index-url"), "the host of a registry"),
)
IN_PYTHON: Final = (
    (re.compile(r"#\s*noqa(?!:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*\s+\S)"), "noqa without a code and a reason"),
    (re.compile(r"#\s*type:\s*ignore(?!\[[\w, -]+\]\s+# \S)"), "type: ignore without a code and a reason"),
    (re.compile(r"\bmark_safe\b"), "mark_safe"),
    (re.compile(r"#.*\b(?:TODO|FIXME|XXX)\b"), "an open end"),
)
TAKEN_AS_HTML: Final = (re.compile(r"\bSafe(?:String|Text)\((?![\"'])"), "a text that is taken as HTML")
MAKES_HTML: Final = "panel/ui/markdown.py"
"""The one file that may, because it sanitises."""
IN_TEMPLATES: Final = (
    (re.compile(r"\|\s*safe(?:seq)?\b|\bautoescape\s+off\b"), "text that is not escaped"),
    (re.compile(r"<script(?![^>]*\bsrc=)|<style\b|\sstyle=|\son[a-z]+=[\"']"), "script or style inside the page (CSP)"),
    (re.compile(r"\b(?:TODO|FIXME|XXX)\b"), "an open end"),
)
VAGUE_NAMES: Final = re.compile(r"(?:^|_)(?:utils?|helpers?|common|misc|managers?)$")
VARIABLE: Final = re.compile(r"""(?:env\.\w+|_needed_in_production|whole_number)\(\s*"([A-Z][A-Z_]+)\"""")
DOCUMENTED: Final = re.compile(r"^\|\s*`([A-Z][A-Z_]+)`", re.MULTILINE)


def main(root: Path) -> int:
    breaches = sorted({breach for check in CHECKS for breach in check(root, files_of(root))})
    for path, line, what in breaches:
        print(f"{path}:{line}: {what}")  # noqa: T201 - a command's answer
    return 1 if breaches else 0


def files_of(root: Path) -> list[str]:
    """Paths that git has or would take, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout  # noqa: S603 - fixed
    return sorted({name for name in listed.split("\0") if name and (root / name).is_file()})


def file_sizes(root: Path, files: list[str]) -> Iterator[Breach]:
    for name in files:
        if Path(name).suffix in COUNTED and "migrations" not in Path(name).parts:
            lines = len(text_of(root, name).splitlines())
            if lines > MOST_LINES:
                yield name, lines, f"{lines} lines; split it along a named seam ({MOST_LINES} at most)"


def names_of_files(_root: Path, files: list[str]) -> Iterator[Breach]:
    for name in files:
        path = Path(name)
        if path.name == "uv.lock":
            yield name, 1, "uv.lock: requirements are compiled files with hashes"
        if path.suffix == ".py" and any(VAGUE_NAMES.search(part) for part in (*path.parts[:-1], path.stem)):
            yield name, 1, "a name that says nothing"


def lines_of_text(root: Path, files: list[str]) -> Iterator[Breach]:
    for name in files:
        if name in THIS or Path(name).suffix in BINARY:
            continue
        patterns = [*ANYWHERE]
        if name.endswith(".py") and not name.startswith(("tests/", "benchmarks/")):
            patterns += IN_PYTHON if name == MAKES_HTML else (*IN_PYTHON, TAKEN_AS_HTML)
        if name.startswith("templates/"):
            patterns += IN_TEMPLATES
        for number, line in enumerate(text_of(root, name).splitlines(), start=1):
            yield from ((name, number, what) for pattern, what in patterns if pattern.search(line))


def caught_errors(root: Path, files: list[str]) -> Iterator[Breach]:
    for name in files:
        if not name.endswith(".py") or name.startswith("tests/"):  # a fake may run what a test hands it
            continue
        for node in ast.walk(ast.parse(text_of(root, name), name)):
            if isinstance(node, ast.ExceptHandler) and _catches_everything(node.type):
                yield name, node.lineno, "except Exception: name what can go wrong"


def _catches_everything(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(one, ast.Name) and one.id == "Exception" for one in kinds)


def settings_documented(root: Path, files: list[str]) -> Iterator[Breach]:
    """Every variable that config/ reads stands in docs/settings.md, and no other."""
    read: dict[str, str] = {}
    for name in files:
        if name.startswith("config/") and name.endswith(".py"):
            read |= dict.fromkeys(VARIABLE.findall(text_of(root, name)), name)
    page = "docs/settings.md"
    documented = set(DOCUMENTED.findall(text_of(root, page))) if page in files else set()
    for variable in sorted(set(read) - documented):
        yield read[variable], 1, f"{variable} is not in {page}"
    for variable in sorted(documented - set(read)):
        yield page, 1, f"{variable} is read nowhere in config/"


def text_of(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8", errors="replace")


CHECKS: Final = (file_sizes, names_of_files, lines_of_text, caught_errors, settings_documented)

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
