"""What there is to write into another program's preset: the effects that play, in order, and impulse responses."""

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...chain import ChainPlayer, ChainSettings, EffectSettings
from ...effects import equaliser
from ...effects.equaliser import Band

EXACT, STATIC, IMPULSE, DROPPED = "exact", "static curve only", "impulse response", "dropped"
"""The grades of fidelity."""
SILENT = 1e-5
"""An impulse response ends where it stays under this part of its peak: -100 dB."""
PATHS = ("LL", "LR", "RL", "RR")
"""From which input to which output, in the order in which they are written."""


@dataclass(frozen=True)
class Fidelity:
    """What became of one effect: its grade, and what there is to know."""

    effect: str
    grade: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.effect}: {self.grade}" + (f" ({self.note})" if self.note else "")


@dataclass
class Export:
    """Files by name, the first of which is the preset itself, and what became of each effect."""

    files: dict[str, bytes] = field(default_factory=dict)
    lines: list[Fidelity] = field(default_factory=list)

    def say(self, effect: str, grade: str, note: str = "") -> None:
        self.lines.append(Fidelity(effect, grade, note))


def played(settings: ChainSettings) -> Iterator[EffectSettings]:
    """Give what is heard, in playing order."""
    yield from (e for e in settings.effects if e.enabled)


def bands(values: Mapping[str, float]) -> list[Band]:
    """Give the equaliser's bands; those at 0 dB do nothing and are left out."""
    return [band for band in equaliser.bands(values) if band.gain_db != 0.0]


def as_compressor(step: EffectSettings) -> Mapping[str, float]:
    """Give the values of a compressor, or those that a limiter would have as one: its ratio is without end."""
    if step.effect != "limiter":
        return step.values
    return {**step.values, "threshold_db": step.values["ceiling_db"], "ratio": math.inf, "makeup_db": 0.0}


def impulse_responses(reverb: EffectSettings, sample_rate: float) -> np.ndarray:
    """Play the reverb for an impulse in each channel; returns (frames, 4), float32: LL, LR, RL, RR.

    The dry sound is in them, so that `mix` needs no counterpart.
    """
    settings, answers = ChainSettings((reverb,)), []
    frames = int((reverb.values["rt60_s"] * 2.0 + 0.3) * sample_rate)
    for channel in range(2):
        x = np.zeros((frames, 2))
        x[0, channel] = 1.0
        answers.append(ChainPlayer(settings, sample_rate).play(x))
    whole = np.concatenate(answers, axis=1)
    heard = np.flatnonzero(np.abs(whole).max(1) > SILENT * np.abs(whole).max())
    return whole[: heard[-1] + 1].astype(np.float32)


def reverb_files(name: str, reverb: EffectSettings, sample_rate: float) -> dict[str, bytes]:
    """Make a WAV file for each of the reverb's PATHS, in their order, by name."""
    responses = impulse_responses(reverb, sample_rate)
    return {f"{name}-{path}.wav": wav(responses[:, i : i + 1], sample_rate) for i, path in enumerate(PATHS)}


def wav(x: np.ndarray, sample_rate: float) -> bytes:
    """Write float32 sound (frames, channels) as a WAV file."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, x, int(sample_rate), subtype="FLOAT", format="WAV")
    return file.getvalue()


def number(value: float) -> str:
    """Write a number without an exponent, and never with exactly three decimals, which some read as thousands."""
    return f"{value:.4f}"
