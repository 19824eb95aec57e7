"""The status view: the status of a running afx-live, drawn for a terminal of any size.

Nothing here reads a file, a clock or a terminal. `plan` takes the status (docs/status_file.md) and gives pieces of
rows, some fixed until it changes, some made from `Meters`; `draw` puts them together. So what is shown ten times a
second has only its moving pieces drawn again.
"""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from .panels import (
    Make,
    Meters,
    Status,
    curves,
    decided,
    dynamics,
    effect,
    gains,
    header,
    keys,
    levels,
    messages,
    status,
)

SPLIT_WIDTH, SPLIT_HEIGHT = 130, 24
"""From this size on, the plot is beside the rest."""
LEGEND_ROWS = 2
"""Rows of a plot besides its own: legend and axis."""
MIN_PLOT, MAX_PLOT = 3, 14
"""Rows of the plot when it is between the others."""


@dataclass(frozen=True)
class Piece:
    """A part of a row of the screen: `width` cells from (row, column) on, counted from 0."""

    row: int
    column: int
    width: int
    make: Make

    def made(self, meters: Meters) -> Text:
        """Give its text, however long."""
        return self.make(meters) if callable(self.make) else self.make

    def fit(self, text: Text) -> Text:
        """Pad or cut a text to exactly `width` cells."""
        text = text.copy()
        text.truncate(self.width, overflow="ellipsis", pad=True)
        text.end = ""
        return text


def draw(state: Status, meters: Meters, width: int, height: int) -> Text:
    """Draw it all: `height` lines of `width` cells."""
    rows: list[list[Piece]] = [[] for _ in range(height)]
    for piece in plan(state, width, height):
        rows[piece.row].append(piece)
    lines = []
    for row in rows:
        line = Text(end="")
        for piece in sorted(row, key=lambda p: p.column):
            line.append(" " * (piece.column - cell_len(line.plain))).append_text(piece.fit(piece.made(meters)))
        line.truncate(width, pad=True)
        lines.append(line)
    return Text("\n").join(lines)


def plan(state: Status, width: int, height: int) -> list[Piece]:
    """Lay the panels out for a terminal of this size; without room the least important are left out."""
    if width >= SPLIT_WIDTH and height >= SPLIT_HEIGHT:
        return _beside(state, width, height)
    return _stacked(state, width, height)


def _stacked(state: Status, width: int, height: int) -> list[Piece]:
    """One section under another; the plot, the messages and blank rows share what the others leave."""
    inside = max(width - 2, 1)
    effects = _effects(state, inside, height - 26)
    level, state_of, last = levels(state, inside), status(state), keys(state)
    ranked: list[tuple[int, Make]] = [
        (0, header(state)),
        *zip((1, 1, 7), level, strict=True),
        *((5, row) for row in dynamics(state, inside)),
    ]
    lower = [*((6, row) for row in effects), *((10, row) for row in decided(state))]
    lowest = [*zip((4, 2, 8, 9), state_of, strict=False)]
    left = height - len(ranked) - len(lower) - len(lowest) - 1
    blanks, tall, said = _shared_out(left, inside)
    blank = [(11, Text())]
    drawn = [(12, row) for row in (curves(state, inside, tall) if tall else [])]
    rows = [
        ranked[0],
        *blank * (blanks > 0),
        *ranked[1:],
        *drawn,
        *lower,
        *blank * (blanks > 1),
        *lowest,
        *((13, row) for row in messages(state, said)),
        (3, last),
    ]
    kept = sorted(sorted(range(len(rows)), key=lambda i: rows[i][0])[:height])
    return [Piece(i, 1 if width > 2 else 0, inside, rows[k][1]) for i, k in enumerate(kept)]


def _shared_out(left: int, width: int) -> tuple[int, int, int]:
    """Share rows among blanks, the plot and the messages, by importance."""
    blanks, tall, said = 0, 0, min(max(left, 0), 1)
    left -= said
    if left >= MIN_PLOT + LEGEND_ROWS and width >= 30:
        tall = min(left - LEGEND_ROWS, MIN_PLOT + 1)
        left -= tall + LEGEND_ROWS
        wanted = min(max(left, 0), 3)
        blanks, said = (wanted + 1) // 2, said + wanted // 2
        left -= wanted
        more = min(left * 2 // 3, MAX_PLOT - tall)
        tall, left = tall + more, left - more
    return blanks, tall, said + max(left, 0)


def _effects(state: Status, width: int, room: int) -> list[Make]:
    """Give the rows of all effects, with all parameters if there is room for so many."""
    rows: list[Make] = []
    for detail in (True, False):
        rows = [*(row for step in state["chain"] for row in effect(step, width, detail)), gains(state)]
        if len(rows) <= room:
            break
    return rows


def _beside(state: Status, width: int, height: int) -> list[Piece]:
    """Levels and effects on the left, the plot on the right, the rest below both."""
    left = min((width - 5) // 2, 96)
    right = width - left - 5
    below = status(state)
    room = height - len(below) - 5  # the header, two blank rows, a message, the keys
    upper = [*levels(state, left), *dynamics(state, left), Text()]
    rows = [*upper, *_effects(state, left, room - len(upper) - 2), Text(), *decided(state)][:room]
    tall = min(max(len(rows), min(room - 8, 34), 14), room)
    drawn = curves(state, right, tall - LEGEND_ROWS)
    below = [*below, *messages(state, height - tall - len(below) - 4), keys(state)]
    return [
        Piece(0, 1, width - 2, header(state)),
        *(Piece(2 + i, 1, left, make) for i, make in enumerate(rows)),
        *(Piece(2 + i, left + 4, right, make) for i, make in enumerate(drawn)),
        *(Piece(height - len(below) + i, 1, width - 2, make) for i, make in enumerate(below)),
    ]
