"""A matcher without learning that sets our own chain: tone, then compression, then drive, each by a rule.

The rules use what depends little on a recording's content: smooth differences of the long-term spectrum, the
distribution of levels, and the waveform's shape in frames of 20 ms. An effect is used only where the clips
differ by more than two clips of one source do. Reverb is left off: the decays of two takes differ by more than
those of most rooms.
"""

from collections.abc import Collection, Iterator
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...chain import CANONICAL, ChainSettings, play_clip
from ...effects import load
from ...matching import fit_values, solve_level
from ..metrics.audio import MATCHED_LUFS, Audio, matched
from ..metrics.spectrum import third_octave_levels

MAX_GAIN_DB = 15.0
ROUGHNESS_WEIGHT = 2.0
"""How much a difference that jumps from band to band (other notes) counts against a smooth one (tone)."""
FRAME_S = 0.02
QUANTILES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995])
LEVEL_DEVIATION_DB = 1.5
"""Typical difference (RMS) between two clips of one source in the quantiles of their levels."""
SHAPE_DEVIATION = np.array([0.04, 0.05, 0.05, 0.05, 0.06])
"""Typical difference between two clips of one source in the numbers of `shape_of`."""
MAX_REMAINDER = 0.6
"""An effect is used only if it leaves less than this share of the difference."""


def rule_settings(
    x: Audio, reference: Audio, sample_rate: float, allowed: Collection[str] = CANONICAL, cautious: bool = True
) -> ChainSettings:
    """Choose settings of the canonical chain so that x sounds like the reference; levels are not solved yet.

    Effects outside `allowed`, and reverb, stay off. `cautious=False` takes the whole difference of the spectra:
    for a reference that is x itself, played through something.
    """
    x, reference = matched(x, sample_rate), matched(reference, sample_rate)
    settings = ChainSettings.default()
    for _ in range(2):  # drive and compression change the tone, which the second round accounts for
        if "equaliser" in allowed:
            settings = _with_equaliser(settings, x, reference, sample_rate, cautious)
        if "compressor" in allowed:
            settings = _with_best(settings, x, reference, sample_rate, "compressor", _compressors(), _levels)
        if "distortion" in allowed:
            settings = _with_best(settings, x, reference, sample_rate, "distortion", _drives(), _shape)
    return settings


# --- tone -----------------------------------------------------------------------------------------


def _with_equaliser(
    settings: ChainSettings, x: Audio, reference: Audio, sample_rate: float, cautious: bool
) -> ChainSettings:
    """Fit the equaliser to the difference of the spectra, taking into account what the rest of the chain does."""
    bare = settings.with_effect("equaliser", enabled=False)
    hz, ours = third_octave_levels(_played(bare, x, sample_rate), sample_rate)
    _, theirs = third_octave_levels(reference, sample_rate)
    curve = smooth_difference(theirs - ours) if cautious else theirs - ours
    curve = np.clip(curve, -MAX_GAIN_DB, MAX_GAIN_DB)
    if np.abs(curve - curve.mean()).mean() < 0.5:
        return bare
    values = fit_values(curve, hz, np.ones_like(hz), load("equaliser").defaults, sample_rate)
    return settings.with_effect("equaliser", enabled=True, **values)


def smooth_difference(difference_db: Audio) -> Audio:
    """Return the part of a difference of spectra (bands, third octaves) that may be tone.

    Smoothed over an octave, then scaled down by its roughness (a Wiener gain: the share of variance that the
    smooth part explains, roughness counting ROUGHNESS_WEIGHT times).
    """
    weights = np.exp(-0.5 * np.square(np.arange(-5, 6) / 1.7))
    smooth = np.convolve(np.pad(difference_db, 5, "edge"), weights / weights.sum(), "valid")
    rough = ROUGHNESS_WEIGHT * np.square(difference_db - smooth).mean()
    tone = np.square(smooth - smooth.mean()).mean()
    return smooth.mean() + (smooth - smooth.mean()) * tone / (tone + rough + 1e-9)


