"""DeepAFx-ST's five styles, rebuilt, and two of our own: driven and spacious.

The ranges are those of the authors' published program (C. J. Steinmetz, N. J. Bryan, J. D. Reiss, JAES 70(9),
2022), uniform draws: an equaliser of a low shelf, one peak and a high shelf (R. Bristow-Johnson's, Q 0.707),
then a compressor. A clip of 131072 + 16384 frames at 24 kHz (262144 + 16384 at 44.1 kHz; at other rates as
long as at 24 kHz), of which each second has a mean square over 3e-4 on disk where the recordings offer that,
is brought to a peak of -3 to -9 dBFS, played, loses its first 16384 frames and is brought to 0 dBFS peak.

"deepafx_styles" is as published: *warm* turns the treble up by 14 to 20 dB, where the comment beside it says
down. "deepafx_styles_corrected" turns it down by 20 to 26, as bright turns it up, and has the textbook knee,
which no style uses.

driven: our distortion, drive 12 to 24 dB, tone 4 to 12 kHz, half of them biased by 0.1 to 0.3, all wet.
spacious: our reverb, RT60 1.5 to 3.5 s, at 16 kHz 0.3 to 0.7 of that, pre-delay 10 to 40 ms, low cut 80 to
200 Hz, 0.25 to 0.5 wet.

Effect set "warm": the input is the clip without effect; "neutral>warm": the input already has another style.
Settings are known where the style is one of ours on a clean input. Intensity scales gains in dB, slopes and
what `ours.scaled` scales. Curve, knee and smoothing of the compressor are the authors', not our effect's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.signal import lfilter

from ...chain import GAIN, ChainSettings, EffectSettings
from ...dsp.biquad import high_shelf, low_shelf, peak
from ...training.recordings import Recording, read_mono, two_stretches
from .condition import Audio, Condition, Pair
from .deepafx_compressor import gain_reduction_db, pole, smoothed
from .ours import description, play_chain, scaled
from .sources import Generator, Play, others, pool, stream, take

STYLES = ("neutral", "broadcast", "telephone", "bright", "warm")
OURS = ("driven", "spacious")
LEAD_IN = 16384
FRAMES = {44100: 262144, 48000: 262144}
MIN_POWER = 3e-4
Q = 0.707
MAX_GAIN_DB = 40.0

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Ranges of a style: dB, ratio, seconds, Hz. Without a threshold it has no compressor."""

    low_db: Range
    low_hz: Range
    high_db: Range
    high_hz: Range
    threshold_db: Range = (0.0, 0.0)
    ratio: Range = (1.0, 1.0)
    attack_s: Range = (0.05, 0.05)
    release_s: Range = (0.25, 0.25)
    peak_db: Range = (0.0, 0.0)
    peak_hz: Range = (1000.0, 1000.0)


DOWN, UP = (-26.0, -20.0), (20.0, 26.0)
RANGES = {
    "neutral": Style((1, 3), (80, 200), (1, 3), (6000, 8000), (-30, -20), (1.5, 2), (0.05, 0.07), (0.1, 0.3)),
    "broadcast": Style((2, 6), (80, 200), (2, 6), (6000, 8000), (-50, -40), (3, 5), (0.005, 0.03), (0.05, 0.15)),
    "telephone": Style(
        DOWN,
        (200, 400),
        DOWN,
        (4000, 6000),
        (-40, -20),
        (1.5, 3),
        (0.001, 0.006),
        (0.01, 0.06),
        (12, 16),
        (1000, 2000),
    ),
    "bright": Style(DOWN, (200, 400), UP, (8000, 10000)),
    "warm": Style(UP, (200, 400), (14, 20), (8000, 10000)),
}
CORRECTED = {**RANGES, "warm": Style(UP, (200, 400), DOWN, (8000, 10000))}


# --- their effects ---------------------------------------------------------------------------------


def equalised(x: Audio, rate: int, values: dict[str, float]) -> Audio:
    """Play the low shelf, the peak and the high shelf of a drawn style."""
    for shape, name in ((low_shelf, "low"), (peak, "peak"), (high_shelf, "high")):
        b0, b1, b2, a1, a2 = shape(float(rate), values[f"{name}_hz"], values[f"{name}_db"], Q)
        x = np.asarray(lfilter([b0, b1, b2], [1.0, a1, a2], x))
    return x


def compressed(
    x: Audio,
    rate: int,
    threshold_db: float,
    ratio: float,
    attack_s: float,
    release_s: float,
    knee_db: float = 0.0,
    corrected: bool = False,
) -> Audio:
    """Play the authors' compressor: each sample's level, its gain reduction, smoothed; times are from 10 to 90 %."""
    level_db = np.maximum(20 * np.log10(np.abs(x) + 1e-8), -96.0)
    wanted_db = gain_reduction_db(level_db, threshold_db, ratio, knee_db, corrected)
    wanted_db[0] = 0.0  # as published, smoothing begins behind the first sample
    return x * 10 ** (-smoothed(wanted_db, pole(rate, attack_s), pole(rate, release_s)) / 20)


# --- styles ----------------------------------------------------------------------------------------


def draw_style(name: str, rng: np.random.Generator, corrected: bool, intensity: float = 1.0) -> dict[str, float]:
    """Draw the values of one of the five styles."""
    ranges = (CORRECTED if corrected else RANGES)[name]
    values = {field: float(low + (high - low) * rng.random()) for field, (low, high) in vars(ranges).items()}
    for gain in ("low_db", "peak_db", "high_db"):
        values[gain] = min(max(intensity * values[gain], -MAX_GAIN_DB), MAX_GAIN_DB)
    values["ratio"] = 1 / (1 - min(0.98, intensity * (1 - 1 / values["ratio"])))
    return values


