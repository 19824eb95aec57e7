"""The loop-back test finds a delay to the sample."""

import numpy as np
import pytest

from afx_live.realtime.audio.test_signal import LEVEL, PERIOD
from afx_live.realtime.doctor.mls import find
from support.loop import came_back, delayed, run_loop

RATE = 48000


@pytest.mark.parametrize("delay", [333, 334, 5000])
def test_the_callback_finds_its_own_delay(delay):
    echo = find(run_loop(delayed(delay, -0.25)))
    assert echo is not None
    assert echo.frames == delay
    assert echo.gain == pytest.approx(-0.25, abs=1e-4)
    assert echo.other is None


def test_the_noise_is_like_nothing_but_itself(played):
    """A maximum-length sequence: over a period, any shift but none correlates by -1 part of all."""
    code = played[:PERIOD] / LEVEL
    assert np.array_equal(played[PERIOD : PERIOD + 1000], played[:1000])
    alike = np.fft.irfft(np.abs(np.fft.rfft(code)) ** 2, PERIOD)
    assert np.abs(alike[1:] + 1).max() < 1e-3
    assert alike[0] == pytest.approx(PERIOD)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 1, 63, 128, 12345, 40000])
@pytest.mark.parametrize("gain", [1.0, -0.5, 0.01])
def test_a_delay_is_found_under_noise_and_hum(played, delay, gain):
    t = np.arange(len(played)) / RATE
    noise = np.random.default_rng(delay).normal(0, 0.5 * abs(gain) * LEVEL, len(t))
    bad = 0.05 + 0.1 * np.sin(2 * np.pi * 50 * t) + noise
    echo = find(np.stack([came_back(played, delay, gain) + bad, played], 1))
    assert echo is not None
    assert (echo.frames, echo.other) == (delay, None)
    assert np.sign(echo.gain) == np.sign(gain)


def test_a_converters_filter_does_not_hide_the_delay(played):
    n = np.arange(-40, 41)
    filtered = np.convolve(came_back(played, 700), np.sinc(0.9 * n) * np.hanning(81), "same")
    echo = find(np.stack([filtered, played], 1))
    assert echo is not None
    assert (echo.frames, echo.other) == (700, None)


@pytest.mark.slow
def test_no_loop_is_told_from_one(played):
    rng = np.random.default_rng(3)
    t = np.arange(len(played)) / RATE
    others = [np.zeros(len(t)), np.full(len(t), np.nan), np.sin(2 * np.pi * 440 * t), np.ones(len(t))]
    for x in [*others, *(rng.normal(0, 0.3, len(t)) for _ in range(20))]:
        assert find(np.stack([x, played], 1)) is None


def test_two_ways_are_told_from_an_echo(played):
    twice = came_back(played, 300, 0.5) + came_back(played, 900, 0.4)
    faint = came_back(played, 300, 0.5) + came_back(played, 900, 0.1)
    two, one = (find(np.stack([x, played], 1)) for x in (twice, faint))
    assert two is not None
    assert one is not None
    assert (two.frames, two.other) == (300, 900)
    assert (one.frames, one.other) == (300, None)


def test_the_empty_probe_is_silent():
    assert not run_loop(lambda sound, at: np.ones(333), level=0.0, periods=1)[:, 1].any()
