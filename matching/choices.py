"""What the user says before matching: how bold it may be, which effects are in question, what stays as it is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ..chain import ChainSettings

BYPASS = "bypass"
"""Beside an effect's parameters: whether it is off."""


@dataclass(frozen=True)
class Choices:
    """Bounds on a match.

    boldness: 0 (nearly certain effects only) to 1 (everything that the reference suggests, its tonal balance
    included), None for the model's default. only: the effects that the reference is known to have, which are used
    for sure, None for any; without: effects that are not used. locked: effects ("reverb"), single parameters
    ("equaliser/peak_1_db") and switches ("reverb/bypass") that stay as in `playing`.
    """

    boldness: float | None = None
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    locked: frozenset[str] = frozenset()
    playing: ChainSettings | None = None

    @classmethod
    def of(
        cls,
        order: Sequence[str],
        boldness: float | None = None,
        only: Collection[str] | None = None,
        without: Collection[str] = (),
        locked: Collection[str] = (),
        playing: ChainSettings | None = None,
    ) -> "Choices":
        """Check what was said against the model's effects and what plays.

        Raises ValueError, which names the word that is wrong and what is allowed.
        """
        if boldness is not None and not 0.0 <= boldness <= 1.0:
            raise ValueError(f"boldness: {boldness:g} is not in [0, 1]")
        for what, names in (("only", only or ()), ("without", without)):
            if unknown := [n for n in names if n not in order]:
                raise ValueError(f"{what}: {unknown[0]!r} is not one of {', '.join(order)}")
        if only is not None and not set(only) - set(without):
            raise ValueError("only: no effect is left to choose from")
        if locked and playing is None:
            raise ValueError("lock: nothing plays yet that could be kept; name a preset to begin with")
        for text in locked:
            _check_lock(text, playing)
        names = None if only is None else frozenset(only)
        return cls(boldness, names, frozenset(without), frozenset(locked), playing)

    def allowed(self, order: Sequence[str]) -> list[bool]:
        """Tell which effects the model may count on; of those that are locked, the ones that play."""
        named = set(order) if self.only is None else set(self.only)
        off = {e for e in self.locked if not self._plays(e)}
        return [effect in named and effect not in self.without and effect not in off for effect in order]

    def _plays(self, effect: str) -> bool:
        return any(e.effect == effect and e.enabled for e in self.playing.effects) if self.playing else False

    def named(self, order: Sequence[str]) -> list[bool]:
        """Tell which effects the reference is known to have."""
        return [self.only is not None and effect in self.only for effect in order]

    def kept(self, found: ChainSettings) -> ChainSettings:
        """Give settings in which what is locked is as it plays."""
        if self.playing is None:
            return found
        for text in sorted(self.locked):
            effect, _, name = text.partition("/")
            old = self.playing.effect(effect)
            if name == BYPASS:
                found = found.with_effect(effect, enabled=old.enabled)
            elif name:
                found = found.with_effect(effect, None, **{name: old.values[name]})
            else:
                found = replace(found, effects=tuple(old if e.effect == effect else e for e in found.effects))
        return found


NO_CHOICES = Choices()


def _check_lock(text: str, playing: ChainSettings | None) -> None:
    effect, _, name = text.partition("/")
    known = {e.effect: e.values for e in playing.effects} if playing else {}
    if effect not in known:
        raise ValueError(f"lock: {effect!r} is not one of {', '.join(known)}")
    if name and name != BYPASS and name not in known[effect]:
        raise ValueError(f"lock: {text!r}: {effect} has no {name}, but {', '.join(known[effect])}")
