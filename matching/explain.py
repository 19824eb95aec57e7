"""What a match knows: of each effect how sure, how much, what it does, and what would bring what stayed undecided."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..chain import ChainSettings, play_clip
from ..dsp.units import in_hz
from .choices import Choices
from .equaliser_fit import settings_curve_db
from .model import MatchModel, Prediction
from .tone import tone_share
from .words import OUT_OF_RANGE, sentences

POSSIBLE = 0.25
"""An effect that is off but at least this probable stayed undecided."""
FRAME_S = 0.02
PEAKS = 0.95
"""Gain reduction is told at the frames whose level is in the top twentieth."""
LEAST_DB = 0.5
"""Tone that is moved by less is not mentioned."""
ENOUGH_WINDOWS = 2.0
LEFT_OUT = "nothing is used: what the reference may have is left out"
STEADY = 0.1
STEADY_DB = 1.0


@dataclass(frozen=True)
class EffectReport:
    """What a match says of one effect.

    probability: that the reference has it. amount: how much of it is used, 0 is off. does: in words and numbers; empty
    if it is off. why: of an effect that the match did not decide, or did not use: "locked", "by hand", "left out",
    "undecided", "not heard"; empty for one that is used. boldness: the least that would bring what is undecided; None
    if none would. hint: the same as flags.
    """

    effect: str
    probability: float
    amount: float
    does: str
    why: str = ""
    boldness: float | None = None
    hint: str = ""

    @property
    def says(self) -> str:
        """All of it in a sentence."""
        sure = f"{self.probability:.0%} sure"
        if self.why == "locked":
            return f"kept: {self.does or 'off'} (locked)"
        if self.why == "by hand":
            return f"{self.does or 'off'} ({sure}, set by hand)"
        if self.does:
            return f"{self.does} ({sure}, {self.amount:.0%} used)"
        return f"{self.why} ({self.probability:.0%})" + (f": {self.hint}" if self.hint else "")

    def __str__(self) -> str:
        return f"{self.effect:<11}{self.says}"


@dataclass(frozen=True)
class Explanation:
    """The report of every effect, whether the result is within reach of the reference, and how much was heard.

    heard_s: seconds of input that it is known from; enough: whether more would hardly change the match.
    """

    effects: tuple[EffectReport, ...]
    in_range: bool
    heard_s: float | None = None
    enough: bool = True

    @property
    def verdict(self) -> str:
        """The one sentence about the whole; empty if there is nothing to add to the effects'."""
        used = any(e.does for e in self.effects)
        open_ = any(e.why in ("undecided", "left out") and e.probability >= POSSIBLE for e in self.effects)
        if not used and not open_:
            return "nothing is used: none is needed" if self.in_range else f"nothing is used: {OUT_OF_RANGE}"
        if open_ and not self.in_range:
            missing = "the reference is not reached: what is undecided or left out may be missing"
            return missing if used else f"nothing is used: {missing}"
        if not used:
            return "nothing is used: no effect is certain enough" if self._undecided else LEFT_OUT
        return "" if self.in_range else OUT_OF_RANGE

    @property
    def _undecided(self) -> bool:
        return any(e.why == "undecided" for e in self.effects)

    @property
    def listening(self) -> str:
        """Whether more of the input would change the match; empty for a file, which is heard whole."""
        if self.heard_s is None:
            return ""
        told = f"heard about {self.heard_s:.0f} s of the input"
        return f"{told}, enough: more would hardly change this" if self.enough else f"{told}: still listening"

    def lines(self) -> list[str]:
        """Write it, an effect a line; one sentence for what each is."""
        return [*map(str, self.effects), *filter(None, (self.verdict, self.listening))]

    def data(self) -> dict[str, Any]:
        """Give it as plain data, for JSON."""
        effects = [
            {
                "effect": e.effect,
                "probability": round(e.probability, 3),
                "amount": round(e.amount, 3),
                "does": e.does,
                "why": e.why,
                "boldness": e.boldness,
                "says": e.says,
            }
            for e in self.effects
        ]
        heard_s = None if self.heard_s is None else round(self.heard_s)
        told = {"verdict": self.verdict, "in_range": self.in_range, "heard_s": heard_s, "heard_enough": self.enough}
        return {"effects": effects, **told}


