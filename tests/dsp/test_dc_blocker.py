"""Direct current is taken off, and nothing else changes."""

import numpy as np
import pytest

from afx_live.dsp.dc_blocker import DcBlocker
from support.sounds import noise, without_dc


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 192000, 384000])
def test_it_is_a_first_order_high_pass_at_5_hz(rate):
    x = noise(0.5, rate=rate) + 0.3
    np.testing.assert_allclose(DcBlocker(rate, 2)(x), without_dc(x, rate), atol=1e-9)


def test_any_partition_gives_the_same_bits():
    x, blocker, at = noise(0.3) + 0.2, DcBlocker(48000, 2), 0
    pieces = []
    for size in (1, 0, 63, 64, 65, 1000, len(x)):
        pieces.append(blocker(x[at : at + size]))
        at += size
    assert np.array_equal(np.concatenate(pieces), DcBlocker(48000, 2)(x))


def test_an_excerpt_begins_with_the_offset_before_it():
    x = np.full((4800, 2), [0.25, -0.5])
    assert np.abs(DcBlocker(48000, 2, [0.25, -0.5])(x)).max() == 0.0