def draw_ours(name: str, rng: np.random.Generator, intensity: float = 1.0) -> ChainSettings:
    """Draw the settings of driven or spacious."""
    if name == "driven":
        bias = rng.uniform(0.1, 0.3) * rng.choice([-1.0, 0.0, 0.0, 1.0])
        values = {"drive_db": rng.uniform(12, 24), "tone_hz": rng.uniform(4000, 12000), "bias": bias, "mix": 1.0}
        return scaled(ChainSettings((EffectSettings("distortion", values),)), intensity)
    values = {
        "rt60_s": rng.uniform(1.5, 3.5),
        "hf_ratio": rng.uniform(0.3, 0.7),
        "predelay_ms": rng.uniform(10, 40),
        "low_cut_hz": rng.uniform(80, 200),
        "mix": rng.uniform(0.25, 0.5),
    }
    return scaled(ChainSettings((EffectSettings("reverb", values),)), intensity)


def _style(
    name: str, rng: np.random.Generator, corrected: bool, intensity: float
) -> tuple[Play, str, ChainSettings | None]:
    if name in OURS:
        settings = draw_ours(name, rng, intensity)
        return play_chain(settings), description(settings), settings
    drawn = draw_style(name, rng, corrected, intensity)

    def play(x: Audio, rate: int) -> Audio:
        dynamics = (drawn[key] for key in ("threshold_db", "ratio", "attack_s", "release_s"))
        return compressed(equalised(x, rate, drawn), rate, *dynamics, corrected=corrected)

    return play, " ".join(f"{k}={v:.4g}" for k, v in drawn.items()), None


# --- pairs -----------------------------------------------------------------------------------------


def _loud_enough(recording: Recording, place: tuple[float, float]) -> bool:
    """Whether every whole second has a mean square over MIN_POWER, at the recording's own rate."""
    x, rate = read_mono(recording, *place, recording.sample_rate), recording.sample_rate
    return all(np.mean(np.square(x[i : i + rate])) > MIN_POWER for i in range(0, len(x) - rate + 1, rate))


def patches(
    fitting: Sequence[Recording], rng: np.random.Generator, seconds: float, rate: int, tries: int = 8
) -> tuple[Audio, Audio, Recording]:
    """Draw two stretches of a recording without a quiet second, if `tries` draws find some; else any audible ones."""
    for _ in range(tries):
        recording = fitting[int(rng.integers(len(fitting)))]
        places = two_stretches(recording, seconds, rng)
        if places and all(_loud_enough(recording, place) for place in places):
            a, b = (np.resize(read_mono(recording, *p, rate), round(seconds * rate)) for p in places)
            return a.astype(np.float64), b.astype(np.float64), recording
    return take(fitting, rng, seconds, rate)


def to_peak(x: Audio, peak_db: float = 0.0) -> Audio:
    """Bring a clip to a peak in dBFS; silence is left alone."""
    most = np.abs(x).max()
    return x * (10 ** (peak_db / 20) / most) if most > 0 else x


def _known(settings: ChainSettings, before: Audio, after: Audio) -> ChainSettings:
    """Give settings the gains for a clip that is at 0 dBFS peak before and after them."""
    gains = (20 * math.log10(max(np.abs(x).max(), 1e-3)) for x in (before, after))
    input_db, output_db = (GAIN.clip(db) for db in gains)
    return replace(settings, input_gain_db=input_db, output_gain_db=-output_db)


def _maker(corrected: bool):
    def make(condition: Condition, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
        rate, fitting = condition.sample_rate, pool(condition, recordings)
        frames = FRAMES.get(rate, round(131072 * rate / 24000)) + LEAD_IN
        a, b, recording = patches(fitting, stream("styles input", index, seed), frames / rate, rate)
        if condition.mode == "other":
            rng = stream("styles reference", index, seed)
            a, _, _ = patches(others(recording, fitting), rng, frames / rate, rate)
        headroom_db = stream("styles level", index, seed).uniform(3, 9, 2)
        a, b = (to_peak(x, -db) for x, db in zip((a, b), headroom_db, strict=True))
        before, _, name = condition.effect_set.rpartition(">")
        f, about, settings = _style(name, stream("style", name, index, seed), corrected, condition.intensity)
        given, said = b, ""
        if before:
            # A stream of its own, so that neutral>neutral is two draws.
            g, said, _ = _style(before, stream("style before", before, index, seed), corrected, condition.intensity)
            given, said = g(b, rate), f"input: {said}; "
        f_of_b = f(b, rate)
        answer, reference, given = (to_peak(x[LEAD_IN:]) for x in (f_of_b, f(a, rate), given))
        known = _known(settings, b[LEAD_IN:], f_of_b[LEAD_IN:]) if settings and not before else None
        return Pair(given, reference, answer, rate, recording.group, known, f"{said}{name}: {about}")

    return make


EFFECT_SETS = (*STYLES, *OURS, *(f"{before}>{after}" for before, after in product((*STYLES, *OURS), repeat=2)))
GENERATORS = {
    "deepafx_styles": Generator(EFFECT_SETS, _maker(False)),
    "deepafx_styles_corrected": Generator(EFFECT_SETS, _maker(True)),
}
