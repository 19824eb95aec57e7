"""Curves over frequency in braille characters: eight dots a cell, no colour needed to tell them apart."""

import math
from collections.abc import Callable
from functools import lru_cache

from rich.text import Text

LOW_HZ, HIGH_HZ, TOP_DB = 30.0, 20000.0, 18.0
LABELS = {50: "50", 100: "100", 200: "200", 500: "500", 1000: "1k", 2000: "2k", 5000: "5k", 10000: "10k"}
GUTTER = 4
"""Cells left of the plot, for the decibels."""
CURVE, REFERENCE, INPUT, GRID = "bold cyan", "yellow", "dim", "dim"
"""Styles of the equaliser's curve, the reference's spectrum, the input's, and the zero line."""
LEGEND = (("⠤⠤", CURVE, "equaliser"), ("⠄⠄", REFERENCE, "reference"), ("⡑⢌", INPUT, "input"))

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of every dot of a braille cell, by row and column."""

Curve = tuple[float | None, ...]
Heights = list[int | None]
"""For each column of dots, the row (0 is the top), or None where there is nothing."""
Grid = list[list[int]]
"""The dots of each cell, row by row; drawn grids are cached and must not be changed."""


@lru_cache(4)
def plot(equaliser: Curve | None, input: Curve | None, reference: Curve | None, width: int, rows: int) -> list[Text]:
    """Draw curves in dB, evenly spaced in log Hz from 30 Hz to 20 kHz: `rows` rows of `width` cells, and the axis.

    The input is an area, the reference a dotted line, the equaliser a solid one on top of both. The rows
    are cached and must not be changed.
    """
    cells = width - GUTTER
    lines = 4 * rows
    layers = [(GRID, _zero(cells, rows))]
    for curve, style, draw in ((input, INPUT, _area), (reference, REFERENCE, _dotted), (equaliser, CURVE, _line)):
        if curve is not None:
            layers.append((style, draw(curve, cells, rows)))
    middle = _row(0.0, lines) // 4
    names = {0: "+18", middle: "0", rows - 1: "-18"}
    return [_cells(layers, r, cells, f"{names.get(r, ''):>{GUTTER - 1}} ") for r in range(rows)] + [axis(width)]


def axis(width: int) -> Text:
    """Write the frequencies under a plot of this width."""
    text = [" "] * width
    for hz, name in LABELS.items():
        at = GUTTER + round((width - GUTTER - 1) * math.log(hz / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ)) - len(name) // 2
        if at + len(name) <= width - 3:
            text[at : at + len(name)] = name
    text[width - 2 :] = "Hz"
    return Text("".join(text), "dim")


def _row(db: float, lines: int) -> int:
    """Give the row of dots of a level; it lies outside the plot beyond 18 dB either way."""
    return round((TOP_DB - db) / (2 * TOP_DB) * (lines - 1))


def _heights(curve: Curve, columns: int, lines: int) -> Heights:
    """Interpolate a curve linearly at each column of dots."""
    found: Heights = []
    for x in range(columns):
        at = x / max(columns - 1, 1) * (len(curve) - 1)
        a, b = curve[int(at)], curve[min(int(at) + 1, len(curve) - 1)]
        if a is None or b is None:
            found.append(None)
        else:
            found.append(_row(min(max(a + (at - int(at)) * (b - a), -1e3), 1e3), lines))
    return found


def _painted(cells: int, rows: int) -> tuple[Grid, Callable[[int, int], None]]:
    grid = [[0] * cells for _ in range(rows)]

    def dot(x: int, y: int) -> None:
        if 0 <= y < 4 * rows:
            grid[y // 4][x // 2] |= _DOTS[y % 4][x % 2]

    return grid, dot


@lru_cache(8)
def _line(curve: Curve, cells: int, rows: int, every: int = 1) -> Grid:
    """Join the heights by a line, steps included; about half of each `every` dots are left out if that is over 1."""
    grid, dot = _painted(cells, rows)
    before = None
    for x, y in enumerate(_heights(curve, 2 * cells, 4 * rows)):
        if y is None:
            before = None
            continue
        start = y if before is None else before + (y > before) - (y < before)
        for there in range(min(start, y), max(start, y) + 1):
            if every == 1 or (x + there) % every < every // 2:
                dot(x, there)
        before = y
    return grid


def _dotted(curve: Curve, cells: int, rows: int) -> Grid:
    return _line(curve, cells, rows, every=4)


@lru_cache(8)
def _area(curve: Curve, cells: int, rows: int) -> Grid:
    """Fill what is under a curve with a few dots, and mark its edge."""
    grid, dot = _painted(cells, rows)
    for x, y in enumerate(_heights(curve, 2 * cells, 4 * rows)):
        if y is not None:
            dot(x, y)
            for there in range(max(y, 0), 4 * rows) if x % 2 == 0 else ():
                if (there + x // 2) % 2 == 0:
                    dot(x, there)
    return grid


@lru_cache(8)
def _zero(cells: int, rows: int) -> Grid:
    grid, dot = _painted(cells, rows)
    for x in range(0, 2 * cells, 4):
        dot(x, _row(0.0, 4 * rows))
    return grid


def _cells(layers: list[tuple[str, Grid]], row: int, cells: int, label: str) -> Text:
    """Join the layers of one row; in a cell that several touch, only the last one shows."""
    text = Text(label, "dim", end="")
    run, style = "", ""
    rows = [(style, grid[row]) for style, grid in reversed(layers)]
    for c in range(cells):
        bits, mine = 0, style  # an empty cell looks the same in any style
        for one, cells_of in rows:
            if cells_of[c]:
                bits, mine = cells_of[c], one
                break
        if mine != style:
            text.append(run, style or None)
            run, style = "", mine
        run += chr(0x2800 + bits) if bits else " "
    return text.append(run, style or None)
