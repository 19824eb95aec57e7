"""Files for other programs' OSC, made from the table: REAPER's patterns and sliders, an Open Stage Control session.

The formats are those of REAPER's `Default.ReaperOSC` and of its source of the OSC surface, of JSFX, and
of Open Stage Control 1.x, whose widgets' properties are written only where they differ from the default.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ...dsp.units import UNITS
from .addresses import DUMP, METER, NUMBERED, PANIC, ROOT, SUBSCRIBE, Address, addresses, numbered

Widget = dict[str, Any]
METERS_DB = (-60.0, 0.0)
ON_CREATE = f"""\
send('{SUBSCRIBE}')
send('{DUMP}')
setInterval('afx', () => {{ send('{SUBSCRIBE}') }}, 10000)
"""
"""A page asks for feedback when it opens, and again every 10 s: a subscription lasts 30."""


def reaper_osc() -> str:
    """Write a .ReaperOSC file: parameter k of the first effect on track 1 is what NUMBERED k sets, and back."""
    moved = numbered()
    root = NUMBERED.rpartition("/1/1/")[0]
    lines = [
        "# afx-live: the patterns by which REAPER controls it, and follows it.",
        "# Parameter k of the first effect on track 1 is number k below. Put there the effect that",
        "# `afx-live osc --reaper-effect FILE` writes; numbers from other tracks and effects are ignored.",
        "# Written by `afx-live osc --reaper`; a new effect changes the numbers: write it again. See docs/osc.md.",
        "",
        "DEVICE_TRACK_COUNT 8",
        "DEVICE_FX_COUNT 8",
        f"DEVICE_FX_PARAM_COUNT {len(moved)}",
        "REAPER_TRACK_FOLLOWS REAPER",
        "DEVICE_TRACK_FOLLOWS DEVICE",
        "DEVICE_TRACK_BANK_FOLLOWS DEVICE",
        "DEVICE_FX_FOLLOWS DEVICE",
        "",
        f"FX_PARAM_VALUE n{root}/@/@/@",
        "",
        *(f"# {k:3}  {a.target}" for k, a in enumerate(moved, 1)),
    ]
    return "\n".join(lines) + "\n"


def reaper_effect() -> str:
    """Write a JSFX that has the numbered addresses as sliders, and leaves the audio alone."""
    lines = [
        "desc:afx-live control",
        "// Passes the audio through. Automate its sliders; OSC carries them to afx-live.",
        "",
    ]
    for k, a in enumerate(numbered(), 1):
        unit = a.param.unit(a.param.default) if a.param else a.start or 0.0
        steps = "1{off,on}" if a.kind == "bool" else "0.0001"
        lines.append(f"slider{k}:{unit:.4g}<0,1,{steps}>{_words(a.target)}{_native(a)}")
    return "\n".join([*lines, "", "@sample"]) + "\n"


def open_stage_control() -> str:
    """Write an Open Stage Control session: a page for the whole, and one for each effect and the gains."""
    table = [a for a in addresses() if a.param is None]
    stages: dict[str, list[Address]] = {}
    for a in table:
        if a.kind != "meter" and not _is_of_all(a):
            stages.setdefault(a.path.split("/")[2], []).append(a)
    gains = [a for stage in ("input", "output") for a in stages.pop(stage)]
    pages = [_main_page(table), *(_page(name, mine) for name, mine in stages.items()), _page("gains", gains)]
    root = {"type": "root", "id": "root", "onCreate": ON_CREATE, "tabs": pages}
    session = {"createdWith": "Open Stage Control", "version": "1.26.0", "type": "session", "content": root}
    return json.dumps(session, indent=2) + "\n"


def _is_of_all(address: Address) -> bool:
    """Tell whether an address concerns the whole, not an effect or a gain."""
    first, _, rest = address.path.removeprefix(ROOT).partition("/")
    return not rest or first in ("preset", "morph", "panic")


def _main_page(table: Sequence[Address]) -> Widget:
    """Everything outside the effects: switches, amount and morph, names, meters."""
    whole = [a for a in table if _is_of_all(a)]
    switches = [_button(a) for a in whole if a.kind in ("bool", "trigger")]
    faders = [{**_fader(a), "horizontal": True} for a in whole if a.kind == "float"]
    texts = [_input(a) for a in whole if a.kind == "string"]
    meters = [_meter(a) for a in table if a.kind in ("meter", "told")]
    rows = [
        _panel("switches", switches, "horizontal", height=90),
        _panel("how_far", faders, "vertical", expand=True),
        _panel("names", texts, "horizontal", height=90),
        _panel("meters", meters, "horizontal", expand=True),
    ]
    return {"type": "tab", "id": "main", "layout": "vertical", "widgets": rows}


def _page(name: str, mine: Iterable[Address]) -> Widget:
    made = [_button(a) if a.kind == "bool" else _fader(a) for a in mine]
    panel = _panel(f"{name}_panel", made, "horizontal", expand=True)
    return {"type": "tab", "id": name, "layout": "vertical", "widgets": [panel]}


def _panel(name: str, widgets: Sequence[Widget], layout: str, **more: Any) -> Widget:
    return {"type": "panel", "id": name, "layout": layout, **more, "widgets": list(widgets)}


def _widget(kind: str, address: Address, **more: Any) -> Widget:
    name = address.path.removeprefix(ROOT).replace("/", "_")
    return {"type": kind, "id": name, "expand": True, "address": address.path, **more}


def _fader(address: Address) -> Widget:
    return _widget(
        "fader",
        address,
        typeTags="f",
        html=_label(address),
        design="compact",
        doubleTap=False,
        decimals=3,
        range={"min": address.low, "max": address.high},
        logScale=_logarithmic(address),
    )


def _meter(address: Address) -> Widget:
    if address.unit not in (UNITS["db"], UNITS["lufs"]):
        return _widget("text", address, html=_label(address), decimals=2, bypass=True)
    low, high = METERS_DB
    return _widget(
        "fader",
        address,
        html=_label(address),
        design="compact",
        interaction=False,
        decimals=1,
        bypass=True,
        range={"min": low, "max": high},
    )


def _button(address: Address) -> Widget:
    mode = "tap" if address.kind == "trigger" else "toggle"
    # Panic shows what the program sends back, as a second touch does not end it.
    return _widget(
        "button",
        address,
        label=_words(address.path),
        mode=mode,
        on=1,
        off=0,
        typeTags="f",
        decoupled=address.path == PANIC,
        wrap=True,
    )


def _input(address: Address) -> Widget:
    return _widget("input", address, html=_label(address), typeTags="s", align="left")


def _words(path: str) -> str:
    return path.removeprefix(ROOT).replace("/", " ").replace("_", " ")


def _label(address: Address) -> str:
    last = address.path.removeprefix(METER).removeprefix(ROOT).split("/")
    return " ".join(last if len(last) < 2 or address.kind != "float" else last[1:]).replace("_", " ")


def _native(numbered: Address) -> str:
    """Give what 0 and 1 are in native units."""
    if numbered.param is None or numbered.kind == "bool":
        return ""
    return f" ({numbered.param.low:g} to {numbered.param.high:g})"


def _logarithmic(address: Address) -> bool:
    """Tell whether a fader in native units moves in equal ratios."""
    twin = next((a for a in addresses() if a.target == address.path and a.param), None)
    return bool(twin and twin.param and twin.param.curve == "log")
