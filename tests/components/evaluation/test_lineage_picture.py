"""Tests of the picture of a model's lineage."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from babelrank.components.evaluation.lineage_picture import lineage_svg
from babelrank.components.evaluation.run_summary import Station

STATIONS = (
    Station(name="Data", lines=("spans 1, 2",)),
    Station(name="Warm start", lines=("run <r1>",), beside=True),
    Station(name="Model"),
    Station(name="Baseline", beside=True),
    Station(name="Gate", lines=("refused",), tone="bad"),
)


def boxes(svg: str) -> list[tuple[str, int, int]]:
    """(class, x, y) of each box."""
    found = re.findall(r'<rect class="(\w*)" x="(\d+)" y="(\d+)"', svg)
    return [(tone, int(x), int(y)) for tone, x, y in found]


def test_what_is_beside_stands_below_what_it_goes_into() -> None:
    svg = lineage_svg(STATIONS)
    assert svg is not None
    data, warm, model, base, gate = boxes(svg)
    assert data[2] == model[2] == gate[2] == 0
    assert data[1] < model[1] < gate[1]
    assert warm[1] == model[1]
    assert base[1] == gate[1]
    assert warm[2] == base[2] > 0
    assert gate[0] == "bad"
    assert svg.count("<path") == 4  # two on the main line, two from aside


def test_narrow_goes_down() -> None:
    svg = lineage_svg(STATIONS, narrow=True)
    assert svg is not None
    data, warm, model, base, gate = boxes(svg)
    assert data[1] == model[1] == gate[1] == 0
    assert data[2] < model[2] < gate[2]
    assert (warm[2], base[2]) == (model[2], gate[2])
    assert warm[1] > 0


@pytest.mark.parametrize("narrow", [True, False])
def test_it_is_said_in_words_and_well_formed(narrow: bool) -> None:
    svg = lineage_svg((*STATIONS, Station(name="<\x00" + "x" * 90)), narrow)
    assert svg is not None
    root = ElementTree.fromstring(svg)
    said = root.attrib["aria-label"]
    assert said.startswith("Lineage. Data: spans 1, 2; Warm start: run <r1>; Model; Baseline; ")
    shown = [text.text or "" for text in root.iter("text")]
    assert "run <r1>" in shown
    assert 10 < len(shown[-1]) < 24
    assert shown[-1].endswith("…")


@pytest.mark.parametrize("stations", [(), (Station(name="Baseline", beside=True),)])
def test_nothing_to_show(stations: tuple[Station, ...]) -> None:
    assert lineage_svg(stations) is None


def test_what_was_beside_something_that_never_came_stands_by_the_last() -> None:
    svg = lineage_svg(STATIONS[:2])
    assert svg is not None
    (data, warm) = boxes(svg)
    assert warm[1] == data[1]
