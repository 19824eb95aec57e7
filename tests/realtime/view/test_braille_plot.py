"""Curves in braille characters."""

import numpy as np
import pytest

from afx_live.realtime.session.spectra import HZ
from afx_live.realtime.view.braille_plot import GUTTER, plot


def dots(text, width, rows):
    """Give the dots of a plot as an array (4 rows, 2 columns a cell), without its axis."""
    found = np.zeros((4 * rows, 2 * (width - GUTTER)), bool)
    for r, row in enumerate(text[:rows]):
        for c, cell in enumerate(row.plain[GUTTER:]):
            bits = ord(cell) - 0x2800 if cell != " " else 0
            for bit, (y, x) in enumerate([(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]):
                found[4 * r + y, 2 * c + x] |= bool(bits >> bit & 1)
    return found


@pytest.mark.parametrize(("db", "row"), [(18.0, 0), (0.0, 16), (-18.0, 31), (9.0, 8)])
def test_a_level_has_its_height(db, row):
    drawn = dots(plot((db,) * 96, None, None, 64, 8), 64, 8)
    assert drawn[row].all()
    assert drawn.sum(0).max() <= 2  # the line, and the zero line


def test_what_is_beyond_18_db_is_not_drawn():
    nothing = dots(plot(None, None, None, 64, 8), 64, 8)
    assert (dots(plot((30.0,) * 96, None, None, 64, 8), 64, 8) == nothing).all()
    assert (dots(plot((None,) * 96, (None,) * 96, (None,) * 96, 64, 8), 64, 8) == nothing).all()


def test_a_peak_stands_over_its_frequency():
    hz = np.array(HZ)
    curve = tuple(12.0 * np.exp(-((np.log2(hz / 1000.0) / 0.5) ** 2)))
    text = plot(curve, None, None, 104, 10)
    top = np.argmax(dots(text, 104, 10).any(0) * (40 - np.argmax(dots(text, 104, 10), 0)))
    assert abs(GUTTER + top / 2 - text[-1].plain.index("1k")) <= 2


def test_curves_are_told_apart_without_colour():
    flat = (6.0,) * 96
    kinds = [plot(*(flat if i == k else None for i in range(3)), 64, 8) for k in range(3)]
    texts = {"\n".join(row.plain for row in kind) for kind in kinds}
    assert len(texts) == 3