def explain(
    model: MatchModel,
    prediction: Prediction,
    settings: ChainSettings,
    choices: Choices,
    x: np.ndarray,
    sample_rate: float,
    in_range: bool = True,
    by_hand: Collection[str] = (),
    shares: Mapping[str, float] | None = None,
) -> Explanation:
    """Explain solved settings that were chosen from a prediction, on an input (frames,) or (frames, channels).

    by_hand: effects that somebody has set since, in part or whole; shares: how much of each the user lets through, by
    name, 1 for those without.
    """
    reports = []
    for i, effect in enumerate(model.chain.order):
        probability = float(np.clip(prediction.probability[i], 0.0, 1.0))
        playing = any(e.effect == effect and e.enabled for e in settings.effects)
        amount = max(_amount(model, prediction, choices, i), model.decision.least) if playing else 0.0
        amount *= (shares or {}).get(effect, 1.0)
        does = _does(effect, settings, x, sample_rate, model.sample_rate) if playing else ""
        why, boldness, hint = "", None, ""
        if effect in choices.locked:
            why = "locked"
        elif effect in by_hand:
            why = "by hand"
        elif not playing:
            allowed = bool(prediction.allowed[i])
            why = ("undecided" if probability >= POSSIBLE else "not heard") if allowed else "left out"
            if probability >= POSSIBLE:
                boldness = _least_boldness(model, prediction, choices, i) if allowed else None
                hint = _hint(model, choices, effect, allowed, boldness)
        reports.append(EffectReport(effect, probability, amount, does, why, boldness, hint))
    return Explanation(tuple(reports), in_range)


def heard_enough(new: Prediction, old: Prediction | None, windows: float, model: MatchModel) -> bool:
    """Tell whether more input would hardly change the match: two windows heard, and two predictions that agree."""
    if old is None or windows < ENOUGH_WINDOWS:
        return False
    moved = np.abs(model.amounts(new) - model.amounts(old)).max()
    return bool(moved < STEADY and np.abs(new.curve_db - old.curve_db).mean() < STEADY_DB)


def _amount(model: MatchModel, prediction: Prediction, choices: Choices, i: int) -> float:
    """Give how much of an effect is used: its own amount, or the equaliser's share of the references' tone."""
    tone = tone_share(model, prediction, choices) if model.chain.order[i] == "equaliser" else 0.0
    return max(float(model.amounts(prediction, choices.boldness)[i]), tone)


def _least_boldness(model: MatchModel, prediction: Prediction, choices: Choices, i: int) -> float | None:
    now = model.decision.boldness if choices.boldness is None else choices.boldness
    for step in range(1, 21):
        boldness = round(0.05 * step, 2)
        if boldness > now:
            if _amount(model, prediction, replace(choices, boldness=boldness), i) > 0.0:
                return boldness
    return None


def _hint(model: MatchModel, choices: Choices, effect: str, allowed: bool, boldness: float | None) -> str:
    """Say what would add an effect: the least boldness, or its name."""
    if allowed:
        return f"--boldness {boldness:.2g} or --only {effect} adds it" if boldness else f"--only {effect} adds it"
    if effect in choices.without:
        return f"drop --without {effect} to let it be used"
    named = [e for e in model.chain.order if e == effect or e in (choices.only or ())]
    return f"--only {','.join(named)} adds it"


def _does(effect: str, settings: ChainSettings, x: np.ndarray, sample_rate: float, rate: float) -> str:
    if effect == "equaliser":
        return _bands(settings_curve_db(settings, GRID_HZ, rate)) or "flat"
    plain = next(line for line in sentences(settings) if line.startswith(effect)).removeprefix(effect).strip()
    if effect == "compressor":
        return f"{_reduction_db(settings, x, sample_rate):.0f} dB gain reduction on peaks, {plain}"
    return plain


GRID_HZ = np.geomspace(40.0, 16000.0, 80)


def _bands(curve_db: np.ndarray) -> str:
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
        named.append(f"{away[place]:+.1f} dB {where} {in_hz(hz)}")
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
