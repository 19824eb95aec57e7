import warnings

import numpy as np
import pyloudnorm
import pytest

from afx_live.dsp import loudness
from afx_live.dsp.loudness import MOMENTARY, SHORT_TERM, integrated_loudness, meter, meter_state, read_loudness


def sine(sample_rate, seconds=4.0, hz=997.0, peak=1.0):
    return peak * np.sin(2 * np.pi * hz / sample_rate * np.arange(round(seconds * sample_rate)))


def noise(seconds=4.0, sample_rate=48000, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * sample_rate))


def speech_like(sample_rate=48000):
    """Bursts of filtered noise and pauses, at levels that both gates have to do with."""
    x = noise(12.0, sample_rate).cumsum()
    x = x - np.convolve(x, np.ones(200) / 200, "same")
    t = np.arange(len(x)) / sample_rate
    envelope = np.clip(np.sin(2 * np.pi * 0.7 * t), 0, 1) ** 2 * np.where(t < 6, 1.0, 0.05) * np.where(t < 9, 1.0, 1e-5)
    return x / np.abs(x).max() * envelope


def theirs(x, sample_rate, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyloudnorm.Meter(sample_rate, **options).integrated_loudness(x)


def test_coefficients_are_the_recommendations():
    printed = [1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585]
    printed += [1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(loudness.k_weighting(48000.0), printed, rtol=0, atol=1e-13)


@pytest.mark.parametrize("sample_rate", [16000, 22050, 44100, 48000, 88200, 96000, 192000])
def test_full_scale_sine(sample_rate):
    # The bilinear transform's warping costs 0.05 LU at 16 kHz.
    assert integrated_loudness(sine(sample_rate), sample_rate) == pytest.approx(-3.01, abs=0.06)
    if sample_rate >= 44100:
        assert integrated_loudness(sine(sample_rate), sample_rate) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("sample_rate", [16000, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("kind", ["noise", "speech", "low tone", "high tone"])
def test_pyloudnorm_agrees(kind, sample_rate):
    x = {
        "noise": noise(5.0, sample_rate),
        "speech": speech_like(sample_rate),
        "low tone": sine(sample_rate, hz=60.0, peak=0.3),
        "high tone": sine(sample_rate, hz=5000.0, peak=0.1),
    }[kind]
    assert integrated_loudness(x, sample_rate) == pytest.approx(theirs(x, sample_rate), abs=0.1)
    if sample_rate == 48000:  # the same filter: only rounding is left
        exact = theirs(x, sample_rate, filter_class="DeMan")
        assert integrated_loudness(x, sample_rate) == pytest.approx(exact, abs=1e-6)


def test_stereo():
    x = np.stack([noise(seed=1), 0.3 * noise(seed=2)], axis=1)
    assert integrated_loudness(x, 48000) == pytest.approx(theirs(x, 48000, filter_class="DeMan"), abs=1e-6)
    left = noise()
    both = integrated_loudness(np.stack([left, left], axis=1), 48000)
    assert both == pytest.approx(integrated_loudness(left, 48000) + 10 * np.log10(2))


def test_gates():
    # EBU Tech 3341, case 3, in mono: -36, -23 and -36 dBFS; the quiet parts fall to the relative gate.
    x = np.concatenate([sine(48000, s, 1000.0, 10 ** (db / 20)) for s, db in ((10, -36), (60, -23), (10, -36))])
    assert integrated_loudness(x, 48000) == pytest.approx(-26.0, abs=0.1)
    # Case 4: more of it at -72 dBFS, which the absolute gate takes away.
    quiet = sine(48000, 10, 1000.0, 10 ** (-72 / 20))
    assert integrated_loudness(np.concatenate([quiet, x, quiet]), 48000) == pytest.approx(-26.0, abs=0.1)


def test_silence_and_short_clips():
    assert integrated_loudness(np.zeros(48000), 48000) == -np.inf
    assert integrated_loudness(np.zeros(0), 48000) == -np.inf
    assert integrated_loudness(sine(48000, peak=1e-5), 48000) == -np.inf  # under the absolute gate
    for frames in (4000, 4800, 12000, 19199):  # less than a block: the whole, ungated
        assert integrated_loudness(sine(48000)[:frames], 48000) == pytest.approx(-3.01, abs=0.1)
    assert integrated_loudness(sine(48000, peak=1e-5)[:9000], 48000) == pytest.approx(-103.01, abs=0.1)


def test_errors():
    with pytest.raises(ValueError, match="shape"):
        integrated_loudness(np.zeros((2, 3, 4)), 48000)
    with pytest.raises(ValueError, match="NaN"):
        integrated_loudness(np.full(48000, np.nan), 48000)
    with pytest.raises(ValueError, match="sample_rate"):
        integrated_loudness(np.zeros(4800), 4000)
    with pytest.raises(ValueError, match="channel"):
        meter_state(48000, 0)


def test_meter_is_the_same_for_any_blocks():
    x = np.stack([noise(seed=1), noise(seed=2)], axis=1)
    whole, parts = meter_state(48000, 2), meter_state(48000, 2)
    before = x.copy()
    meter(x, whole)
    rng, at = np.random.default_rng(3), 0
    while at < len(x):
        frames = int(rng.integers(1, 9000))
        meter(x[at : at + frames], parts)
        at += frames
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(x, before)


def test_meter_reads_momentary_and_short_term():
    state = meter_state(48000, 1)
    assert read_loudness(state, MOMENTARY) == -np.inf
    meter(sine(48000, 5.0)[:, None], state)
    assert read_loudness(state, SHORT_TERM) == pytest.approx(-3.01, abs=0.01)
    meter(sine(48000, 0.4, peak=0.1)[:, None], state)
    assert read_loudness(state, MOMENTARY) == pytest.approx(-23.01, abs=0.1)
    meter(sine(48000, 2.6, peak=0.1)[:, None], state)
    assert read_loudness(state, SHORT_TERM) == pytest.approx(-23.01, abs=0.02)
    meter(np.zeros((48000 * 4, 1)), state)
    assert read_loudness(state, MOMENTARY) < -200


def test_meter_survives_anything():
    state = meter_state(48000, 2)
    wild = np.tile([[np.nan, 1e300], [np.inf, -np.inf], [1e-310, 0.0]], (5000, 1))
    meter(wild, state)
    meter(np.stack([sine(48000)] * 2, axis=1), state)
    assert np.isfinite(state).all()
    assert read_loudness(state, SHORT_TERM) == pytest.approx(0.0, abs=0.02)
