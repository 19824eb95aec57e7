"""DeepAFx-ST's own training pairs, rebuilt: a clip corrupted for the input, equalised and compressed for the target.

C. J. Steinmetz, N. J. Bryan, J. D. Reiss, Style Transfer of Audio Effects with Differentiable Signal
Processing, JAES 70(9), 2022, and the authors' published program: its numbers are used here, none of its code
is. Effects are SoX' (Debian: sox), run as a program, at most one call for each side of a pair.

A clip of twice 131072 frames at 24 kHz (262144 at 44.1 kHz; at other rates as long as at 24 kHz) at -12 dBFS
peak; half of them shifted by up to 200 cents and in tempo by up to 20 %. Input: random equaliser (p 0.75),
-12 dBFS peak, expander (p 0.10). Target: another equaliser (p 0.75), compressor (p 0.75). Both are faded and
brought to a peak of -12 dBFS; one half is input and answer, the target's other half is the reference.

"deepafx" is as published, including what looks unintended: the target meets its compressor at whatever level the
equaliser left, clipped at full scale; levels of input and target never differ; the last recording is never
drawn; fades last 1102 frames at any rate; after a faster tempo the end is filled with silence.
"deepafx_corrected" brings the target to -12 dBFS before the compressor, turns the input down by 0 to 12 dB (a
range of ours), draws every recording, fades for 50 ms, and reads as much as a faster tempo needs.

Our additions: recordings shorter than the clip (the authors leave them out) have their halves repeated;
intensity scales gains in dB and slopes 1 - 1/ratio of both sides; mode "other" sends another
recording through the target's effects. The random generator is another one, so no pair is identical to theirs.
"""

import math
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...training.recordings import Recording
from .condition import Audio, Condition, Pair
from .sources import Generator, crop, others, pool, stream, take

PEAK = 10 ** (-12 / 20)
MIN_POWER = 1e-5
"""Mean square that both halves of a clip exceed on disk, if a recording offers such a place."""
FRAMES = {44100: 262144, 48000: 262144}
MAX_SLOPE = 0.98
MAX_GAIN_DB = 60.0


class NoSox(OSError):
    """SoX is not installed."""


def sox(x: Audio, rate: int, effects: Sequence[str]) -> Audio:
    """Play a clip through SoX' effects in one process, 32-bit samples; without effects there is no process.

    effects: words of SoX' command line. What exceeds full scale is clipped. The length may change. Raises NoSox
    if SoX is missing, ValueError with SoX' message if it fails.
    """
    if not effects:
        return x
    if shutil.which("sox") is None:
        raise NoSox("sox is missing: DeepAFx-ST's pairs are made with it. Debian: apt-get install sox")
    raw = ["-t", "raw", "-e", "floating-point", "-b", "32", "-c", "1", "-r", str(rate), "-"]
    done = subprocess.run(
        ["sox", "-V1", "-D", *raw, *raw, *effects], input=x.astype("<f4").tobytes(), capture_output=True
    )
    if done.returncode:
        raise ValueError(f"sox {' '.join(effects)}: {done.stderr.decode(errors='replace').strip()}")
    return np.frombuffer(done.stdout, "<f4").astype(np.float64)


def normalised(x: Audio) -> Audio:
    """Bring a clip to a peak of -12 dBFS; silence is left alone."""
    peak = np.abs(x).max()
    return x * (PEAK / peak) if peak > 0 else x


# --- what is drawn ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class SideEffects:
    """The effects of one side in SoX' words: an equaliser, and a compressor or expander; either may be empty."""

    equaliser: tuple[str, ...]
    dynamics: tuple[str, ...]


