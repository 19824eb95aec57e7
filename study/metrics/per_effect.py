"""How far each effect is from the truth: tone in dB, gain reduction, distortion, decay, responses of settings.

`result` is a system's output for `input`, `truth` the right answer: mono, shape (frames,), full scale 1, of
one length, otherwise ValueError. A function returns None where it does not apply: nothing is compressed,
distorted or reverberant in the truth. Where both chains are known, the same is measured on the settings
themselves, independently of the recording.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ...chain import ChainParameters, ChainPlayer, ChainSettings, EffectSettings
from ...dsp.loudness import integrated_loudness
from ...dsp.spectrum import PAUSE_DB, frame_powers, third_octaves, triangles
from ...effects import load
from .audio import MATCHED_LUFS, Audio, matched, memoised, mono
from .spectrum import filtered, minimum_phase_fir

AUDIBLE_DB = 60.0
"""Bands this far below the input's loudest one do not count."""
ENVELOPE_S = 0.02
COMPRESSED_DB = 0.5
"""A gain that moves less than this (standard deviation) is not compression."""
THD_LEVELS_DB = (-36.0, -24.0, -12.0)
THD_HZ = 500.0
HARMONICS = 10
CLEAN_DB = -60.0
"""Distortion below this share of the sound counts as none."""
LATE_S = 0.03
"""Decay is measured from here on, after direct sound and early reflections."""
LATE_DB = -40.0
"""Late sound this far below the whole response counts as none."""
CLEAR_DB = 15.0
"""Decay is measured if it starts at least this far above the noise at the response's end."""
DECAYS_S = np.geomspace(0.1, 8.0, 40)
OCTAVES_HZ = 125.0 * 2.0 ** np.arange(7)
HOP_S, UPDATES = 0.02, 30
EXPLAINED, CLEAR = 0.33, 0.02
DRY_S = 0.1
"""A shorter decay is not reverb."""


def _triple(*clips: ArrayLike) -> list[Audio]:
    sounds = [mono(x) for x in clips]
    if len({len(x) for x in sounds}) > 1:
        raise ValueError(f"the clips have {', '.join(str(len(x)) for x in sounds)} frames; one length is needed")
    return sounds


# --- tone -----------------------------------------------------------------------------------------


@memoised
def transfer_curve(y: ArrayLike, x: ArrayLike, sample_rate: float) -> tuple[Audio, Audio, Audio]:
    """Return third-octave centres in Hz, the gain from x to y in dB, and weights with mean 1: all (bands,).

    Powers of frames of 200 ms (hop 100, Hann) in which x is active, summed; a band is a triangle that reaches to
    its neighbours' centres. Bands in which x is 60 dB below its loudest band weigh 0: they hold noise.
    """
    y, x = _triple(y, x)
    (hz, ours), (_, theirs) = (frame_powers(s, sample_rate) for s in (y, x))
    active = _active(theirs.sum(1))
    centre = third_octaves(40.0, min(16000.0, 0.9 * sample_rate / 2))
    bands = triangles(hz, centre)
    ours, theirs = (power[active].sum(0) @ bands for power in (ours, theirs))
    weights = (theirs >= theirs.max() * 10 ** (-AUDIBLE_DB / 10)).astype(float)
    return centre, 10 * np.log10((ours + 1e-20) / (theirs + 1e-20)), weights / weights.mean()


def _frames(x: Audio, size: int, hop: int) -> Audio:
    return sliding_window_view(np.pad(x, (0, max(0, size - len(x)))), size)[::hop]


def _active(power: Audio) -> NDArray[np.bool_]:
    return power >= np.percentile(power, 95) * 10 ** (-PAUSE_DB / 10)


def eq_curve_error_db(result: ArrayLike, truth: ArrayLike, input: ArrayLike, sample_rate: float) -> float:
    """Measure the mean difference of the gains that result and truth give each third of an octave, in dB.

    All are brought to one loudness first. See `transfer_curve` for bands and weights.
    """
    result, truth, x = (matched(s, sample_rate) for s in _triple(result, truth, input))
    _, ours, weights = transfer_curve(result, x, sample_rate)
    _, theirs, _ = transfer_curve(truth, x, sample_rate)
    return float(np.mean(weights * np.abs(ours - theirs)))


# --- dynamics -------------------------------------------------------------------------------------


