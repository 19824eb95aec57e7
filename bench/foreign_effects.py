"""Other people's effects for `foreign.py`: how each library's are drawn at random, and how they are played.

A draw gives the words of one effect for a clip at -23 LUFS, moderate to strong. Intensity scales gains in dB,
slopes 1 - 1/ratio, drives in dB and wet shares. Nothing clips but what is meant to, and nothing used here delays.
"""

import math
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from afx_live.chain import CANONICAL
from afx_live.effects import log_uniform
from afx_live.study.pairs.condition import Audio

Random = np.random.Generator
Words = list[str]
Draw = Callable[[Random, float], list[Any]]
HEADROOM_DB = 30.0
"""SoX counts in 32-bit whole numbers: so far under full scale, its equaliser has room for any boost."""
LADSPA = "/usr/lib/ladspa:/usr/local/lib/ladspa"


def _gain_db(rng: Random, intensity: float) -> float:
    """3 to 12 dB up or down."""
    return float(min(24.0, intensity * rng.uniform(3, 12)) * rng.choice([-1, 1]))


def _ratio(rng: Random, intensity: float, most: float = 20.0) -> float:
    """Slopes from 2.5:1 to 12:1."""
    return 1 / (1 - min(1 - 1 / most, intensity * rng.uniform(0.6, 0.917)))


def _bands(rng: Random, intensity: float) -> list[tuple[str, float, float, float]]:
    """A low shelf, three peaks and a high shelf, each with p 0.75 and one at least: name, Hz, dB, Q."""
    places = (("low", 60, 400), ("peak", 150, 900), ("peak", 600, 3000), ("peak", 2000, 8000), ("high", 3000, 10000))
    on = rng.random(5) < 0.75
    on[rng.integers(5)] = True
    drawn = [(name, log_uniform(rng, *hz), _gain_db(rng, intensity), log_uniform(rng, 0.5, 3)) for name, *hz in places]
    return [
        (name, hz, db, q if name == "peak" else 0.7) for (name, hz, db, q), yes in zip(drawn, on, strict=True) if yes
    ]


# --- pedalboard: 32-bit floats, no full scale ------------------------------------------------------


def _pedalboard(name: str, *values: float) -> tuple[str, tuple[float, ...]]:
    return name, tuple(map(float, values))


def _pb_equaliser(rng: Random, intensity: float) -> list[Any]:
    kinds = {"low": "LowShelfFilter", "peak": "PeakFilter", "high": "HighShelfFilter"}
    return [_pedalboard(kinds[name], hz, db, q) for name, hz, db, q in _bands(rng, intensity)]


def _pb_compressor(rng: Random, intensity: float) -> list[Any]:
    threshold_db, ratio = rng.uniform(-50, -24), _ratio(rng, intensity)
    return [_pedalboard("Compressor", threshold_db, ratio, log_uniform(rng, 0.5, 50), log_uniform(rng, 30, 500))]


def _pb_distortion(rng: Random, intensity: float) -> list[Any]:
    hard, drive_db = rng.random() < 1 / 3, rng.uniform(8, 30)
    # Clipping cuts off at a level: as far under a peak of -9 dBFS as the drive would lift it over full scale.
    amount = intensity * drive_db
    return [_pedalboard("Clipping", -9 - 0.7 * amount) if hard else _pedalboard("Distortion", amount)]


def _pb_reverb(rng: Random, intensity: float) -> list[Any]:
    wet = min(1.0, intensity * rng.uniform(0.1, 0.6))
    return [_pedalboard("Reverb", rng.uniform(0.3, 0.95), rng.uniform(0.1, 0.9), wet, 1 - wet / 2, 1.0)]


def _pb_play(stages: list[Any], x: Audio, rate: int) -> Audio:
    try:
        import pedalboard  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise OSError("pedalboard is missing: pip install -r bench/requirements.txt") from None
    board = pedalboard.Pedalboard([getattr(pedalboard, kind)(*values) for kind, values in stages])
    return board(x.astype(np.float32)[None], rate)[0].astype(np.float64)


# --- SoX: 32-bit whole numbers, so all is played 30 dB lower -----------------------------------------


def _sox_equaliser(rng: Random, intensity: float) -> Words:
    words = []
    for name, hz, db, q in _bands(rng, intensity):
        kind = {"low": "bass", "high": "treble"}.get(name)
        words += (
            [kind, f"{db:.4f}", f"{hz:.1f}", f"{q:.4f}q"]
            if kind
            else ["equalizer", f"{hz:.1f}", f"{q:.4f}q", f"{db:.4f}"]
        )
    return words


