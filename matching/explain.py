"""What a match knows: of each effect how sure, how much, what it does, and what would bring what stayed undecided."""

from dataclasses import dataclass

import numpy as np

from ..chain import ChainSettings, play_clip
from .choices import Choices
from .equaliser_fit import settings_curve_db
from .model import MatchModel, Prediction
from .words import OUT_OF_RANGE, sentences

POSSIBLE = 0.25
"""An effect that is off but at least this probable stayed undecided."""
FRAME_S = 0.02
PEAKS = 0.95
"""Gain reduction is told at the frames whose level is in the top twentieth."""
LEAST_DB = 0.5
"""Tone that is moved by less is not mentioned."""
ENOUGH_WINDOWS = 2.0
STEADY = 0.1
STEADY_DB = 1.0


@dataclass(frozen=True)
class EffectReport:
    """What a match says of one effect.

    probability: that the reference has it. amount: how much of it is used, 0 is off. does: in words and numbers;
    empty if it is off. hint: what would bring it, if it stayed undecided; empty otherwise.
    """

    effect: str
    probability: float
    amount: float
    does: str
    hint: str


@dataclass(frozen=True)
class Explanation:
    """The report of every effect, and whether the reference is within reach."""

    effects: tuple[EffectReport, ...]
    in_range: bool

    def lines(self) -> list[str]:
        """Write it, an effect a line; one sentence for what each is."""
        said = []
        for e in self.effects:
            if e.amount > 0.0:
                said.append(f"{e.effect:<11}{e.does} (sure to {e.probability:.0%}, used to {e.amount:.0%})")
            elif e.hint:
                said.append(f"{e.effect:<11}undecided ({e.probability:.0%}): {e.hint}")
        if not any(e.amount > 0.0 for e in self.effects):
            said.append("nothing is used: no effect is certain enough" if said else "nothing is used: none is needed")
        return said if self.in_range else [*said, OUT_OF_RANGE]


def explain(
    model: MatchModel,
    prediction: Prediction,
    settings: ChainSettings,
    choices: Choices,
    x: np.ndarray,
    sample_rate: float,
    in_range: bool = True,
) -> Explanation:
    """Explain solved settings that were chosen from a prediction, on an input (frames,) or (frames, channels)."""
    amounts = model.amounts(prediction, choices.boldness)
    reports = []
    for i, effect in enumerate(model.chain.order):
        probability = float(prediction.probability[i])
        playing = any(e.effect == effect and e.enabled for e in settings.effects)
        amount = float(max(amounts[i], model.decision.least)) if playing else 0.0
        does = _does(effect, settings, x, sample_rate, model.sample_rate) if playing else ""
        undecided = not playing and probability >= POSSIBLE and effect not in choices.locked
        hint = _hint(model, prediction, choices, i) if undecided else ""
        reports.append(EffectReport(effect, probability, amount, does, hint))
    return Explanation(tuple(reports), in_range)


def heard_enough(new: Prediction, old: Prediction | None, windows: float, model: MatchModel) -> bool:
    """Tell whether more of the input would hardly change the match: two windows heard, and two looks that agree."""
    if old is None or windows < ENOUGH_WINDOWS:
        return False
    moved = np.abs(model.amounts(new) - model.amounts(old)).max()
    return bool(moved < STEADY and np.abs(new.curve_db - old.curve_db).mean() < STEADY_DB)


def _hint(model: MatchModel, prediction: Prediction, choices: Choices, i: int) -> str:
    """Say what would bring an effect: the least boldness, or its name."""
    effect = model.chain.order[i]
    if not prediction.allowed[i]:
        return f"--only {effect} brings it" if choices.only is not None else "it was left out by --without"
    now = model.decision.boldness if choices.boldness is None else choices.boldness
    for boldness in np.arange(0.05, 1.001, 0.05):
        if boldness > now and model.amounts(prediction, min(float(boldness), 1.0))[i] > 0.0:
            return f"--boldness {boldness:.2g} or --only {effect} brings it"
    return f"--only {effect} brings it"


def _does(effect: str, settings: ChainSettings, x: np.ndarray, sample_rate: float, rate: float) -> str:
    if effect == "equaliser":
        return _tone(settings_curve_db(settings, GRID_HZ, rate)) or "flat"
    plain = next(line for line in sentences(settings) if line.startswith(effect))[11:]
    if effect == "compressor":
        return f"{_reduction_db(settings, x, sample_rate):.0f} dB gain reduction on peaks, {plain}"
    return plain


GRID_HZ = np.geomspace(40.0, 16000.0, 80)


def _tone(curve_db: np.ndarray) -> str:
    """Name the two places where a curve is furthest from its middle: "+4.2 dB around 3 kHz"."""
    away = curve_db - np.median(curve_db)
    named: list[str] = []
    left = np.ones(len(away), bool)
    for _ in range(2):
        place = int(np.argmax(np.abs(away) * left))
        if abs(away[place]) < LEAST_DB:
            break
        hz = GRID_HZ[place]
        where = "below" if place == 0 else "above" if place == len(away) - 1 else "around"
        named.append(f"{away[place]:+.1f} dB {where} " + (f"{hz / 1000:.1f} kHz" if hz >= 1000 else f"{hz:.0f} Hz"))
        left &= np.abs(np.log2(GRID_HZ / hz)) > 1.5
    return ", ".join(named)


def _reduction_db(settings: ChainSettings, x: np.ndarray, sample_rate: float) -> float:
    """Measure how far the compressor turns the loudest frames down."""
    x = x if x.ndim == 1 else x.mean(1)
    place = next(i for i, e in enumerate(settings.effects) if e.effect == "compressor")
    gains = {"input_gain_db": settings.input_gain_db, "output_gain_db": 0.0}
    before, after = (
        play_clip(ChainSettings(settings.effects[:n], **gains), x, sample_rate) for n in (place, place + 1)
    )
    makeup = settings.effect("compressor").values["makeup_db"]
    size = max(1, int(FRAME_S * sample_rate))
    power = [np.square(y[: len(y) // size * size].reshape(-1, size)).mean(1) for y in (before, after)]
    loud = power[0] >= np.quantile(power[0], PEAKS)
    change = 10.0 * np.log10((power[0][loud] + 1e-12) / (power[1][loud] + 1e-12))
    return max(0.0, float(np.median(change)) + makeup)