@memoised
def gain_reduction(y: ArrayLike, x: ArrayLike, sample_rate: float) -> tuple[Audio, NDArray[np.bool_]]:
    """Return the gain from x to y in dB in frames of 20 ms, and whether x is active there: both (frames,).

    x first gets y's tone (a minimum-phase filter of `transfer_curve`), so that an equaliser, which raises some
    notes and lowers others, does not look like a moving gain.
    """
    y, x = _triple(y, x)
    hz, curve_db, weights = transfer_curve(y, x, sample_rate)
    audible = weights > 0
    fir = minimum_phase_fir(hz[audible], np.clip(curve_db[audible], -60.0, 60.0), sample_rate)
    toned = filtered(x, fir)
    frame = round(ENVELOPE_S * sample_rate)
    ours, theirs = (np.square(_frames(s, frame, frame)).mean(1) for s in (y, toned))
    return 10 * np.log10((ours + 1e-12) / (theirs + 1e-12)), _active(theirs)


def gain_reduction_correlation(
    result: ArrayLike, truth: ArrayLike, input: ArrayLike, sample_rate: float
) -> float | None:
    """Correlate the gains over time of result and truth, -1 to 1; None where the truth's gain does not move.

    A result whose gain does not move scores 0.
    """
    result, truth, x = _triple(result, truth, input)
    theirs, active = gain_reduction(truth, x, sample_rate)
    ours, _ = gain_reduction(result, x, sample_rate)
    ours, theirs = ours[active], theirs[active]
    if theirs.std() < COMPRESSED_DB:
        return None
    if ours.std() < 0.5 * COMPRESSED_DB:
        return 0.0
    return float(np.corrcoef(ours, theirs)[0, 1])


# --- distortion -----------------------------------------------------------------------------------


