"""The colours of static/css/tokens.css, read from the file: legible in light and in dark."""

import re
from pathlib import Path

import pytest

from panel.ui.looks import OUTCOMES, STATES

CSS = (Path(__file__).parents[2] / "static/css/tokens.css").read_text()
PAIRS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", CSS)
} | {"on-accent": ("#ffffff", "#ffffff")}
TONES = sorted({look.tone for look in (*OUTCOMES.values(), *STATES.values())})
THEMES = pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@THEMES
@pytest.mark.parametrize("tone", TONES)
def test_the_word_of_every_state_can_be_read_on_every_ground(tone, theme):
    text = PAIRS[f"{tone}-text"][theme]
    for ground in ("ground", "surface", "surface-raised", "hover", "picked", f"{tone}-tint"):
        assert contrast(text, PAIRS[ground][theme]) >= 4.5, ground


@THEMES
@pytest.mark.parametrize("ink", ["ink", "ink-soft", "link"])
def test_texts_can_be_read_on_every_ground(ink, theme):
    for ground in ("ground", "surface", "surface-sunk", "surface-raised", "hover", "picked"):
        assert contrast(PAIRS[ink][theme], PAIRS[ground][theme]) >= 4.5, ground


@THEMES
def test_buttons_can_be_read(theme):
    for ground in ("accent", "accent-hover"):
        assert contrast(PAIRS["on-accent"][theme], PAIRS[ground][theme]) >= 4.5, ground


@THEMES
def test_borders_of_fields_and_the_focus_ring_can_be_seen(theme):
    for ground in ("ground", "surface"):
        assert contrast(PAIRS["line-strong"][theme], PAIRS[ground][theme]) >= 3, ground
        assert contrast(PAIRS["focus"][theme], PAIRS[ground][theme]) >= 3, ground


@pytest.mark.parametrize("tone", TONES)
def test_every_tone_has_its_class(tone):
    assert f".tone-{tone} {{" in CSS
