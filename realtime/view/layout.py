"""The status view: what a running afx-live knows of itself, drawn for a terminal of any size.

Nothing here reads a file, a clock or a terminal. `plan` takes the state (state.py says what is in it)
and gives pieces of rows, some fixed until the state changes, some made from `Meters`; `draw` puts them
together. So whoever shows it often has only what moves to draw again.
"""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from .panels import (
    Make,
    Meters,
    State,
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
"""From this size on, the plot stands beside the rest."""
AROUND = 2
"""Rows of a plot beside its own: legend and axis."""
LOW, HIGH = 3, 14
"""Rows of the plot when it stands among the rest."""


@dataclass(frozen=True)
class Piece:
    """A part of a row of the screen: `width` cells from (row, column) on, counted from 0."""

    row: int
    column: int
    width: int
    make: Make

    def made(self, meters: Meters) -> Text:
        """Give what it is to say, however long."""
        return self.make(meters) if callable(self.make) else self.make

    def fit(self, text: Text) -> Text:
        """Bring a text to exactly `width` cells."""
        text = text.copy()
        text.truncate(self.width, overflow="ellipsis", pad=True)
        text.end = ""
        return text


def draw(state: State, meters: Meters, width: int, height: int) -> Text:
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


def plan(state: State, width: int, height: int) -> list[Piece]:
    """Lay the sections out for a terminal of this size; what has no room is left out, the least first."""
    if width >= SPLIT_WIDTH and height >= SPLIT_HEIGHT:
        return _beside(state, width, height)
    return _stacked(state, width, height)


def _stacked(state: State, width: int, height: int) -> list[Piece]:
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
    """Share rows among blank ones, the plot and the messages, the most wanted first."""
    blanks, tall, said = 0, 0, min(max(left, 0), 1)
    left -= said
    if left >= LOW + AROUND and width >= 30:
        tall = min(left - AROUND, LOW + 1)
        left -= tall + AROUND
        wanted = min(max(left, 0), 3)
        blanks, said = (wanted + 1) // 2, said + wanted // 2
        left -= wanted
        more = min(left * 2 // 3, HIGH - tall)
        tall, left = tall + more, left - more
    return blanks, tall, said + max(left, 0)


def _effects(state: State, width: int, room: int) -> list[Make]:
    """Give the rows of all effects, with all parameters if there is room for so many."""
    rows: list[Make] = []
    for detail in (True, False):
        rows = [*(row for step in state["chain"] for row in effect(step, width, detail)), gains(state)]
        if len(rows) <= room:
            break
    return rows


def _beside(state: State, width: int, height: int) -> list[Piece]:
    """Levels and effects on the left, the plot on the right, the rest below both."""
    left = min((width - 5) // 2, 96)
    right = width - left - 5
    below = status(state)
    room = height - len(below) - 5  # the header, two blank rows, a message, the keys
    upper = [*levels(state, left), *dynamics(state, left), Text()]
    rows = [*upper, *_effects(state, left, room - len(upper) - 2), Text(), *decided(state)][:room]
    tall = min(max(len(rows), min(room - 8, 34), 14), room)
    drawn = curves(state, right, tall - AROUND)
    below = [*below, *messages(state, height - tall - len(below) - 4), keys(state)]
    return [
        Piece(0, 1, width - 2, header(state)),
        *(Piece(2 + i, 1, left, make) for i, make in enumerate(rows)),
        *(Piece(2 + i, left + 4, right, make) for i, make in enumerate(drawn)),
        *(Piece(height - len(below) + i, 1, width - 2, make) for i, make in enumerate(below)),
    ]
