"""What every page loads is one stylesheet and one script, put together from the files of static/."""

import os
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command

from panel.ui.bundles import BUNDLES

STATIC = Path(settings.BASE_DIR, "static")
OWN_PAGES = {"js/launch_form.js"}
"""Loaded by the pages that need them."""


def found(path: str) -> str:
    return Path(finders.find(path)).read_text()


@pytest.mark.parametrize("path", list(BUNDLES))
def test_a_bundle_holds_its_parts_in_order(path):
    text = found(path)
    assert re.findall(r"^/\* ((?:css|js)/\w+\.\w+) \*/$", text, re.MULTILINE) == list(BUNDLES[path])
    places = [text.index((STATIC / part).read_text()) for part in BUNDLES[path]]
    assert places == sorted(places)


def test_every_stylesheet_and_script_is_in_one_bundle():
    bundled = [part for parts in BUNDLES.values() for part in parts]
    there = {str(file.relative_to(STATIC)) for file in STATIC.rglob("*") if file.suffix in {".css", ".js"}}
    assert len(bundled) == len(set(bundled))
    assert set(bundled) == there - OWN_PAGES


def test_a_bundle_follows_its_parts(tmp_path, settings):
    parts = {Path(part).name: "" for part in BUNDLES["css/mapboard.css"]}
    (tmp_path / "css").mkdir()
    for name in parts:
        (tmp_path / "css" / name).write_text(f"/* first {name} */")
    settings.STATICFILES_DIRS = [tmp_path]
    settings.STATIC_ROOT = tmp_path / "collected"
    finders.get_finder.cache_clear()
    try:
        assert "first tokens.css" in found("css/mapboard.css")
        (tmp_path / "css" / "tokens.css").write_text("/* second */")
        assert "/* second */" in found("css/mapboard.css")
        assert [path.name for path in (tmp_path / "collected" / "css").iterdir()] == ["mapboard.css"]
        (tmp_path / "css" / "base.css").unlink()
        with pytest.raises(FileNotFoundError, match=r"css/base\.css"):
            finders.find("css/mapboard.css")
    finally:
        finders.get_finder.cache_clear()


def test_bundles_are_collected_for_production_under_names_of_their_own(tmp_path, settings):
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    call_command("collectstatic", "--noinput", "--verbosity", "0")
    for path in BUNDLES:
        stem, suffix = os.path.splitext(path)
        assert list(tmp_path.glob(f"{stem}.????????????{suffix}")), path
        assert list(tmp_path.glob(f"{stem}.????????????{suffix}.gz")), path


def test_only_what_there_is_is_found():
    assert finders.find("css/other.css") is None
    assert finders.find("css/mapboard.css", find_all=True) == [finders.find("css/mapboard.css")]


@pytest.mark.parametrize(("kept", "written"), [
    ("dark", ' data-theme="dark"'), ("light", ' data-theme="light"'), ("system", ""), ('"><script>', ""),
])  # fmt: skip
def test_a_theme_that_was_chosen_is_in_the_page(client, kept, written):
    client.cookies["mapboard_theme"] = kept
    html = client.get("/no/such/page/").content.decode()
    assert f'<html lang="en"{written}>' in html
