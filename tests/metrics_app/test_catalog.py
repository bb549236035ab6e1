"""What can be asked is written down, and nothing else is."""

from __future__ import annotations

import re

from metrics_app import rollup
from metrics_app.catalog import DIMENSIONS, MEASURES, METRICS, SECONDS
from tests.house import source


def documented(heading: str) -> list[list[str]]:
    """Cells of the table below a heading of docs/metrics.md."""
    text = (source.ROOT / "docs" / "metrics.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_every_metric_is_documented_in_its_words():
    assert [row[:2] for row in documented("Metrics")] == [[one.key, one.words] for one in METRICS.values()]


def test_every_dimension_is_documented_in_its_words():
    meant = [[one.key, one.words] for one in DIMENSIONS.values()]
    assert [row[:2] for row in documented("Dimensions")] == [*meant, ["property.<key>", "A property of yours"]]


def test_metrics_are_made_of_measures_there_are():
    for metric in METRICS.values():
        assert set(metric.measures) - {SECONDS} <= set(MEASURES), metric.key


def test_measures_name_columns_the_tiers_and_facets_have():
    for one in MEASURES.values():
        named = set(re.findall(r"r\.(\w+)", one.usage)) - {"status", "cached"}
        assert named <= set(rollup.MEASURES), one.key
        assert not one.facet or one.facet.removeprefix("f.") in rollup.FACET_MEASURES, one.key
