"""Every parameter that there is, by number, as the C library and plug-ins have them: derived from the effects' own.

In order: both gains, the amount, bypass, then for each effect its switch and its parameters. Numbers
may change when an effect is added; `path`, which is the OSC address without its root, does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ..dsp.units import unit_of
from ..effects import Param, built_in, load
from .settings import CANONICAL, GAIN, ChainSettings, EffectSettings

GAINS = (
    replace(GAIN, name="input_gain_db", doc="level into the chain", neutral=None),
    replace(GAIN, name="output_gain_db", doc="level out of the chain", neutral=None),
)
AMOUNT = Param("amount", 0.0, 1.0, 1.0, "from nothing done to the settings as they are")
BYPASS = Param("bypass", 0.0, 1.0, 0.0, "the sound as it came in")


WORDS = {" q": " Q", "rt60": "decay time", "hf ratio": "HF ratio", "predelay": "pre-delay", "gain gain": "gain"}
"""How people write what a name has to abbreviate."""


@dataclass(frozen=True)
class Numbered:
    """One parameter with its number; `effect` is None for what concerns the whole chain."""

    number: int
    param: Param
    effect: str | None = None
    switch: bool = False

    @property
    def path(self) -> str:
        """Name it over all effects, as in OSC: "compressor/ratio", "amount"."""
        return f"{self.effect}/{self.param.name}" if self.effect else self.param.name

    @property
    def symbol(self) -> str:
        """Name it as an identifier, for LV2."""
        return self.path.replace("/", "_")

    @property
    def unit(self) -> str:
        """The unit that its name ends in: db, hz, ms, s, or nothing."""
        return unit_of(self.param.name)

    @property
    def label(self) -> str:
        """Name it for people: "Compressor ratio", "Equaliser peak 1 frequency"."""
        words = self._bare
        if self.effect and sum(Numbered(0, p, self.effect)._bare == words for p in load(self.effect).params) > 1:
            words += {"hz": " frequency", "db": " gain"}[self.unit]
        words = f"{self.effect} {words}" if self.effect else words
        for name, told in WORDS.items():
            words = words.replace(name, told)
        return words[0].upper() + words[1:]

    @property
    def _bare(self) -> str:
        return self.param.name.removesuffix(f"_{self.unit}").replace("_", " ")


@cache
def order() -> tuple[str, ...]:
    """List every effect: those of the shipped model in its order, then the others."""
    return (*CANONICAL, *(name for name in built_in() if name not in CANONICAL))


@cache
def parameters() -> tuple[Numbered, ...]:
    """List every parameter by number."""
    listed: list[tuple[Param, str | None, bool]] = [(p, None, p is BYPASS) for p in (*GAINS, AMOUNT, BYPASS)]
    for name in order():
        listed.append((Param("on", 0.0, 1.0, 0.0, f"whether the {name} is played"), name, True))
        listed.extend((p, name, False) for p in load(name).params)
    return tuple(Numbered(i, *entry) for i, entry in enumerate(listed))


def path_values(settings: ChainSettings, amount: float = 1.0) -> dict[str, float]:
    """Give the value of every parameter, by path, that makes a plug-in play these settings at an amount.

    Raises ValueError for an effect that is not built in.
    """
    for each in settings.effects:
        if each.effect not in order():
            raise ValueError(f"{each.effect} is no built-in effect; a plug-in holds {', '.join(order())}")
    values = {q.path: q.param.default for q in parameters()}
    values |= {"input_gain_db": settings.input_gain_db, "output_gain_db": settings.output_gain_db, "amount": amount}
    for step in settings.effects:
        values[f"{step.effect}/on"] = float(step.enabled)
        values |= {f"{step.effect}/{name}": value for name, value in step.values.items()}
    return values


def playing_order(settings: ChainSettings) -> tuple[str, ...]:
    """List every effect as a plug-in plays them: those of the settings, then the others, which are off."""
    there = tuple(step.effect for step in settings.effects)
    return (*there, *(name for name in order() if name not in there))


def settings_of(values: Mapping[str, float], playing: Sequence[str]) -> ChainSettings:
    """Make settings of values by path and a playing order; effects that are off and at their defaults are left out."""
    steps = []
    for name in playing:
        mine = {p.name: p.clip(values.get(f"{name}/{p.name}", p.default)) for p in load(name).params}
        on = values.get(f"{name}/on", 0.0) >= 0.5
        if on or mine != load(name).defaults:
            steps.append(EffectSettings(name, mine, on))
    gains = {p.name: p.clip(values.get(p.name, p.default)) for p in GAINS}
    return ChainSettings(tuple(steps), **gains)
