"""The colours of tokens.css, held to WCAG 2.2 AA in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

TOKENS = (Path(settings.BASE_DIR) / "helicone_site/static/css/tokens.css").read_text()
PAIR = re.compile(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(TOKENS)}

HUES = ("accent", "error", "warning", "ok", "cached")
PAPERS = ("grey-0", "grey-1", "grey-2")
TEXTS = ("grey-6", "grey-7", "grey-8")
TEXT_PAIRS = [
    *((text, paper) for text in TEXTS for paper in PAPERS),
    *((f"{hue}-text", paper) for hue in HUES for paper in PAPERS),
    *((f"{hue}-text", f"{hue}-bg") for hue in HUES),
    *((text, "accent-bg") for text in TEXTS),
    *((text, "error-bg") for text in TEXTS),
    ("solid-text", "solid-bg"),
    ("solid-text", "solid-hover"),
    ("solid-text", "danger-bg"),
]
MARK_PAIRS = [(f"mark-{hue}", paper) for hue in HUES for paper in ("grey-0",)]
THEMES = {"light": 0, "dark": 1}


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_itself_knows_black_on_white():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "paper"), TEXT_PAIRS)
def test_text_reads_well_on_its_background(theme: str, text: str, paper: str):
    assert contrast(COLOURS[text][THEMES[theme]], COLOURS[paper][THEMES[theme]]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("mark", "paper"), MARK_PAIRS)
def test_a_coloured_mark_stands_out_from_the_page(theme: str, mark: str, paper: str):
    assert contrast(COLOURS[mark][THEMES[theme]], COLOURS[paper][THEMES[theme]]) >= 3


def test_no_colour_is_named_outside_the_tokens():
    for sheet in (Path(settings.BASE_DIR) / "helicone_site/static/css").glob("*.css"):
        if sheet.name != "tokens.css":
            assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s,)])", sheet.read_text()), sheet.name
