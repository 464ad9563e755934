"""The stylesheets and scripts of every page, as one static file each: a browser pays some milliseconds a file, also for
those it has in its cache (docs/adr/0014). They are written and read as single files; ``collectstatic`` and the
development server find these beside them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import FileSystemStorage, Storage

BUNDLES: Final = {
    "css/mapboard.css": tuple(
        f"css/{name}.css"
        for name in (
            *["tokens", "base", "layout", "controls", "components", "tables", "pages", "plots", "instance"],
            "index_map",
        )
    ),
    # What many pages use comes first: a script that fails takes those after it along.
    "js/mapboard.js": tuple(
        f"js/{name}.js"
        for name in (
            *["theme", "times", "copy", "selection", "live", "keyboard", "log"],
            *["index_map_picture", "index_map"],
        )
    ),
}
"""The path of each bundle and those of its parts, in order."""

_BETWEEN: Final = {".css": "\n", ".js": "\n;\n"}


class BundleFinder(finders.BaseFinder):
    """Finds the bundles, put together anew when a part has changed, in a directory that ends with the process."""

    def check(self, **_options: Any) -> list[Any]:
        return []

    def find(  # type: ignore[override]  # its stubs have an overload for each answer, and none for both
        self, path: str, find_all: bool = False, **_options: Any
    ) -> str | list[str]:
        if path not in BUNDLES:
            return []
        found = str(_written(path))
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        for path in BUNDLES:
            if not matches_patterns(path, ignore_patterns or []):
                _written(path)
                yield path, FileSystemStorage(location=_directory().name)


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mapboard-bundles-")


def _written(path: str) -> Path:
    bundle = Path(_directory().name, path)
    text = _BETWEEN[bundle.suffix].join(_part(part) for part in BUNDLES[path])
    if not bundle.is_file() or bundle.read_text() != text:
        bundle.parent.mkdir(exist_ok=True)
        new = bundle.with_suffix(".new")  # somebody may be reading the old one
        new.write_text(text)
        new.replace(bundle)
    return bundle


def _part(path: str) -> str:
    found = finders.find(path)
    if not isinstance(found, str):
        raise FileNotFoundError(f"{path} is part of a bundle, but no static file")
    return f"/* {path} */\n{Path(found).read_text()}"
