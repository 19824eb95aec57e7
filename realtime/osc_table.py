"""The OSC addresses, derived from the effects' specs: a new effect is among them by itself."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..effects import Param

Kind = Literal["float", "bool", "string", "trigger"]
UNITS = {"db": "dB", "hz": "Hz", "ms": "ms", "s": "s"}


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
    def values(self) -> str:
        """What it takes, in words."""
        if self.kind == "float":
            return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()
        return {"bool": "0 or 1", "string": "text", "trigger": "1 or none"}[self.kind]


def addresses() -> list[Address]:
    """List every address: those of the whole program, then input, effects by name, output."""
    from .. import effects  # numba comes with them

    gain = effects.load("gain").param("gain_db")
    found = [*_globals(), *_param("input", gain)]
    for name in effects.names():
        if name != "gain":  # it is the input and the output stage
            found.append(_plain(f"/afx/{name}/bypass", "bool", f"1 leaves the {name} out"))
            for param in effects.load(name).params:
                found += _param(name, param)
    return [*found, *_param("output", gain)]


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
    # Room for what is to come: dump, subscribe, meters, morph.
    return (
        _plain("/afx/amount", "float", "how far the sound goes from dry to the match"),
        _plain("/afx/bypass", "bool", "1 plays the input as it is"),
        _plain("/afx/panic", "bool", "1 mutes, and it stays so until 0"),
        _plain("/afx/freeze", "bool", "1 keeps the settings: the input is not followed any more"),
        _plain("/afx/reference", "string", "clip to sound like: its name, or a path in the clip folder"),
        _plain("/afx/preset/load", "string", "preset to load: its name, or a path in the preset folder"),
        _plain("/afx/ping", "trigger", "nothing; answered with 0"),
    )


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