def _sox_compressor(rng: Random, intensity: float) -> Words:
    threshold_db = rng.uniform(-45, -22) - HEADROOM_DB
    top_db = threshold_db * (1 - 1 / _ratio(rng, intensity))
    times = f"{log_uniform(rng, 0.5, 50) / 1e3:.6f},{log_uniform(rng, 30, 500) / 1e3:.6f}"
    return [
        "compand",
        times,
        f"{rng.uniform(1, 9):.3f}:{threshold_db:.4f},{threshold_db:.4f},0,{top_db:.4f}",
        "0",
        "-90",
    ]


def _sox_distortion(rng: Random, intensity: float) -> Words:
    drive_db, colour = intensity * rng.uniform(12, 30), rng.uniform(0, 60)
    return ["overdrive", f"{HEADROOM_DB + drive_db:.4f}", f"{colour:.3f}", "gain", f"{-HEADROOM_DB / 2:g}"]


def _sox_reverb(rng: Random, intensity: float) -> Words:
    rest = rng.uniform(30, 95), rng.uniform(20, 90), rng.uniform(30, 100), 0, rng.uniform(0, 60)
    wet_db = min(10.0, max(-10.0, rng.uniform(-8, 3) + 20 * math.log10(intensity)))
    return ["gain", "-6", "reverb", *(f"{v:.3f}" for v in rest), f"{wet_db:.3f}"]


def _sox_play(stages: Words, x: Audio, rate: int) -> Audio:
    raw = ["-t", "raw", "-e", "floating-point", "-b", "32", "-c", "1", "-r", str(rate), "-"]
    y = _through(["sox", "-V2", "-D", *raw, *raw, "gain", f"{-HEADROOM_DB:g}", *stages], x)
    return y * 10 ** (HEADROOM_DB / 20)


# --- ffmpeg and LADSPA: floats, no full scale -------------------------------------------------------


def _ff_equaliser(rng: Random, intensity: float) -> Words:
    kinds = {"low": "lowshelf", "peak": "equalizer", "high": "highshelf"}
    return [f"{kinds[name]}=f={hz:.1f}:t=q:w={q:.4f}:g={db:.4f}" for name, hz, db, q in _bands(rng, intensity)]


def _ff_compressor(rng: Random, intensity: float) -> Words:
    threshold, ratio = 10 ** (rng.uniform(-45, -22) / 20), _ratio(rng, intensity)
    times = f"attack={log_uniform(rng, 0.5, 50):.3f}:release={log_uniform(rng, 30, 500):.2f}"
    how = f"knee={rng.uniform(1, 6):.3f}:detection={'rms' if rng.random() < 0.5 else 'peak'}"
    return [f"acompressor=threshold={threshold:.6f}:ratio={ratio:.4f}:{times}:{how}"]


def _ff_distortion(rng: Random, intensity: float) -> Words:
    kind = rng.choice(["hard", "tanh", "atan", "cubic", "alg", "sin", "erf"])
    return [f"volume={intensity * rng.uniform(12, 30):.4f}dB", f"asoftclip=type={kind}"]


def _ff_reverb(rng: Random, intensity: float) -> Words:
    """Ffmpeg has no reverb: its convolver, and a room of its noise that dies away."""
    rt60_s, dull_hz, delay_ms = log_uniform(rng, 0.4, 2.5), log_uniform(rng, 2000, 9000), rng.uniform(1, 40)
    loud = f"sqrt({3 * 13.8 / rt60_s:.4f}/RATE)"  # as loud as the dry sound where the room isn't dull
    dying = f"volume='{loud}*exp(-6.9078*t/{rt60_s:.4f})':eval=frame,lowpass=f={dull_hz:.1f},adelay={delay_ms:.2f}"
    room = f"anoisesrc=d={rt60_s:.3f}:seed={rng.integers(1 << 31)}:r=RATE:n=256,{dying},aformat=sample_fmts=fltp[room]"
    convolved = f"{room};asplit[dry][sent];[sent][room]afir=gtype=none[wet]"
    wet = intensity * rng.uniform(0.2, 0.9)
    return [f"{convolved};[dry][wet]amix=inputs=2:duration=first:weights=1 {wet:.4f}:normalize=0"]


def _la_equaliser(rng: Random, intensity: float) -> Words:
    """T. Szilagyi's equaliser: eight peaks, of which the highest stays at 0 dB; widths in octaves."""
    places = ((40, 280), (100, 500), (200, 1000), (400, 2800), (1000, 5000), (3000, 9000), (6000, 10000))
    on = rng.random(7) < 0.6
    on[rng.integers(7)] = True
    gains = [min(20.0, _gain_db(rng, intensity)) * float(yes) for yes in on]
    hz, octaves = [log_uniform(rng, *place) for place in places], [log_uniform(rng, 0.5, 2.5) for _ in places]
    return [_ladspa("tap_eqbw", "tap_equalizer_bw", *gains, 0.0, *hz, 10000.0, *octaves, 1.0)]