# --- compression and drive ------------------------------------------------------------------------


def _with_best(
    settings: ChainSettings, x: Audio, reference: Audio, sample_rate: float, effect: str, trials, describe
) -> ChainSettings:
    """Try values of an effect and keep the best if it helps; `describe` returns numbers that vary by 1 by chance."""
    off = settings.with_effect(effect, enabled=False)
    wanted = describe(reference, sample_rate)

    def cost(trial: ChainSettings) -> float:
        return float(np.sqrt(np.mean(np.square(describe(_played(trial, x, sample_rate), sample_rate) - wanted))))

    without = cost(off)
    if without < 1.0:  # no more than between two takes
        return off
    tried = [settings.with_effect(effect, enabled=True, **values) for values in trials]
    costs = [cost(trial) for trial in tried]
    best = int(np.argmin(costs))
    return tried[best] if costs[best] < MAX_REMAINDER * without else off


def _played(settings: ChainSettings, x: Audio, sample_rate: float) -> Audio:
    ready = solve_level(settings, x, sample_rate, MATCHED_LUFS, MATCHED_LUFS)
    return play_clip(ready, x, sample_rate)


def _compressors() -> Iterator[dict[str, float]]:
    for threshold_db, ratio, (attack_ms, release_ms) in product(
        (-22.0, -30.0, -38.0, -46.0), (2.0, 4.0, 10.0), ((3.0, 80.0), (20.0, 250.0))
    ):
        yield {"threshold_db": threshold_db, "ratio": ratio, "attack_ms": attack_ms, "release_ms": release_ms}


def _drives() -> Iterator[dict[str, float]]:
    for drive_db, bias in product((6.0, 12.0, 18.0, 24.0, 30.0), (0.0, 0.2)):
        yield {"drive_db": drive_db, "bias": bias, "tone_hz": 8000.0, "mix": 1.0}


def _levels(x: Audio, sample_rate: float) -> Audio:
    """Return quantiles of the levels of 20 ms frames over the mean level, and the crest; they vary by 1 by chance."""
    frames, power = _frames(x, sample_rate)
    level = 10 * np.log10(power + 1e-12)
    mean = 10 * np.log10(power.mean() + 1e-12)
    active = level[level > np.percentile(level, 95) - 40.0]
    crest = 20 * np.log10(np.abs(frames).max(1) + 1e-9) - level
    typical = np.median(crest[level > np.percentile(level, 95) - 20.0])
    return np.append(np.quantile(active, QUANTILES) - mean, typical) / LEVEL_DEVIATION_DB


def _shape(x: Audio, sample_rate: float) -> Audio:
    return shape_of(x, sample_rate) / SHAPE_DEVIATION


def shape_of(x: Audio, sample_rate: float) -> Audio:
    """Describe the waveform in active frames of 20 ms, relative to their peaks: (5,).

    Mean |u|, its mean square, the share of samples over 0.7 and over 0.9 of the peak, and the asymmetry of the
    peaks (its magnitude: the polarity depends on the microphone).
    """
    frames, power = _frames(x, sample_rate)
    loud = frames[power > np.percentile(power, 95) * 0.03]
    u = loud / (np.abs(loud).max(1, keepdims=True) + 1e-9)
    size = np.abs(u)
    lean = np.abs(np.median((u.max(1) + u.min(1)) / (u.max(1) - u.min(1) + 1e-9)))
    return np.array([size.mean(), np.square(size).mean(), (size > 0.7).mean(), (size > 0.9).mean() * 2, lean])


def _frames(x: Audio, sample_rate: float) -> tuple[Audio, Audio]:
    size = round(FRAME_S * sample_rate)
    frames = sliding_window_view(np.pad(x, (0, max(0, size - len(x)))), size)[::size]
    return frames, np.square(frames).mean(1)
