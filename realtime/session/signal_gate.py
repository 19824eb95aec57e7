"""Whether what comes in is a signal or the noise of the room and the wires, however low it comes in."""

import numpy as np
from numpy.typing import NDArray

from ...dsp.loudness import LoudnessMeter, gated_loudness
from ...matching.level import SILENT_LUFS

CLEAR_LUFS = -55.0
"""Louder input is a signal."""
STEADY_DB = 3.0
"""Quieter input whose hops of 100 ms spread by less (10th to 90th percentile) is hiss or hum, unless it has a pitch."""
SPARSE_DB, SPARSE_SHARE = 20.0, 0.4
"""Nor is it playing if fewer of its hops than that share come within so many dB of the loudest: a chair, a breath."""
UNDER_LU = 30.0
"""What is so far under the loudest input is what the microphone hears between two takes."""
FORGET_LU = 0.5
"""Per pass, the loudest level is forgotten by this much: somebody may have turned the input down."""
TONES_HZ, TONE_DB, TONE_SHARE = (40.0, 4000.0), 15.0, 0.5
"""A pitch: that share of the power there in lines so far over what is around them, those of the mains aside."""
MAINS_HZ, MAINS_TO_HZ, MAINS_DRIFT = (50.0, 60.0), 1000.0, 0.005
AROUND_HZ = 100.0
HOP_STEPS = 4
"""Hops of a momentary loudness, 400 ms: two beats of hum must not look like a change."""


class SignalGate:
    """Judge stretches of one input, one after the other. One thread uses it.

    live: whether there is a room behind it. Of a recording all counts that is not silent.
    """

    def __init__(self, live: bool = True) -> None:
        self._live, self._loudest = live, -np.inf

    def open(self, x: NDArray[np.floating], sample_rate: float) -> bool:
        """Say whether x (frames, channels), the last seconds of the input, is a signal."""
        if not len(x):
            return False
        meter = LoudnessMeter(sample_rate, x.shape[1], keep_start=False)
        meter.add(x)
        powers = meter.powers()
        lufs = gated_loudness(powers, faint=True)
        self._loudest = max(self._loudest - FORGET_LU, lufs)
        if lufs > CLEAR_LUFS or not self._live:
            return lufs > SILENT_LUFS
        if lufs <= max(SILENT_LUFS, self._loudest - UNDER_LU):
            return False
        return _plays(powers) or (_is_steady(powers) and _has_pitch(x, sample_rate))


def _plays(powers: NDArray[np.float64]) -> bool:
    near = np.mean(powers > powers.max() * 10 ** (-SPARSE_DB / 10))
    return bool(not _is_steady(powers) and near >= SPARSE_SHARE)


def _is_steady(powers: NDArray[np.float64]) -> bool:
    momentary = np.convolve(powers, np.ones(HOP_STEPS) / HOP_STEPS, "valid")
    low, high = np.percentile(momentary, [10, 90])
    return bool(high < low * 10 ** (STEADY_DB / 10))


def _has_pitch(x: NDArray[np.floating], sample_rate: float) -> bool:
    """Tell held notes (an organ, a pad, a bow) from hiss and hum: lines that are not the mains'."""
    power = np.sum(np.abs(np.fft.rfft(x * np.hanning(len(x))[:, None], axis=0)) ** 2, axis=1)
    hz = np.fft.rfftfreq(len(x), 1.0 / sample_rate)
    heard = (hz >= TONES_HZ[0]) & (hz < TONES_HZ[1])
    power, hz = power[heard], hz[heard]
    band = ((hz - TONES_HZ[0]) / AROUND_HZ).astype(int)
    around = np.array([np.median(power[band == i]) for i in range(band[-1] + 1)])[band]
    lines = power > around * 10 ** (TONE_DB / 10)
    for mains in MAINS_HZ:
        off = np.abs(hz - mains * np.round(hz / mains))
        lines &= (off > 2.0 * sample_rate / len(x) + MAINS_DRIFT * hz) | (hz > MAINS_TO_HZ)
    return bool(power[lines].sum() >= TONE_SHARE * power.sum() > 0.0)
