"""The OSC addresses, each with the control of a session that it reads and sets.

They are derived from the effects' specs, so that a new effect has its own. No other file spells "/afx/".
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ...dsp.units import UNITS, unit_of
from ..session import controls
from ..session.controls import Control, hand_controls, place_control

if TYPE_CHECKING:
    from ...effects import Param

Kind = Literal["float", "bool", "string", "trigger", "request", "meter", "told"]

ROOT = "/afx/"
AMOUNT, PANIC = f"{ROOT}amount", f"{ROOT}panic"
PING, DUMP = f"{ROOT}ping", f"{ROOT}dump"
SUBSCRIBE, UNSUBSCRIBE = f"{ROOT}subscribe", f"{ROOT}unsubscribe"
TOKEN, SUBSCRIBED = f"{ROOT}token", f"{ROOT}subscribed"
"""Answers. No server of this kind takes these addresses, so two cannot answer each other for ever."""
METER = f"{ROOT}meter/"
OSC_DROPPED = f"{METER}osc_dropped"
NUMBERED = f"{ROOT}reaper/1/1/"
"""REAPER's patterns know numbers, not names: whatever can be moved is also found here, by its number."""


@dataclass(frozen=True)
class Address:
    """One OSC address.

    `control` is what it reads and sets, None for meters and what concerns OSC alone. `target` is the
    address of the same control in its own units. `param` is there if the values are 0 to 1 on its curve. `start` is
    where a fader begins that knows nothing else.
    """

    path: str
    kind: Kind
    doc: str
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    control: Control | None = None
    target: str = ""
    param: "Param | None" = None
    start: float | None = None

    def native(self, value: float) -> float:
        """Turn a value of this address into the control's own unit."""
        return self.param.clip(self.param.value(value)) if self.param else value

    def shown(self, value: float) -> float:
        """Turn a value in the control's own unit into one of this address."""
        return self.param.unit(self.param.clip(value)) if self.param else value

    @property
    def normal(self) -> bool:
        """Whether its numbers go from 0 to 1 over a whole range, as those of `/n`, amounts and morph do."""
        return self.kind == "float" and (self.param is not None or self.start is not None)

    @property
    def values(self) -> str:
        """What it takes, in words."""
        if self.kind == "float":
            return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()
        if self.kind == "meter":
            return f"read-only, {self.unit}" if self.unit else "read-only"
        if self.kind == "told":
            return "read-only, text"
        return {"bool": "0 or 1", "string": "text", "trigger": "1 or none", "request": "a port, or none"}[self.kind]


def addresses() -> list[Address]:
    """List every address: those of the whole program, then input, effects by name, output, meters."""
    from ... import effects  # numba comes with them

    gain = effects.load("gain").param("gain_db")
    found = [*_globals(), *_param("input", gain)]
    for name in effects.names():
        if name != "gain":  # it is the input and the output stage
            found.append(_plain(f"{name}/bypass", "bool", f"1 bypasses the {name}", place_control(name, "bypass")))
            found += _hand(name)
            for param in effects.load(name).params:
                found += _param(name, param)
    return [*found, *_param("output", gain), *_meters()]


def numbered() -> list[Address]:
    """List what can be moved, by number, in the order of `addresses`: 0 to 1, switches 0 or 1. Nothing that mutes."""
    moved = [a for a in addresses() if a.kind == "bool" or a.normal]
    return [replace(a, path=f"{NUMBERED}{i}") for i, a in enumerate((a for a in moved if a.path != PANIC), 1)]


def _globals() -> tuple[Address, ...]:
    c = controls
    return (
        _plain("amount", "float", "how far the sound goes from dry (0) to the match (1)", c.AMOUNT, 1.0),
        _plain(
            "boldness",
            "float",
            "how bold: 0 near-certain effects only, 1 all that is suggested",
            c.BOLDNESS,
            c.UNSAID_BOLDNESS,
        ),
        _plain("bypass", "bool", "1 plays the input unprocessed", c.BYPASS),
        _plain("ab", "trigger", "switches the bypass on or off, equally loud", c.AB),
        _plain("panic", "bool", "1 mutes, and only panic/clear ends it: 0 does nothing", c.MUTE),
        _plain("panic/clear", "trigger", "ends a panic", c.UNMUTE),
        _plain("freeze", "bool", "1 holds the settings: the input is no longer followed", c.FREEZE),
        _plain("reference", "string", "clip to sound like: its name, or a path in the clip folder", c.REFERENCE),
        _plain("preset/load", "string", "preset to load, by name", c.PRESET),
        _plain("explanation", "told", "what the match heard, how sure it is, what it does, and why", c.EXPLANATION),
        _plain("morph", "float", "from the sound of morph/a (0) to that of morph/b (1)", c.MORPH, 0.0),
        _plain("morph/a", "string", "where it begins: a preset's name, or a clip as in reference", c.MORPH_A),
        _plain("morph/b", "string", "where it ends; an end without a name is what played before", c.MORPH_B),
        _plain("undo", "trigger", "undoes one change, up to 50; matching freezes then", c.UNDO),
        _plain("redo", "trigger", "redoes one change", c.REDO),
        _plain("ping", "trigger", "does nothing; answered with 0"),
        _plain("subscribe", "request", "sends changes and meters for 30 s, to you or a port of your host"),
        _plain("unsubscribe", "request", "ends a subscription"),
        _plain("dump", "trigger", "sends you everything again, if you have subscribed"),
    )


