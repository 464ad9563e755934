"""The stylesheets and scripts of every page, as one static file each: a browser pays some milliseconds a file, also for
those it has in its cache (docs/adr/0014). They are written and read as single files; ``collectstatic``, the
development server and the tests find these beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import FileSystemStorage, Storage

BUNDLES: Final = {
    "css/mapboard.css": (
        "css/tokens.css", "css/base.css", "css/layout.css", "css/controls.css", "css/components.css", "css/tables.css",
        "css/pages.css", "css/plots.css", "css/instance.css", "css/index_map.css",
    ),
    # What many pages use comes first: a script that fails takes those after it along.
    "js/mapboard.js": (
        "js/theme.js", "js/times.js", "js/copy.js", "js/selection.js", "js/live.js", "js/keyboard.js", "js/log.js",
        "js/index_map_picture.js", "js/index_map.js",
    ),
}  # fmt: skip
"""The path of each bundle and those of its parts, in order."""

_BETWEEN: Final = {".css": b"\n", ".js": b"\n;\n"}


class BundleFinder(finders.BaseFinder):
    """Finds the bundles, put together anew when a part has changed, where collected files are kept."""

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
                yield path, FileSystemStorage(location=settings.STATIC_ROOT)


def _written(path: str) -> Path:
    bundle = Path(settings.STATIC_ROOT, path)
    content = _BETWEEN[bundle.suffix].join(_part(part) for part in BUNDLES[path])
    if not bundle.is_file() or bundle.read_bytes() != content:
        bundle.parent.mkdir(parents=True, exist_ok=True)
        draft = bundle.with_name(f"{bundle.name}.{uuid4().hex}")  # others may be reading or writing it, too
        draft.write_bytes(content)
        draft.replace(bundle)
    return bundle


def _part(path: str) -> bytes:
    found = finders.find(path)
    if not isinstance(found, str):
        raise FileNotFoundError(f"{path} is part of a bundle, but no static file")
    return b"/* %s */\n%s" % (path.encode(), Path(found).read_bytes())
