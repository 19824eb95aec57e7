"""True peak: what lies between the samples."""

import numpy as np
import pytest
import soxr

from afx_live.dsp.true_peak import TruePeak


def measured(x, parts=1):
    meter = TruePeak(x.shape[1])
    for block in np.array_split(x, parts):
        meter.add(block)
    return meter.db()


@pytest.mark.parametrize("phase", [0.0, 0.3, np.pi / 4])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.25])
def test_a_sines_true_peak_is_its_amplitude(share, phase):
    """EBU Tech 3341: within +0.2 and -0.4 dB."""
    x = 0.5 * np.sin(2 * np.pi * share * np.arange(4800) + phase)[:, None] * np.hanning(4800)[:, None]
    assert -0.4 < measured(x) - 20 * np.log10(0.5) < 0.2


def test_it_agrees_with_a_resampler_and_with_itself():
    x = soxr.resample(np.random.default_rng(0).standard_normal((24000, 2)), 24000, 48000)  # nothing above 12 kHz
    whole = measured(x)
    assert whole == pytest.approx(20 * np.log10(np.abs(soxr.resample(x, 48000, 8 * 48000)).max()), abs=0.3)
    assert measured(x, 97) == whole


def test_silence_has_no_peak_and_the_last_sample_counts():
    assert measured(np.zeros((100, 1))) == -np.inf
    x = np.zeros((100, 1))
    x[-1] = 1.0
    assert measured(x) == pytest.approx(0.0, abs=0.3)
