"""Controls: what a client can read of a session and set in it, by name.

A client (OSC, a web page, keys) reads a control from a state, and gives values to `Session.apply` and
texts to `Session.request`. Names are those of JSON clients: `read_all` gives all of them as plain data, and
`parse` takes such data back, checked. A new control is a line in `_FIXED`, or in `hand_controls` if every effect has
it; the others of the effects are derived from their parameters.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ...files.json_checks import nearest, shown

if TYPE_CHECKING:  # effects and numba load with the state: who only needs the names does not wait for them
    from .places import Place
    from .state import SessionState

Value = float | bool | str
MAX_TOLD = 1000
"""Bytes of a text that is told: it has to pass in a datagram."""
UNSAID_BOLDNESS = 0.5
"""What is read where no model says what its own is."""
Kind = Literal["number", "switch", "trigger", "text", "told"]


def _unchanged(state: "SessionState", value: float) -> "SessionState":
    return state


@dataclass(frozen=True)
class Control:
    """Something that can be read of a session, set in it, or both.

    `read(state)` gives its value: a number in its own unit, a bool of a switch, a text; False of a
    trigger. `write(state, value)` gives the state with another one, clipped to its range; a switch is on
    from 0.5, and a trigger is pulled from 0.5. Texts are not written but requested: they take time. What is told is a
    text that cannot be set.
    """

    name: str
    kind: Kind = field(compare=False)
    read: Callable[["SessionState"], Value] = field(compare=False, repr=False)
    write: Callable[["SessionState", float], "SessionState"] = field(default=_unchanged, compare=False, repr=False)


def _trigger(name: str, pull: Callable[["SessionState"], "SessionState"] | None = None) -> Control:
    def write(state: "SessionState", value: float) -> "SessionState":
        return pull(state) if pull and value >= 0.5 else state

    return Control(name, "trigger", lambda s: False, write)


def _morph_to(state: "SessionState", position: float) -> "SessionState":
    morph, settings = state.morph.moved(_unit(position), state.settings, state.locked)
    return replace(state, morph=morph, settings=settings)


def _unit(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)


AMOUNT = Control("amount", "number", lambda s: s.amount, lambda s, v: replace(s, amount=_unit(v)))
BOLDNESS = Control(
    "boldness",
    "number",
    lambda s: UNSAID_BOLDNESS if s.boldness is None else s.boldness,
    lambda s, v: replace(s, boldness=_unit(v)),
)
BYPASS = Control("bypass", "switch", lambda s: s.bypass, lambda s, v: replace(s, bypass=v >= 0.5))
AB = _trigger("ab", lambda s: replace(s, bypass=not s.bypass))
MUTE = Control("mute", "switch", lambda s: s.muted, lambda s, v: replace(s, muted=True) if v >= 0.5 else s)
"""It latches: only `UNMUTE` ends it."""
UNMUTE = _trigger("unmute", lambda s: replace(s, muted=False))
FREEZE = Control("freeze", "switch", lambda s: s.frozen, lambda s, v: replace(s, frozen=v >= 0.5, frozen_by_undo=False))
MORPH = Control("morph", "number", lambda s: s.morph.position, _morph_to)
UNDO, REDO = _trigger("undo"), _trigger("redo")
"""The session steps; a state does not know its past."""
REFERENCE = Control("reference", "text", lambda s: s.reference_name)
PRESET = Control("preset", "text", lambda s: s.preset_name)
EXPLANATION = Control(
    "explanation", "told", lambda s: " | ".join(s.explanation.lines())[:MAX_TOLD] if s.explanation else ""
)
MORPH_A = Control("morph/a", "text", lambda s: s.morph.name("a"))
MORPH_B = Control("morph/b", "text", lambda s: s.morph.name("b"))
_FIXED = (
    AMOUNT,
    BOLDNESS,
    BYPASS,
    AB,
    MUTE,
    UNMUTE,
    FREEZE,
    REFERENCE,
    PRESET,
    EXPLANATION,
    MORPH,
    MORPH_A,
    MORPH_B,
    UNDO,
    REDO,
)


def place_control(stage: str, name: str) -> Control:
    """Make the control of a place in the chain: a parameter, a gain or a bypass.

    If its effect is not in the chain it reads as bypassed, or 0, and writing changes nothing.
    """
    place: Place = (stage, name)

    def read(state: "SessionState") -> Value:
        return state.value_at(place)

    def write(state: "SessionState", value: float) -> "SessionState":
        return state.with_value(place, value)

    return Control(f"{stage}/{name}", "switch" if name == "bypass" else "number", read, write)


def hand_controls(effect: str) -> Iterator[Control]:
    """Give the user's hand on an effect: how much of it, whether the matching has it for sure, not at all, or as it is.

    In this order: amount, only, without, lock.
    """

    def named(which: Literal["only", "without"]) -> Control:
        def write(state: "SessionState", value: float) -> "SessionState":
            names: frozenset[str] = getattr(state, which)
            return replace(state, **{which: names | {effect} if value >= 0.5 else names - {effect}})

        return Control(f"{effect}/{which}", "switch", lambda s: effect in getattr(s, which), write)

    yield Control(
        f"{effect}/amount", "number", lambda s: s.shares.get(effect, 1.0), lambda s, v: s.with_share(effect, v)
    )
    yield named("only")
    yield named("without")
    yield Control(f"{effect}/lock", "switch", lambda s: s.holds(effect), lambda s, v: s.with_lock(effect, v >= 0.5))


def controls() -> Iterator[Control]:
    """Give every control: of the whole, then of the gains, and of each effect by name."""
    from ...effects import load, names

    yield from _FIXED
    yield from (place_control(stage, "gain_db") for stage in ("input", "output"))
    for effect in names():
        if effect != "gain":  # it is the two gains
            yield from (place_control(effect, name) for name in ("bypass", *load(effect).defaults))
            yield from hand_controls(effect)


# --- as plain data ----------------------------------------------------------------------------------


def read_all(state: "SessionState") -> dict[str, Value]:
    """Read every control that keeps what is set, by name, as JSON can hold it."""
    return {c.name: c.read(state) for c in controls() if c.kind not in ("trigger", "told")}


def parse(named: Mapping[str, Any]) -> dict[Control, float | str]:
    """Read values by name, as `read_all` gives them. Raises ValueError for a name, type or number that is none."""
    known = {c.name: c for c in controls()}
    parsed: dict[Control, float | str] = {}
    for name, value in named.items():
        if (control := known.get(name)) is None:
            raise ValueError(f"{shown(name)} is not a control{nearest(name, known)}")
        if control.kind == "told":
            raise ValueError(f"{name} can be read, not set")
        if control.kind == "text":
            if not isinstance(value, str):
                raise ValueError(f"{name}: a text is needed, not {shown(value)}")
            parsed[control] = value
        elif isinstance(value, int | float) and abs(value) <= sys.float_info.max:
            parsed[control] = float(value)
        else:
            raise ValueError(f"{name}: a finite number or true or false is needed, not {shown(value)}")
    return parsed
