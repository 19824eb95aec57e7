"""A matcher without learning that sets our own chain: tone, then compression, then drive, each by a rule.

Rules look at what a recording's content changes little: the long-term spectrum where it differs
smoothly, how levels are spread, and the waveform's shape inside frames of 20 ms. A step is taken only
where the clips differ by more than two clips of one source do. Reverb is left off: two takes' decays
differ by more than most rooms.
"""

from collections.abc import Collection, Iterator
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...chain import CANONICAL, ChainSettings, play_clip
from ...dsp.loudness import integrated_loudness
from ...effects import load
from ...matching import fit_curve, solve_level
from ..metrics.audio import MATCHED_LUFS, Audio, matched
from .baselines import long_term_spectrum

MOST_DB = 15.0
ROUGH = 2.0
"""How much a difference that jumps from band to band (other notes) speaks against one that is smooth (tone)."""
FRAME_S = 0.02
QUANTILES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995])
LEVELS_DB = 1.5
"""Two clips of one source differ so much in the quantiles of their levels (RMS)."""
SHAPE = np.array([0.04, 0.05, 0.05, 0.05, 0.06])
"""And so much in the numbers of `shape_of`."""
PAYS = 0.6
"""A setting must bring the difference under this share of what it is without."""


def rule_settings(
    x: Audio, reference: Audio, sample_rate: float, allowed: Collection[str] = CANONICAL, cautious: bool = True
) -> ChainSettings:
    """Choose settings of the canonical chain so that x sounds like the reference; levels are not solved yet.

    Effects outside `allowed`, and reverb, stay off. `cautious` = False takes the spectra's difference
    whole: for a reference that is x itself, played through something.
    """
    x, reference = matched(x, sample_rate), matched(reference, sample_rate)
    settings = ChainSettings.default()
    for _ in range(2):  # drive brings treble and compression moves the tone: the second round has heard them
        if "equaliser" in allowed:
            settings = _toned(settings, x, reference, sample_rate, cautious)
        if "compressor" in allowed:
            settings = _chosen(settings, x, reference, sample_rate, "compressor", _compressors(), _spread)
        if "distortion" in allowed:
            settings = _chosen(settings, x, reference, sample_rate, "distortion", _drives(), _bent)
    return settings


def play(settings: ChainSettings, x: Audio, sample_rate: float) -> Audio:
    """Play a mono clip through a chain."""
    return play_clip(settings, x, sample_rate)


# --- tone -----------------------------------------------------------------------------------------


def _toned(settings: ChainSettings, x: Audio, reference: Audio, sample_rate: float, cautious: bool) -> ChainSettings:
    """Fit the equaliser to the spectra's difference; what the rest of the chain does to the tone is counted in."""
    bare = settings.with_effect("equaliser", enabled=False)
    hz, ours = long_term_spectrum(_heard(bare, x, sample_rate), sample_rate)
    _, theirs = long_term_spectrum(reference, sample_rate)
    curve = smooth_difference(theirs - ours) if cautious else theirs - ours
    curve = np.clip(curve, -MOST_DB, MOST_DB)
    if np.abs(curve - curve.mean()).mean() < 0.5:
        return bare
    effect = load("equaliser")
    start = np.array([p.unit(p.default) for p in effect.params])
    unit = fit_curve(curve, hz, np.ones_like(hz), start, sample_rate)
    values = {p.name: p.clip(p.value(float(u))) for p, u in zip(effect.params, unit, strict=True)}
    return settings.with_effect("equaliser", enabled=True, **values)


def smooth_difference(difference_db: Audio) -> Audio:
    """Keep what of a difference of spectra (bands, thirds of an octave) may be tone.

    Smoothed over an octave; then scaled down by how rough it was (Wiener's rule: the share of variance
    that smoothness explains, roughness counting ROUGH times).
    """
    weights = np.exp(-0.5 * np.square(np.arange(-5, 6) / 1.7))
    smooth = np.convolve(np.pad(difference_db, 5, "edge"), weights / weights.sum(), "valid")
    rough = ROUGH * np.square(difference_db - smooth).mean()
    tone = np.square(smooth - smooth.mean()).mean()
    return smooth.mean() + (smooth - smooth.mean()) * tone / (tone + rough + 1e-9)


# --- compression and drive ------------------------------------------------------------------------


def _chosen(
    settings: ChainSettings, x: Audio, reference: Audio, sample_rate: float, effect: str, trials, look
) -> ChainSettings:
    """Try values of an effect, and take the best if it pays: `look` gives numbers scaled to 1 for chance."""
    off = settings.with_effect(effect, enabled=False)
    wanted = look(reference, sample_rate)

    def cost(trial: ChainSettings) -> float:
        return float(np.sqrt(np.mean(np.square(look(_heard(trial, x, sample_rate), sample_rate) - wanted))))

    without = cost(off)
    if without < 1.0:  # no more than two takes differ
        return off
    tried = [settings.with_effect(effect, enabled=True, **values) for values in trials]
    costs = [cost(trial) for trial in tried]
    best = int(np.argmin(costs))
    return tried[best] if costs[best] < PAYS * without else off


def _heard(settings: ChainSettings, x: Audio, sample_rate: float) -> Audio:
    ready = solve_level(settings, x, sample_rate, MATCHED_LUFS, MATCHED_LUFS)
    return play(ready, x, sample_rate)


def _compressors() -> Iterator[dict[str, float]]:
    for threshold_db, ratio, (attack_ms, release_ms) in product(
        (-22.0, -30.0, -38.0, -46.0), (2.0, 4.0, 10.0), ((3.0, 80.0), (20.0, 250.0))
    ):
        yield {"threshold_db": threshold_db, "ratio": ratio, "attack_ms": attack_ms, "release_ms": release_ms}


def _drives() -> Iterator[dict[str, float]]:
    for drive_db, bias in product((6.0, 12.0, 18.0, 24.0, 30.0), (0.0, 0.2)):
        yield {"drive_db": drive_db, "bias": bias, "tone_hz": 8000.0, "mix": 1.0}


def _spread(x: Audio, sample_rate: float) -> Audio:
    """Give the quantiles of the levels of frames of 20 ms over the mean level, in units of chance."""
    frames, power = _frames(x, sample_rate)
    level = 10 * np.log10(power + 1e-12)
    mean = 10 * np.log10(power.mean() + 1e-12)
    active = level[level > np.percentile(level, 95) - 40.0]
    crest = 20 * np.log10(np.abs(frames).max(1) + 1e-9) - level
    typical = np.median(crest[level > np.percentile(level, 95) - 20.0])
    return np.append(np.quantile(active, QUANTILES) - mean, typical) / LEVELS_DB


def _bent(x: Audio, sample_rate: float) -> Audio:
    return shape_of(x, sample_rate) / SHAPE


def shape_of(x: Audio, sample_rate: float) -> Audio:
    """Describe the waveform inside frames of 20 ms that sound, by their peaks: (5,).

    Mean |u|, its mean square, the share of frames' samples over 0.7 and over 0.9 of the peak, and the
    asymmetry of the peaks (its size: which way is up depends on the microphone).
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


def level_for(settings: ChainSettings, x: Audio, reference: Audio, sample_rate: float) -> ChainSettings:
    """Solve both gains on x, so that the chain works at -23 LUFS and comes out as loud as the reference."""
    target = min(integrated_loudness(reference, sample_rate), 0.0)
    return solve_level(settings, x, sample_rate, target, MATCHED_LUFS)
