"""The OSC addresses, derived from the effects' specs: a new effect is among them by itself."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ...effects import Param

Kind = Literal["float", "bool", "string", "trigger", "request", "meter"]
UNITS = {"db": "dB", "hz": "Hz", "ms": "ms", "s": "s", "lufs": "LUFS"}
PANIC = "/afx/panic"
NUMBERED = "/afx/reaper/1/1/"
"""REAPER's patterns know numbers and no names: what can be moved is also heard under this and its number."""


@dataclass(frozen=True)
class Address:
    """One OSC address. `target` is the path `Controls` sees; `param` is there if the values are 0..1 on its curve."""

    path: str
    kind: Kind
    doc: str
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    target: str = ""
    param: "Param | None" = None

    def native(self, value: float) -> float:
        """Turn a value of this address into native units."""
        return self.param.clip(self.param.value(value)) if self.param else value

    def shown(self, value: float) -> float:
        """Turn native units into a value of this address."""
        return self.param.unit(self.param.clip(value)) if self.param else value

    @property
    def normal(self) -> bool:
        """Whether it is a number from 0 to 1 that stands for a whole range, as `/n` and the amount are."""
        return self.kind == "float" and (self.param is not None or self.target.count("/") == 2)

    @property
    def values(self) -> str:
        """What it takes, in words."""
        if self.kind == "float":
            return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()
        if self.kind == "meter":
            return f"read-only, {self.unit}" if self.unit else "read-only"
        return {"bool": "0 or 1", "string": "text", "trigger": "1 or none", "request": "a port, or none"}[self.kind]


def addresses() -> list[Address]:
    """List every address: those of the whole program, then input, effects by name, output, meters."""
    from ... import effects  # numba comes with them

    gain = effects.load("gain").param("gain_db")
    found = [*_globals(), *_param("input", gain)]
    for name in effects.names():
        if name != "gain":  # it is the input and the output stage
            found.append(_plain(f"/afx/{name}/bypass", "bool", f"1 leaves the {name} out"))
            for param in effects.load(name).params:
                found += _param(name, param)
    return [*found, *_param("output", gain), *_meters()]


def numbered() -> list[Address]:
    """List what can be moved, by number, in the order of `addresses`: 0 to 1, switches 0 or 1. Nothing that mutes."""
    moved = [a for a in addresses() if a.kind == "bool" or a.normal]
    return [replace(a, path=f"{NUMBERED}{i}") for i, a in enumerate((a for a in moved if a.path != PANIC), 1)]


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


def _globals() -> tuple[Address, ...]:
    return (
        _plain("/afx/amount", "float", "how far the sound goes from dry to the match"),
        _plain("/afx/bypass", "bool", "1 plays the input as it is"),
        _plain("/afx/ab", "trigger", "from the sound to the bypass, equally loud, and back"),
        _plain(PANIC, "bool", "1 mutes, and it stays so until /afx/panic/clear: 0 does nothing"),
        _plain("/afx/panic/clear", "trigger", "ends a panic"),
        _plain("/afx/freeze", "bool", "1 keeps the settings: the input is not followed any more"),
        _plain("/afx/reference", "string", "clip to sound like: its name, or a path in the clip folder"),
        _plain("/afx/preset/load", "string", "preset to load: its name, or a path in the preset folder"),
        _plain("/afx/morph", "float", "from the sound of morph/a (0) to that of morph/b (1)"),
        _plain("/afx/morph/a", "string", "where it begins: a preset's name, or a clip as in /afx/reference"),
        _plain("/afx/morph/b", "string", "where it ends; a side without a name is what played before"),
        _plain("/afx/undo", "trigger", "back by one change, up to 50; a match freezes, so that it holds"),
        _plain("/afx/redo", "trigger", "forward by one change"),
        _plain("/afx/ping", "trigger", "nothing; answered with 0"),
        _plain("/afx/subscribe", "request", "30 s of changes and meters, to you or a port of your host"),
        _plain("/afx/unsubscribe", "request", "ends that"),
        _plain("/afx/dump", "trigger", "sends everything to you, if you have subscribed"),
    )


def _meters() -> list[Address]:
    from ... import effects

    dynamic = [name for name in effects.names() if effects.load(name).meter is not None]
    rows = [
        ("in_peak_db", "input peak, falling by 20 dB/s"),
        ("out_peak_db", "output peak, falling by 20 dB/s"),
        ("in_lufs", "input loudness of the last 3 s; -100 is silence"),
        ("out_lufs", "output loudness of the last 3 s; -100 is silence"),
        *((f"{name}/reduction_db", f"what the {name} takes away; 0 or below") for name in dynamic),
        ("ceiling/reduction_db", "what the ceiling of -1 dBFS takes away; 0 or below"),
        ("load", "part of the time there is that the audio takes: 0 to 1"),
        ("xruns", "drop-outs that the audio host reported"),
        ("late", "blocks that came late by our own clock"),
        ("muted", "pieces muted because an effect gave no number"),
        ("latency_ms", "delay from input to output: the audio host's, and ours"),
        ("osc_dropped", "OSC datagrams dropped: from strangers, or over the rate"),
    ]
    found = [_plain(f"/afx/meter/{name}", "meter", doc) for name, doc in rows]
    return [replace(a, unit=UNITS.get(a.path.rpartition("_")[2], "")) for a in found]


def _plain(path: str, kind: Kind, doc: str) -> Address:
    return Address(path, kind, doc, target=path)


def _param(stage: str, param: "Param") -> tuple[Address, Address]:
    path = f"/afx/{stage}/{param.name}"
    unit = UNITS.get(param.name.rpartition("_")[2], "") if "_" in param.name else ""
    return (
        Address(path, "float", param.doc, param.low, param.high, unit, path),
        Address(f"{path}/n", "float", f"{param.doc}, 0 to 1 over its range", target=path, param=param),
    )


def _rows() -> list[tuple[str, str, str]]:
    # A line per parameter is enough: that each has an `/n` is said below the table.
    return [(a.path, a.values, a.doc) for a in addresses() if a.param is None]


def _notes(quote: str) -> list[str]:
    return [
        f"Every parameter of an effect, and the two gains, also take 0 to 1 over their range: add {quote}/n{quote}.",
        "An address without a value asks for it. Values out of range are clamped, and the clamped one is sent back.",
    ]
