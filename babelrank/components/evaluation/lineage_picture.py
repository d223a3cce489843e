"""Draws what a model was made from and what became of it, as a small inline SVG.

The main line runs from the data to the pushed version, from left to right, or from top to bottom
where the page is narrow; what goes in from aside (the model that training started from, the one
that the gate compared with) stands beside it. Colours are the page's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from html import escape
from itertools import accumulate

from babelrank.components.evaluation.run_summary import Station
from babelrank.components.evaluation.wording import visible

_WIDTH, _HEIGHT = 176, 74
_ALONG, _DOWN = 30, 26  # gaps: between columns, and between rows
_LINE = 15
_MARGIN = 10  # between a box and its text
_SIZE, _NAME_SIZE = 11.5, 13  # of the letters; style.css has the same
_NARROW = frozenset(" ,.:;'|!ijlI()[]/-")
_BROAD = frozenset("mwMW@%&\u2026\u2014")


def lineage_svg(stations: Sequence[Station], narrow: bool = False) -> str | None:
    """The picture; None when there is nothing to show.

    Args:
        stations: In order; one that is `beside` points to the next that is not.
        narrow: From top to bottom.
    """
    main = [station for station in stations if not station.beside]
    if not main:
        return None
    places = _places(stations)
    boxes = [
        _box(one, *_corner(place, narrow)) for one, place in zip(stations, places, strict=True)
    ]
    arrows = [_arrow(_corner((column - 1, 0), narrow), narrow) for column in range(1, len(main))]
    arrows += [
        _side_arrow(_corner((column, row - 1), narrow), narrow) for column, row in places if row
    ]
    columns, rows = len(main), 1 + max(row for _, row in places)
    if narrow:
        columns, rows = rows, columns
    width = columns * (_WIDTH + _ALONG) - _ALONG
    height = rows * (_HEIGHT + _DOWN) - _DOWN
    return (
        f'<svg class="lineage {"narrow" if narrow else "wide"}" role="img" '
        f'aria-label="{escape(_said(stations))}" viewBox="-1 -1 {width + 2} {height + 2}" '
        f'style="max-width:{width}px">{"".join(arrows + boxes)}</svg>'
    )


def _places(stations: Sequence[Station]) -> list[tuple[int, int]]:
    """(place on the main line, how far from it) of each."""
    places, column, beside = [], 0, 0
    for station in stations:
        beside = beside + 1 if station.beside else 0
        places.append((column, beside))
        column += not station.beside
    last = sum(not station.beside for station in stations) - 1
    return [(min(column, last), row) for column, row in places]


def _corner(place: tuple[int, int], narrow: bool) -> tuple[int, int]:
    column, row = reversed(place) if narrow else place
    return column * (_WIDTH + _ALONG), row * (_HEIGHT + _DOWN)


def _box(station: Station, x: int, y: int) -> str:
    left = x + _MARGIN
    name = _short(station.name, 1.1 * _NAME_SIZE)  # bold
    texts = [f'<text class="what" x="{left}" y="{y + 20}">{name}</text>']
    for number, line in enumerate(station.lines[:3]):
        place = f'x="{left}" y="{y + 20 + _LINE * (number + 1)}"'
        texts.append(f"<text {place}>{_short(line, _SIZE)}</text>")
    size = f'width="{_WIDTH}" height="{_HEIGHT}" rx="8"'
    return f'<rect class="{station.tone}" x="{x}" y="{y}" {size}/>{"".join(texts)}'


def _arrow(start: tuple[int, int], narrow: bool) -> str:
    """From a box of the main line to the next."""
    x, y = start
    if narrow:
        x, y = x + _WIDTH // 2, y + _HEIGHT
        return f'<path d="M{x} {y}v{_DOWN - 3}m-4 -6l4 6l4 -6"/>'
    x, y = x + _WIDTH, y + _HEIGHT // 2
    return f'<path d="M{x} {y}h{_ALONG - 3}m-6 -4l6 4l-6 4"/>'


def _side_arrow(end: tuple[int, int], narrow: bool) -> str:
    """To a box, from the one beside it."""
    x, y = end
    if narrow:
        x, y = x + _WIDTH + _ALONG, y + _HEIGHT // 2
        return f'<path d="M{x} {y}h{3 - _ALONG}m6 -4l-6 4l6 4"/>'
    x, y = x + _WIDTH // 2, y + _HEIGHT + _DOWN
    return f'<path d="M{x} {y}v{3 - _DOWN}m-4 6l4 -6l4 6"/>'


def _short(text: str, size: float) -> str:
    """As much of a text as a box surely holds, whatever the font."""
    shown = visible(text)
    room = (_WIDTH - 1.5 * _MARGIN) / size
    if sum(map(_broad, shown)) <= room:
        return escape(shown)
    room -= _broad("…")
    ends = (end for end, used in enumerate(accumulate(map(_broad, shown))) if used > room)
    return escape(shown[: next(ends)] + "…")


def _broad(character: str) -> float:
    """How broad a character is at most, in ems: those of DejaVu Sans, a broad font."""
    if unicodedata.east_asian_width(character) in "WF":
        return 1.3
    if character in _BROAD:
        return 1.0
    if character in _NARROW:
        return 0.4
    return 0.8 if character.isupper() else 0.64


def _said(stations: Sequence[Station]) -> str:
    """The picture in words, for whoever does not see it."""
    said = []
    for station in stations:
        about = ", ".join(visible(line) for line in station.lines)
        said.append(f"{visible(station.name)}{': ' if about else ''}{about}")
    return "Lineage. " + "; ".join(said) + "."