def _meters() -> list[Address]:
    from ... import effects

    dynamic = [name for name in effects.names() if effects.load(name).meter is not None]
    rows = [
        ("in_peak_db", "input peak, falling at 20 dB/s"),
        ("out_peak_db", "output peak, falling at 20 dB/s"),
        ("in_lufs", "input loudness over the last 3 s; -100 is silence"),
        ("out_lufs", "output loudness over the last 3 s; -100 is silence"),
        *((f"{name}/reduction_db", f"gain reduction of the {name}; 0 or below") for name in dynamic),
        ("ceiling/reduction_db", "gain reduction at the ceiling of -1 dBFS; 0 or below"),
        ("load", "audio load, as a fraction of the block's time"),
        ("xruns", "drop-outs reported by the audio host"),
        ("late", "blocks that came late by our own clock"),
        ("muted", "blocks muted because an effect produced NaN"),
        ("latency_ms", "delay from input to output: the audio host's and ours"),
        ("osc_dropped", "OSC datagrams dropped: over the rate, or not allowed to send"),
    ]
    found = [_plain(f"meter/{name}", "meter", doc) for name, doc in rows]
    return [replace(a, unit=UNITS.get(unit_of(a.path), "")) for a in found]


def _plain(name: str, kind: Kind, doc: str, control: Control | None = None, start: float | None = None) -> Address:
    return Address(ROOT + name, kind, doc, control=control, target=ROOT + name, start=start)


def _hand(effect: str) -> list[Address]:
    """The user's hand on an effect."""
    docs: tuple[tuple[Kind, str, float | None], ...] = (
        ("float", f"how much of the {effect} is used", 1.0),
        ("bool", "1: the reference has it; effects not marked so are left out", None),
        ("bool", f"1 keeps the matching from using the {effect}", None),
        ("bool", f"1 keeps the {effect} as it is; 0 lets the match set it", None),
    )
    hand = zip(hand_controls(effect), docs, strict=True)
    return [_plain(control.name, kind, doc, control, start) for control, (kind, doc, start) in hand]


def _param(stage: str, param: "Param") -> tuple[Address, Address]:
    path, control = f"{ROOT}{stage}/{param.name}", place_control(stage, param.name)
    unit = UNITS.get(unit_of(param.name), "")
    return (
        Address(path, "float", param.doc, param.low, param.high, unit, control, path),
        Address(f"{path}/n", "float", f"{param.doc}, 0 to 1 over its range", 0.0, 1.0, "", control, path, param),
    )


# --- as text ----------------------------------------------------------------------------------------


def table() -> str:
    """Write the addresses as text in columns."""
    rows = [("address", "value", "what it sets"), *_rows()]
    wide = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{path:{wide[0]}}  {values:{wide[1]}}  {doc}".rstrip() for path, values, doc in rows]
    return "\n".join([*lines, "", *_notes("")]) + "\n"


def table_markdown() -> str:
    """Write the addresses as a Markdown table."""
    rows = ["| `{}` | {} | {} |".format(*(text.replace("|", r"\|") for text in row)) for row in _rows()]
    return "\n".join(["| address | value | what it sets |", "|---|---|---|", *rows, "", *_notes("`")]) + "\n"


def _rows() -> list[tuple[str, str, str]]:
    # A line per parameter is enough: that each has an `/n` is said below the table.
    return [(a.path, a.values, a.doc) for a in addresses() if a.param is None]


def _notes(quote: str) -> list[str]:
    return [
        f"Every parameter of an effect, and the two gains, also take 0 to 1 over their range: add {quote}/n{quote}.",
        "An address without a value asks for it. Values out of range are clamped, and the clamped one is sent back.",
    ]