def draw_equaliser(rng: np.random.Generator, rate: int, intensity: float = 1.0) -> tuple[str, ...]:
    """Draw up to four peaks and two shelves, as SoX' words.

    A peak that brings the sum of the signed gains so far to 24 dB or more is left out, but stays in the sum.
    """
    top = int(rate // 2 * 0.9)
    words: list[str] = []
    total_db = 0.0
    for low, high in ((200, 2000), (800, 4000), (2000, 8000), (4000, top)):
        on, place, q, gain_db, up = rng.random(5)
        if on < 0.2:
            continue
        gain_db = 48.0 * gain_db * (1 if up < 0.5 else -1)
        total_db += gain_db
        if abs(total_db) < 24.0:
            words += [
                "equalizer",
                str(int(low + place * (high - low))),
                f"{0.1 + 10 * q:.5f}q",
                _db(gain_db, intensity),
            ]
    for name, low, high in (("bass", 20, 200), ("treble", 4000, top)):
        on, place, gain_db, up = rng.random(4)
        if on >= 0.2:
            gain_db = 24.0 * gain_db * (1 if up < 0.5 else -1)
            words += [name, _db(gain_db, intensity), str(int(low + place * (high - low)))]
    return tuple(words)


def _db(gain_db: float, intensity: float) -> str:
    return f"{min(max(intensity * gain_db, -MAX_GAIN_DB), MAX_GAIN_DB):.5f}"


def _ratio(drawn: float, intensity: float) -> float:
    return 1 / (1 - min(MAX_SLOPE, intensity * (1 - 1 / drawn)))


def draw_compressor(rng: np.random.Generator, intensity: float = 1.0) -> tuple[str, ...]:
    """Draw a compressor as SoX' words; its look-ahead is its attack time."""
    attack_s, release_s, knee_db, threshold_db, ratio, makeup_db = rng.random(6) * (0.05, 0.2, 12, 52, 10, 6)
    attack_s, threshold_db = 0.0005 + attack_s, -12 - threshold_db
    top_db = threshold_db * (1 - 1 / _ratio(1 + ratio, intensity))  # what full scale comes out at
    curve = f"{knee_db:.5f}:-100,{threshold_db:.5f},{threshold_db:.5f},0,{top_db:.5f}"  # -100 dB has no partner
    times = f"{attack_s:.6f},{attack_s + release_s:.6f}"
    return ("compand", times, curve, _db(makeup_db, intensity), "-100", f"{attack_s:.6f}")


def draw_expander(rng: np.random.Generator, intensity: float = 1.0) -> tuple[str, ...]:
    """Draw a downward expander as SoX' words."""
    attack_s, release_s, knee_db, threshold_db, ratio, makeup_db = rng.random(6) * (0.05, 0.2, 12, 20, 4, 6)
    attack_s, threshold_db = 0.001 + attack_s, -10 - threshold_db
    bottom_db = threshold_db - (100 + threshold_db) / _ratio(1 + ratio, intensity)  # what comes out at -100 dB
    curve = f"{knee_db:.5f}:{bottom_db:.5f},-100,{threshold_db:.5f},{threshold_db:.5f}"
    return ("compand", f"{attack_s:.6f},{attack_s + release_s:.6f}", curve, _db(makeup_db, intensity), "-100")


def draw_side(rng: np.random.Generator, rate: int, target: bool, intensity: float = 1.0) -> SideEffects:
    """Draw the effects of an input (rarely expanded) or of a target (mostly compressed)."""
    equalised, moved = rng.random(2)
    equaliser = draw_equaliser(rng, rate, intensity)
    dynamics = (draw_compressor if target else draw_expander)(rng, intensity)
    on = intensity > 0
    return SideEffects(
        equaliser if on and equalised < 0.75 else (), dynamics if on and moved < (0.75 if target else 0.10) else ()
    )


def shaped(x: Audio, rate: int, effects: SideEffects, levelled: bool) -> Audio:
    """Play one side; between equaliser and dynamics the clip is brought to -12 dBFS (`levelled`) or left as it is.

    Equalised at -48 dB, as published, so that nothing is clipped before it reaches the compressor.
    """
    words = [*(("gain", "-48", *effects.equaliser) if effects.equaliser else ())]
    if effects.dynamics and levelled:
        words += ["gain", "-n", "-12"]
    elif effects.equaliser:
        words += ["gain", "48"] if effects.dynamics else ["gain", "-n", "-12"]
    return sox(x, rate, [*words, *effects.dynamics])


# --- pairs -----------------------------------------------------------------------------------------


def clip_of(fitting: Sequence[Recording], rng: np.random.Generator, frames: int, rate: int) -> tuple[Audio, Recording]:
    """Draw a recording and a stretch of `frames` with sound in both halves; as on disk."""
    long = [r for r in fitting if r.seconds >= frames / rate]
    for _ in range(20 if long else 0):
        recording = long[int(rng.integers(len(long)))]
        x = crop(recording, rng, frames, rate)
        if x is not None and min(np.mean(np.square(half)) for half in np.split(x, 2)) > MIN_POWER:
            return x, recording
    a, b, recording = take(fitting, rng, frames / 2 / rate, rate)
    return np.concatenate([a, b]), recording


def _clip(
    fitting: Sequence[Recording], rng: np.random.Generator, frames: int, rate: int, corrected: bool
) -> tuple[Audio, Recording]:
    """Draw a clip at -12 dBFS, sometimes shifted in pitch and tempo; shorter by that, or longer, than `frames`."""
    shift, cents, tempo = rng.random(3) * (1, 400, 0.4) + (0, -200, 0.8)
    needed = 2 * math.ceil(frames / 2 * max(1.0, tempo)) if corrected and shift < 0.5 else frames
    x, recording = clip_of(fitting, rng, needed, rate)
    words = ("pitch", f"{cents:.3f}", "tempo", f"{tempo:.5f}") if shift < 0.5 else ()
    return sox(normalised(x), rate, words), recording


def finished(x: Audio, frames: int, fade: int) -> Audio:
    """Cut or fill up with silence, fade in and out, bring to -12 dBFS."""
    x = np.pad(x[:frames], (0, max(0, frames - len(x))))
    ramp = np.linspace(0.0, 1.0, fade)
    x[:fade] *= ramp
    x[-fade:] *= ramp[::-1]
    return normalised(x)


def _maker(corrected: bool):
    def make(condition: Condition, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
        rate = condition.sample_rate
        half = FRAMES.get(rate, round(131072 * rate / 24000))
        fade = round(0.05 * rate) if corrected else 1102
        fitting = pool(condition, recordings)
        drawn = fitting if corrected or len(fitting) == 1 else fitting[:-1]
        x, recording = _clip(drawn, stream("paper clip", index, seed), 2 * half, rate, corrected)
        rng = stream("paper", index, seed)
        corrupted = draw_side(rng, rate, target=False, intensity=condition.intensity)
        wanted = draw_side(rng, rate, target=True, intensity=condition.intensity)
        second, down_db = rng.random(2) * (1, -12)
        target = finished(shaped(x, rate, wanted, corrected), 2 * half, fade)
        given = finished(shaped(x, rate, corrupted, True), 2 * half, fade)
        if corrected:
            given = given * 10 ** (down_db * min(1.0, condition.intensity) / 20)
        if condition.mode == "other":
            rng = stream("paper reference", index, seed)
            x, _ = _clip(others(recording, fitting), rng, 2 * half, rate, corrected)
            elsewhere = finished(shaped(x, rate, wanted, corrected), 2 * half, fade)
        else:
            elsewhere = target
        ours, theirs = (slice(half), slice(half, None)) if second < 0.5 else (slice(half, None), slice(half))
        about = f"input: {_description(corrupted)}; target: {_description(wanted)}"
        return Pair(given[ours], elsewhere[theirs], target[ours], rate, recording.group, None, about)

    return make


def _description(effects: SideEffects) -> str:
    return " ".join((*effects.equaliser, *effects.dynamics)) or "nothing"


EFFECT_SETS = ("equaliser+compressor",)
GENERATORS = {
    "deepafx": Generator(EFFECT_SETS, _maker(False)),
    "deepafx_corrected": Generator(EFFECT_SETS, _maker(True)),
}