def thd_db(settings: ChainSettings, sample_rate: float, level_db: float) -> float:
    """Measure a chain's total harmonic distortion of a sine in dB: harmonics 2 to 10 over the fundamental.

    The sine of 500 Hz has its peak at `level_db` dBFS when it comes into the chain. Reverb is left
    out: it is linear, and its comb would weight harmonics at random. At least -120.
    """
    steps = tuple(s for s in settings.effects if s.effect != "reverb")
    dry = ChainSettings(steps, settings.input_gain_db, settings.output_gain_db)
    frames = round(sample_rate)
    x = 10 ** (level_db / 20) * np.sin(2 * np.pi * THD_HZ / sample_rate * np.arange(frames))
    return harmonic_share_db(ChainPlayer(dry, sample_rate, 1).play(x[:, None])[frames // 2 :, 0], sample_rate)


def harmonic_share_db(y: Audio, sample_rate: float, hz: float = THD_HZ) -> float:
    """Return the power of harmonics 2 to 10 over that of the fundamental of y, whole periods of hz, in dB."""
    bins = np.arange(1, HARMONICS + 1) * round(hz * len(y) / sample_rate)
    power = np.square(np.abs(np.fft.rfft(y)))[bins[bins < len(y) // 2]]
    return float(10 * np.log10(power[1:].sum() / max(power[0], 1e-30) + 1e-12))


def thd_error_db(ours: ChainSettings, theirs: ChainSettings, sample_rate: float) -> float | None:
    """Compare two chains' THD in dB, the mean over three levels; None where neither distorts.

    Shares below -60 dB count as -60.
    """
    pairs = [[max(thd_db(s, sample_rate, at), CLEAN_DB) for s in (ours, theirs)] for at in THD_LEVELS_DB]
    if np.max(pairs) <= CLEAN_DB:
        return None
    return float(np.mean([abs(a - b) for a, b in pairs]))


@memoised
def nonlinear_share_db(y: ArrayLike, x: ArrayLike, sample_rate: float) -> float:
    """Return the share of y's power that no linear filter can make of x, in dB, from -60 to 0.

    It is the mean of 1 - coherence, weighted by y's spectrum, over frames of 43 ms (hop a quarter,
    Hann) in which x is active. Echoes later than a frame and moving gains count as well: where chains are
    known, use `thd_error_db`. J. M. Kates, K. H. Arehart, Coherence and the speech intelligibility
    index, JASA 117(4), 2005.
    """
    y, x = _triple(y, x)
    size = 2 * round(0.0215 * sample_rate)
    ours, theirs = (np.fft.rfft(_frames(s, size, size // 4) * np.hanning(size)) for s in (y, x))
    active = _active(np.square(np.abs(theirs)).sum(1))
    ours, theirs = ours[active], theirs[active]
    p, q = np.square(np.abs(ours)).sum(0), np.square(np.abs(theirs)).sum(0)
    explained = np.square(np.abs((ours * theirs.conj()).sum(0))) / (q + 1e-20)
    share = max(p.sum() - explained.sum(), 0.0) / (p.sum() + 1e-20)
    return float(10 * np.log10(max(share, 10 ** (CLEAN_DB / 10))))


def nonlinear_error_db(result: ArrayLike, truth: ArrayLike, input: ArrayLike, sample_rate: float) -> float:
    """Compare the non-linear shares of result and truth, in dB."""
    ours, theirs = (nonlinear_share_db(y, input, sample_rate) for y in (result, truth))
    return abs(ours - theirs)


# --- decay ----------------------------------------------------------------------------------------


def rt60(response: Audio, sample_rate: float) -> float:
    """Measure the time in s in which an impulse response decays by 60 dB; 0 where there is no late sound.

    Schroeder's backward integration from 30 ms after the peak on, the straight line through -5 to
    -25 dB (ISO 3382-1's T20), noise at the end subtracted. M. R. Schroeder, New Method of Measuring
    Reverberation Time, JASA 37, 1965.
    """
    response = mono(response)
    whole = float(np.square(response).sum())
    late = np.square(response[int(np.argmax(np.abs(response))) + round(LATE_S * sample_rate) :])
    if whole <= 0 or len(late) < 0.1 * sample_rate:
        return 0.0
    noise = late[-len(late) // 10 :].mean()
    frame = round(0.01 * sample_rate)
    envelope = late[: len(late) // frame * frame].reshape(-1, frame).mean(1)
    quiet = np.flatnonzero(envelope < 2 * noise)
    end = int(quiet[0]) * frame if len(quiet) else len(late)
    decay = np.cumsum((late[:end] - noise)[::-1])[::-1] if end else np.zeros(1)
    if decay[0] < whole * 10 ** (LATE_DB / 10) or envelope[:5].mean() < noise * 10 ** (CLEAR_DB / 10):
        return 0.0
    level = 10 * np.log10(np.maximum(decay / decay[0], 1e-12))
    first, last = (int(np.argmax(level <= at)) if level.min() <= at else len(level) - 1 for at in (-5.0, -25.0))
    if last - first < 0.005 * sample_rate:
        return 0.0
    slope = np.polyfit(np.arange(first, last) / sample_rate, level[first:last], 1)[0]
    return float(np.clip(-60.0 / slope, 0.0, 20.0)) if slope < 0 else 20.0


@memoised
def blind_rt60(y: ArrayLike, x: ArrayLike, sample_rate: float) -> float:
    """Estimate the decay time in s of the reverb in y, a clip made from x; 0 where none is found.

    In octave bands, y's power over time is modelled as a direct share of x's plus a decaying one (both at least
    0); the estimate is the decay time that fits best, all bands together. Powers add in a late field
    (J. D. Polack, La transmission de l'energie sonore dans les salles, 1988), so neither phases nor early
    echoes matter. Reverb must explain a third of what the direct share leaves: behind a strong compressor or
    distortion, which change powers too, none is found.
    """
    y, x = _triple(y, x)
    ours, (theirs, *rung) = _band_powers(y, sample_rate), _decays(x, sample_rate)
    floor = 1e-4 * ours.max(1, keepdims=True) + 1e-20
    direct = _misfit(ours + floor, theirs, np.zeros_like(theirs) + floor)
    left = [_misfit(ours + floor, theirs, late + floor) for late in rung]
    best = int(np.argmin(left))
    return float(DECAYS_S[best]) if left[best] < (1.0 - EXPLAINED) * direct and direct > CLEAR else 0.0


@memoised
def _decays(x: Audio, sample_rate: float) -> list[Audio]:
    """Return a clip's powers in octave bands, and the same powers decaying by each of DECAYS_S."""
    power = _band_powers(x, sample_rate)
    return [power, *(_decaying(power, float(s)) for s in DECAYS_S)]


def _band_powers(x: Audio, sample_rate: float) -> Audio:
    """Return powers of octave bands over time, (bands, frames): frames of 40 ms, hop 20 ms."""
    hop = round(HOP_S * sample_rate)
    power = np.square(np.abs(np.fft.rfft(_frames(x, 2 * hop, hop) * np.hanning(2 * hop))))
    hz = np.fft.rfftfreq(2 * hop, 1 / sample_rate)
    edges = OCTAVES_HZ[OCTAVES_HZ * 2 < sample_rate]
    return np.stack([power[:, (hz >= low) & (hz < 2 * low)].sum(1) for low in edges])


def _decaying(power: Audio, rt60_s: float) -> Audio:
    """Let powers (bands, frames) decay from the next frame on, with unit total gain."""
    fall, rung = 10 ** (-6 * HOP_S / rt60_s), np.zeros_like(power)
    for n in range(1, power.shape[1]):
        rung[:, n] = fall * rung[:, n - 1] + (1 - fall) * power[:, n - 1]
    return rung


def _misfit(ours: Audio, direct: Audio, late: Audio) -> float:
    """Fit direct and late shares, at least 0, in each band by multiplicative updates; return the mean deviance.

    It is the Itakura-Saito divergence: the likelihood of powers that are exponentially distributed around the
    model, as those of noise and of interfering echoes are.
    """
    a = 0.5 * ours.mean(1, keepdims=True) / (direct.mean(1, keepdims=True) + 1e-30)
    b = 0.5 * ours.mean(1, keepdims=True) / (late.mean(1, keepdims=True) + 1e-30)
    for _ in range(UPDATES):
        model = a * direct + b * late + 1e-30
        a = a * np.sqrt((direct * ours / model**2).sum(1, keepdims=True) / (direct / model).sum(1, keepdims=True))
        b = b * np.sqrt((late * ours / model**2).sum(1, keepdims=True) / (late / model).sum(1, keepdims=True))
    ratio = ours / (a * direct + b * late + 1e-30)
    return float(np.mean(ratio - np.log(ratio) - 1.0))


def chain_rt60(settings: ChainSettings, sample_rate: float) -> float:
    """Measure the decay of a chain's reverb in s, from its own impulse response; 0 without reverb."""
    steps = tuple(s for s in settings.effects if s.effect == "reverb" and s.enabled and s.values["mix"] > 0)
    if not steps:
        return 0.0
    wet = EffectSettings("reverb", {**steps[0].values, "mix": 1.0})  # the same room without the direct sound
    x = np.zeros((round(sample_rate * (2.0 * wet.values["rt60_s"] + 0.5)), 1))
    x[0] = 1.0
    return rt60(ChainPlayer(ChainSettings((wet,)), sample_rate, 1).play(x)[:, 0], sample_rate)


def rt60_share(ours_s: float, theirs_s: float) -> float | None:
    """Return the error of a decay time relative to the true one: 1 for no reverb at all; None where there is none."""
    return None if theirs_s < DRY_S else abs(ours_s - theirs_s) / theirs_s


# --- settings -------------------------------------------------------------------------------------


def response_errors(ours: ChainSettings, theirs: ChainSettings, x: ArrayLike, sample_rate: float) -> dict[str, float]:
    """Compare the responses of two chains' effects, effect by effect, in the units of `training.response_losses`.

    x is the input. An effect that one chain lacks is taken as the other's at amount 0; one that neither has
    enabled is left out. Levels are relative to the loudness after the equaliser, so that a threshold of -20 dB
    at -23 LUFS equals one of -14 dB at -17 LUFS.
    """
    import torch

    from ...training.response_losses import errors

    found = {}
    raised = [_raised_db(s, mono(x), sample_rate) for s in (ours, theirs)]
    for effect in dict.fromkeys(s.effect for s in (*ours.effects, *theirs.effects)):
        steps = [next((s for s in side.effects if s.effect == effect and s.enabled), None) for side in (ours, theirs)]
        if steps == [None, None]:
            continue
        known = next(s for s in steps if s is not None)
        rows = [_row(s or known.scaled(0.0), by) for s, by in zip(steps, raised, strict=True)]
        p, t = (torch.tensor([row], dtype=torch.float64) for row in rows)
        found[effect] = float(errors(ChainParameters((effect,)), p, t)[0, 0])
    return found


def _raised_db(settings: ChainSettings, x: Audio, sample_rate: float) -> float:
    """Return how far above -23 LUFS the sound is that enters the first effect that is not linear."""
    y = ChainPlayer(ChainSettings(settings.linear_front, settings.input_gain_db), sample_rate, 1).play(x[:, None])
    loudness = integrated_loudness(y, sample_rate)
    return loudness - MATCHED_LUFS if np.isfinite(loudness) else 0.0


def _row(step: EffectSettings, raised_db: float) -> list[float]:
    effect = load(step.effect)
    return [step.values[p.name] - raised_db * effect.follows_level.get(p.name, 0.0) for p in effect.params]
