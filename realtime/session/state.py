"""The state of a session: one frozen value that edits replace, and that every part of the program reads.

Undo keeps such values; the autosave, the status file, OSC and the console each read one of them. A new
field is one line here, and one control in `controls` if clients may set it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ... import presets
from ...chain import ChainSettings
from ...matching.choices import Choices
from ...matching.explain import Explanation
from ...matching.model import Prediction
from ...matching.reference import ReferenceClip, mean_lufs
from .hysteresis import within_deadband
from .level import DEADBAND_DB, Levels
from .morph import Morph
from .places import BYPASS, GAINS, Place, has, parse_places, places_of, shared_out, value_at, with_value

FREEZE = "freeze"
"""How `by_hand` says that the matching was frozen."""


@dataclass(frozen=True)
class SessionState:
    """What plays, why, and what holds it there.

    Two states are equal if an edit from one to the other leaves undo nothing to bring back: fields
    with `compare=False` do not count.
    """

    settings: ChainSettings
    """As they are at amount 1, and at every effect's own amount of 1."""
    amount: float = 1.0
    target_lufs: float | None = None
    """What a preset asks for; None for the loudness of the input. See `goal_lufs`."""
    references: tuple[ReferenceClip, ...] = field(default=(), compare=False)
    preset_name: str = ""
    """The preset that plays, or nothing."""
    morph: Morph = field(default_factory=Morph)
    shares: Mapping[str, float] = field(default_factory=dict)
    """How much of an effect is used, by its name; all of it without."""
    boldness: float | None = None
    """How far the matching goes, 0 to 1; None for the model's default."""
    only: frozenset[str] = frozenset()
    """The effects that the references are known to have; none if nothing is known."""
    without: frozenset[str] = frozenset()
    """The effects that are not used."""
    locked: frozenset[Place] = field(default=frozenset(), compare=False)
    """What was set by hand: the matching leaves it alone."""
    prediction: Prediction | None = field(default=None, compare=False)
    """What the last match was decided on; None until there was one."""
    in_range: bool = field(default=True, compare=False)
    """Whether a match can come near its references, as far as the model can tell."""
    explanation: Explanation | None = field(default=None, compare=False)
    """What is known of the last match, and what it does."""
    dry_gain_db: float = 0.0
    """Makes the bypass as loud as the sound."""

    # What undo leaves alone, see `restored`: it must never let the sound back in.
    bypass: bool = field(default=False, compare=False)
    muted: bool = field(default=False, compare=False)
    frozen: bool = field(default=False, compare=False)
    """The matching has stopped: settings stay as they are."""
    frozen_by_undo: bool = field(default=False, compare=False)
    """Undo froze it, and nobody else; redo will thaw it."""
    undo_count: int = field(default=0, compare=False)
    """Steps of undo and redo so far: a match that began before the last one is dropped."""
    error: str = field(default="", compare=False)
    """What went wrong last in the matching, until it goes on."""

    # --- reading --------------------------------------------------------------------------------------

    @property
    def playing(self) -> ChainSettings:
        """What the engine plays: the settings at the amount."""
        return self.shared.scaled(self.amount)

    @property
    def shared(self) -> ChainSettings:
        """The settings, each effect at its own amount."""
        return shared_out(self.settings, self.shares)

    @property
    def choices(self) -> Choices:
        """What the user has said, as the matching takes it."""
        whole = frozenset(e.effect for e in self.settings.effects if self.holds(e.effect))
        return Choices(self.boldness, self.only or None, self.without, whole, self.settings)

    @property
    def said(self) -> tuple[object, ...]:
        """What a match is decided by, beside what was heard."""
        return self.boldness, self.only, self.without, self.choices.locked

    def holds(self, effect: str) -> bool:
        """Tell whether an effect is locked as a whole."""
        step = next((e for e in self.settings.effects if e.effect == effect), None)
        return step is not None and all((effect, name) in self.locked for name in (BYPASS, *step.values))

    @property
    def chosen(self) -> bool:
        """Whether what plays was chosen, by a match, a preset or a morph."""
        return self.prediction is not None or bool(self.preset_name) or self.morph.active

    @property
    def reference_name(self) -> str:
        """The names of the references' files, or nothing."""
        return ", ".join(r.path.name for r in self.references)

    @property
    def by_hand(self) -> list[str]:
        """What was set by hand, as "effect/parameter", and "freeze" if the matching is frozen."""
        return sorted("/".join(place) for place in self.locked) + [FREEZE] * self.frozen

    def value_at(self, place: Place) -> float | bool:
        """Give the value at a place; an effect that is not in the chain is bypassed, and its parameters are 0."""
        return value_at(self.settings, place)

    def goal_lufs(self, input_lufs: float) -> float | None:
        """Give the loudness to reach at amount 1, in LUFS; None for that of the input."""
        if self.morph.active:
            return self.morph.goal(lambda: input_lufs)
        return mean_lufs(self.references) if self.references else self.target_lufs

    @property
    def locked_input_gain_db(self) -> float | None:
        """The input gain if it was set by hand."""
        return self.settings.input_gain_db if ("input", "gain_db") in self.locked else None

    def as_preset(self, name: str, goal_lufs: float | None, model: str = "", resumable: bool = False) -> presets.Preset:
        """Make a preset of it, with where it came from; a `resumable` one holds all that `--resume` needs."""
        files = [r for r in self.references if r.path.is_file()]
        matched, choices = bool(self.references), {}
        if matched or resumable:
            shares = self._shares_here if resumable else {}
            choices = presets.choices_data(self.boldness, self.only, self.without, shares=shares)
        by_hand = self.by_hand if resumable else ()
        source = presets.provenance(files, model if matched else "", resumable, by_hand, choices)
        return presets.Preset(name, self.shared, self.amount, goal_lufs, source)

    @property
    def _shares_here(self) -> dict[str, dict[str, float]]:
        """What is not used whole: how much of it, and its values at 1."""
        here = {effect: share for effect, share in self.shares.items() if has(self.settings, effect)}
        return {e: {"amount": share, **self.settings.effect(e).values} for e, share in here.items()}

    # --- edits ----------------------------------------------------------------------------------------

    def with_value(self, place: Place, value: float) -> "SessionState":
        """Set a value by hand: it is clipped to its range, and locked. Nothing changes if it is not in the chain."""
        if not has(self.settings, place[0]):
            return self
        return replace(self, settings=with_value(self.settings, place, value), locked=self.locked | {place})

    def with_share(self, effect: str, share: float) -> "SessionState":
        """Use so much of an effect, 0 to 1. Nothing changes if it is not in the chain."""
        if not has(self.settings, effect):
            return self
        shares = {**self.shares, effect: min(max(float(share), 0.0), 1.0)}
        return replace(self, shares={e: a for e, a in shares.items() if a < 1.0})

    def with_lock(self, effect: str, on: bool) -> "SessionState":
        """Lock an effect as a whole, or let go of all of it."""
        places = places_of(self.settings, effect)
        return replace(self, locked=self.locked | places if on else self.locked - places)

    def with_by_hand(self, texts: Iterable[str]) -> "SessionState":
        """Lock, and freeze, what `by_hand` of an earlier session says."""
        texts = [*texts]
        return replace(self, locked=parse_places(texts, self.settings), frozen=FREEZE in texts)

    def with_choices(self, said: Mapping[str, Any]) -> "SessionState":
        """Take up what an earlier session was asked, as `as_preset` wrote it down, as far as it is still there."""
        state = replace(
            self,
            boldness=said.get("boldness", self.boldness),
            only=frozenset(said.get("only", ())) or self.only,
            without=frozenset(said.get("without", ())) or self.without,
        )
        for effect, whole in said.get("shares", {}).items():
            if has(state.settings, effect):
                for name in state.settings.effect(effect).values.keys() & whole.keys():
                    state = replace(state, settings=with_value(state.settings, (effect, name), whole[name]))
                state = state.with_share(effect, whole.get("amount", 1.0))
        return state

    def with_levels(self, levels: Levels | None, at_once: bool = False) -> "SessionState":
        """Set solved gains that are not locked; unless `at_once`, only as far as their dead band asks for."""
        if levels is None:
            return self
        gains: dict[str, Any] = {}
        for stage, gain in GAINS:
            name = f"{stage}_{gain}"
            solved, now = getattr(levels, name), getattr(self.settings, name)
            if (stage, gain) not in self.locked:
                gains[name] = solved if at_once else float(within_deadband(solved, now, DEADBAND_DB))
        new = replace(self, settings=replace(self.settings, **gains), dry_gain_db=levels.dry_gain_db)
        return self if new == self else new

    def with_source(self, **source: Any) -> "SessionState":
        """Play another source: references, a preset or a morph; what belonged to the last one is dropped."""
        fresh = {"references": (), "preset_name": "", "morph": Morph(position=self.morph.position)}
        fresh |= {"locked": frozenset(), "prediction": None, "in_range": True, "explanation": None}
        return replace(self, **{**fresh, **source})

    def restored(self, old: "SessionState") -> "SessionState":
        """Go to another state by undo or redo: what is muted, bypassed or frozen stays so."""
        return replace(
            old,
            bypass=self.bypass,
            muted=self.muted,
            frozen=self.frozen,
            frozen_by_undo=self.frozen_by_undo,
            undo_count=self.undo_count + 1,
            error=self.error,
        )