def _la_compressor(rng: Random, intensity: float) -> Words:
    """S. Harris' SC4; its threshold ends at -30 dB, so the clip comes 12 dB up to it and goes down again."""
    values = (
        rng.uniform(0, 1),
        log_uniform(rng, 1.5, 50),
        log_uniform(rng, 30, 500),
        rng.uniform(-30, -10),
        _ratio(rng, intensity),
    )
    return ["volume=12dB", _ladspa("sc4m_1916", "sc4m", *values, rng.uniform(1, 9), 0.0), "volume=-12dB"]


def _la_distortion(rng: Random, intensity: float) -> Words:
    """T. Szilagyi's sigmoid or tube."""
    drive_db, blend, which = intensity * rng.uniform(8, 28), rng.uniform(-10, 10), rng.random()
    if which < 0.6:
        return [
            f"volume={max(0.0, drive_db - 20):.4f}dB",
            _ladspa("tap_sigmoid", "tap_sigmoid", min(20.0, drive_db), 0.0),
        ]
    return [
        f"volume={drive_db / 2:.4f}dB",
        _ladspa("tap_tubewarmth", "tap_tubewarmth", min(10.0, drive_db / 2.8), blend),
    ]


def _la_reverb(rng: Random, intensity: float) -> Words:
    """S. Harris' plate; its left channel."""
    values = log_uniform(rng, 0.5, 6), rng.uniform(0.1, 0.8), min(1.0, intensity * rng.uniform(0.1, 0.5))
    return [_ladspa("plate_1423", "plate", *values), "pan=mono|c0=c0"]


def _ladspa(file: str, plugin: str, *values: float) -> str:
    said = "|".join(f"c{i}={v:.6f}" for i, v in enumerate(values))
    return f"ladspa=file={file}:plugin={plugin}:controls={said}"


def _ff_play(stages: Words, x: Audio, rate: int) -> Audio:
    raw = ["-f", "f32le", "-ar", str(rate), "-ac", "1"]
    words = [stage.replace("RATE", str(rate)) for stage in stages]
    quiet = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-filter_threads", "1"]
    command = [
        *quiet,
        "-filter_complex_threads",
        "1",
        *raw,
        "-i",
        "pipe:0",
        "-filter_complex",
        _graph(words),
        "-map",
        "[out]",
    ]
    return _through([*command, *raw, "pipe:1"], x, {**os.environ, "LADSPA_PATH": os.environ.get("LADSPA_PATH", LADSPA)})


def _graph(stages: Words) -> str:
    """Chain filters; a stage may be a graph of its own, whose first part stands by itself."""
    text, source = "", "[0:a]"
    for i, stage in enumerate(stages):
        *aside, main = stage.split(";", 1) if stage.startswith("anoisesrc") else (stage,)
        target = "[out]" if i == len(stages) - 1 else f"[s{i}]"
        text += "".join(f"{part};" for part in aside) + f"{source}{main}{target};"
        source = target
    return text.rstrip(";")


def _through(command: Sequence[str], x: Audio, env: dict[str, str] | None = None) -> Audio:
    """Send a clip through a program; as long as it was. OSError where the program is missing, complains or clips."""
    if shutil.which(command[0]) is None:
        raise OSError(f"{command[0]} is missing; Debian: apt-get install {command[0]}")
    done = subprocess.run(command, input=x.astype("<f4").tobytes(), capture_output=True, env=env)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode or said:
        hint = "; Debian: apt-get install swh-plugins tap-plugins" if "ladspa" in said.lower() else ""
        raise OSError(f"{' '.join(command)}: {said or done.returncode}{hint}")
    y = np.frombuffer(done.stdout, "<f4").astype(np.float64)[: len(x)]
    return np.pad(y, (0, len(x) - len(y)))


# --- all of them -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Library:
    """How effects of each of our kinds are drawn, and how the words of several are played on a clip."""

    draw: dict[str, Draw]
    play: Callable[[list[Any], Audio, int], Audio]


def _library(play: Callable[[list[Any], Audio, int], Audio], *draws: Draw) -> Library:
    return Library(dict(zip(CANONICAL, draws, strict=True)), play)


LIBRARIES = {
    "pedalboard": _library(_pb_play, _pb_equaliser, _pb_compressor, _pb_distortion, _pb_reverb),
    "sox": _library(_sox_play, _sox_equaliser, _sox_compressor, _sox_distortion, _sox_reverb),
    "ffmpeg": _library(_ff_play, _ff_equaliser, _ff_compressor, _ff_distortion, _ff_reverb),
    "ladspa": _library(_ff_play, _la_equaliser, _la_compressor, _la_distortion, _la_reverb),
}
