"""The parts of the status view, each a few rows for a given width: levels, effects, spectra, status, messages."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from ...dsp.units import UNITS, in_hz, unit_of
from ..audio.health import drop_outs
from .braille_plot import LEGEND, plot

LABEL = 13
"""Cells of the first column."""
FLOOR_DB, MAX_REDUCTION_DB = -60.0, 18.0
"""Where the bars of levels begin, and where those of gain reduction end."""
GOOD, WARN, BAD, QUIET, STRONG = "green", "yellow", "bold red", "dim", "bold"


@dataclass(frozen=True)
class Meters:
    """Meters as they are shown. `fast` feeds the bars, `slow` the numbers, which nobody could read at that rate.

    Both are meters by name, as docs/status_file.md lists them. hold_db: peaks in and out that are held; limited_db:
    the most that the safety limiter took lately; recent: drop-outs in the last half minute; still_s: how long no
    callback came.
    """

    fast: Mapping[str, Any] = field(default_factory=dict)
    slow: Mapping[str, Any] = field(default_factory=dict)
    hold_db: tuple[float, float] = (-math.inf, -math.inf)
    limited_db: float = 0.0
    recent: int = 0
    still_s: float = 0.0


Make = Text | Callable[[Meters], Text]
"""A row, or what makes it from the meters."""
Status = Mapping[str, Any]
"""What docs/status_file.md describes."""


# --- words and numbers ----------------------------------------------------------------------------


def clean(text: Any) -> str:
    """Make a text safe for a terminal: file names may hold anything."""
    return "".join(c if c.isprintable() else "·" for c in str(text))


def number(value: Any, form: str = ".1f") -> str:
    """Format a number; what is not finite, or missing, is a dash."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–".rjust(int("0" + form.partition(".")[0].strip("+dg")))
    return format(int(value) if form.endswith("d") else value, form)


def decibels(gain: Any) -> float:
    """Turn a linear level into dB; -inf for silence, and for what is no number."""
    return 20.0 * math.log10(gain) if isinstance(gain, int | float) and 1e-6 < gain < math.inf else -math.inf


def _label(text: str, style: str = QUIET) -> Text:
    return Text(clean(text)[: LABEL - 1].ljust(LABEL), style, end="")


def _value(name: str, value: float) -> str:
    """Write a parameter with its unit: rt60_s 0.6 becomes `rt60 0.6 s`."""
    unit = unit_of(name)
    words = name.removesuffix(f"_{unit}").replace("_", " ")
    if not unit:
        return f"{words} {value:.2f}"
    if unit == "hz":
        return f"{words} {in_hz(value)}"
    digits = 2 if unit == "s" or abs(value) < 10 else 1
    return f"{words} {value:.{digits if unit != 'db' else 1}f} {UNITS[unit]}"


def _values(values: Mapping[str, float]) -> list[str]:
    """Write every parameter; a frequency, a gain and a Q of one name are one band."""
    said, done = [], set()
    for name, value in values.items():
        stem, _, unit = name.rpartition("_")
        band = [f"{stem}_{u}" for u in ("hz", "db", "q")]
        if stem and unit in ("hz", "db", "q") and all(b in values for b in band):
            if stem not in done:
                done.add(stem)
                hz, db, q = (values[b] for b in band)
                said.append(f"{stem.replace('_', ' ')} {db:+.1f} dB @ {in_hz(hz)} Q {q:.2f}")
        else:
            said.append(_value(name, value))
    return said


# --- sections -------------------------------------------------------------------------------------


def header(state: Status) -> Text:
    text = Text.assemble(("afx-live", STRONG), "   ", end="")
    if state["stream"]["running"]:
        text.append("● playing", GOOD)
    else:
        text.append(f"◌ waiting for {clean(state['stream'].get('output', 'the device'))}", WARN)
    for flag, word, style in (("muted", "MUTED", BAD), ("bypass", "DRY", WARN), ("frozen", "FROZEN", "cyan")):
        if state[flag]:
            text.append(f"   {word}", style)
    text.append(f"   amount {state['amount']:.0%}")
    if state.get("boldness") is not None and state["reference"]:
        text.append(f"   boldness {state['boldness']:.0%}")
    for key, word in (("reference", "like"), ("preset", "preset")):
        if state[key]:
            text.append(f"   {word} ", QUIET).append(clean(state[key]))
    return text


def _bar(width: int, solid: float, dashed: float = 0.0, tick: float = -1.0, style: str = GOOD) -> Text:
    """Draw shares of a bar: solid, then dashed, then the track, and a tick; their shapes differ, too."""
    a, b, at = (round(width * min(s, 1.0)) for s in (max(solid, 0.0), max(solid, dashed, 0.0), tick))
    return _drawn(width, a, b, at - 1, style)


@lru_cache(512)
def _drawn(width: int, solid: int, dashed: int, tick: int, style: str) -> Text:
    cells = "━" * solid + "╍" * (dashed - solid) + "─" * (width - dashed)
    text = Text(end="")
    for start, end in ((0, dashed), (dashed, width)):
        look = style if start < dashed else QUIET
        if start <= tick < end:
            text.append(cells[start:tick], look).append("┃", STRONG)
            start = tick + 1
        text.append(cells[start:end], look)
    return text


def _share(db: float) -> float:
    return 1.0 - max(db, FLOOR_DB) / FLOOR_DB if db > -math.inf else 0.0


def levels(state: Status, width: int) -> list[Make]:
    """Input and output: RMS solid, peak dashed, the held peak a tick; in numbers the held peak, RMS, loudness."""
    roomy, tight = width >= 100, width < 60
    bar = max(width - LABEL - (38 if roomy else 17 if tight else 29), 8)

    def row(which: str, index: int) -> Callable[[Meters], Text]:
        def make(m: Meters) -> Text:
            peak, rms = decibels(m.fast.get(f"{which}_peak")), decibels(m.fast.get(f"{which}_rms"))
            hold = m.hold_db[index]
            style = BAD if hold > -0.1 else WARN if hold > -3.0 else GOOD
            text = _label(which) + _bar(bar, _share(rms), _share(peak), _share(hold), style)
            if not tight:
                text.append(f"  {number(hold, '5.1f')} peak")
            if roomy:
                text.append(f" {number(decibels(m.slow.get(f'{which}_rms')), '5.1f')} rms", QUIET)
            return text.append(f" {number(m.slow.get(f'{which}_lufs'), '6.1f')} LUFS ", STRONG)

        return make

    scale = [" "] * bar
    for db in range(int(FLOOR_DB), 0, 12 if bar >= 30 else 30):
        at = round(bar * _share(db))
        scale[at : at + len(str(db))] = str(db)
    target = state["target_lufs"]
    aim = f"target {number(target, '.1f')} LUFS" if target is not None else "target: as loud as the input"
    last = _label("dBFS") + Text("".join(scale)[:bar], QUIET)
    used = cell_len(last.plain)
    last.append(f"{aim:>{width - used - 1}}" if len(aim) < width - used else f"  {aim}", QUIET)
    return [row("in", 0), row("out", 1), last]


def dynamics(state: Status, width: int) -> list[Make]:
    """The gain reduction of every effect that has one and is on, and of the safety limiter; two in a row."""
    places = [(s["effect"], i) for i, s in enumerate(state["chain"], 1) if s["dynamics"] and s["on"]]
    gauges: list[tuple[str, int]] = [*places, ("safety", 0)]
    half = width // 2 if width >= 64 else width
    bar = max(half - LABEL - 12, 4)

    def gauge(name: str, place: int, m: Meters) -> Text:
        reductions = m.fast.get("gain_reduction_db", ())
        found = reductions[place] if 0 < place < len(reductions) else 0.0
        down = m.limited_db if place == 0 else found if isinstance(found, float) else math.nan
        share = -down / MAX_REDUCTION_DB if math.isfinite(down) else 0.0
        text = _label(name) + _bar(bar, share, style=WARN if place else BAD)
        return text.append(f" {number(min(down, 0.0), '6.1f')} dB  ")

    def row(some: Sequence[tuple[str, int]]) -> Callable[[Meters], Text]:
        return lambda m: Text("", end="").join([gauge(name, place, m) for name, place in some])

    step = 2 if half < width else 1
    return [row(gauges[i : i + step]) for i in range(0, len(gauges), step)]


def curves(state: Status, width: int, rows: int) -> list[Make]:
    """The plot with its legend; `rows` rows and two."""
    if width < 30:
        return []
    names = ("equaliser", "input", "reference")
    there = {name: tuple(c) if (c := state["curves"][f"{name}_db"]) else None for name in names}
    legend = _label("spectrum")
    for sample, style, name in LEGEND:
        known = there[name] is not None
        missing = {"equaliser": "off", "reference": "none", "input": "silent"}[name]
        legend.append(sample, style).append(f" {name}{'' if known else ': ' + missing}   ", QUIET)
    return [legend, *plot(*there.values(), width, rows)]


def effect(step: Mapping[str, Any], width: int, detail: bool) -> list[Make]:
    """An effect in one row of words, or with every parameter."""
    on = step["on"]
    name = Text.assemble(("● " if on else "○ ", GOOD if on else QUIET), end="")
    name.append(clean(step["effect"])[: LABEL - 3].ljust(LABEL - 2), "" if on else QUIET)
    if not on:
        return [name.append("off", QUIET)]
    if not detail:
        return [name.append(clean(step["says"]))]
    rows: list[Text] = []
    line = name
    for said in _values(step["values"]):
        if cell_len(line.plain) > LABEL and cell_len(line.plain) + len(said) + 3 > width:
            rows.append(line)
            line = Text(" " * LABEL, end="")
        line.append("   " if cell_len(line.plain) > LABEL else "").append(said)
    return [*rows, line]


def gains(state: Status) -> Text:
    """Both ends of the chain."""
    text = Text.assemble(("● ", GOOD), "level".ljust(LABEL - 2), end="")
    return text.append(
        f"{number(state['input_gain_db'], '+.1f')} dB in, {number(state['output_gain_db'], '+.1f')} dB out"
    )


def decided(state: Status) -> list[Make]:
    """How sure the match is of each effect, coloured if it is on; what stayed undecided; nothing before a match."""
    known = [s for s in state["chain"] if s["probability"] is not None]
    told = state.get("explanation") or {}
    text = _label("decided")
    for s in known:
        text.append(f"{clean(s['effect'])} ", QUIET).append(f"{s['probability']:.0%}   ", GOOD if s["on"] else QUIET)
    if told.get("heard_s") is not None:
        text.append(f"heard {told['heard_s']} s{', enough' if told['heard_enough'] else ''}", QUIET)
    rows = [text] if known else []
    for e in told.get("effects", ()):
        if e["why"] == "undecided":
            rows.append(_label("").append(f"{clean(e['effect'])} {clean(e['says'])}", QUIET))
    if told.get("verdict"):
        rows.append(_label("").append(clean(told["verdict"]), GOOD if state.get("reached", True) else WARN))
    return [*rows]


def status(state: Status) -> list[Make]:
    """Load and drop-outs, what to do about them, latency, device."""
    stream, parts = state["stream"], state["latency_ms"]

    def load(m: Meters) -> Text:
        s = m.slow
        text = _label("load").append(f"{number(_percent(s.get('load')), '3.0f')} %", STRONG)
        text.append(f" at most {number(_percent(s.get('load_max')), '.0f')} %  ", QUIET)
        counts = (
            ("xruns", [s.get("input_overflows"), s.get("output_underflows")]),
            ("late", [s.get("late")]),
            ("muted", [s.get("muted_blocks")]),
            ("limited", [s.get("clipped")]),
        )
        for name, values in counts:
            trouble = name != "limited" and any(values)
            text.append(f"{name} ", QUIET).append(" + ".join(number(v, "d") for v in values), WARN if trouble else "")
            text.append("  ")
        return text

    total = sum(parts.values())
    delay = _label("latency").append(f"{number(total)} ms", STRONG)
    delay.append(" = " + " + ".join(f"{number(ms)} {name}" for name, ms in parts.items()), QUIET)
    names = dict.fromkeys(clean(stream.get(end, "?")) for end in ("input", "output"))
    device = f"{' → '.join(names)} ({clean(stream.get('api', '?'))})   {number(stream.get('sample_rate'), 'g')} Hz   "
    device += f"block {number(stream.get('block_size'), 'd')}"
    osc = f"   osc {clean(state['osc'])}" if state["osc"] else ""
    return [load, lambda m: _advice(state, m), delay, _label("device").append(device + osc)]


def _percent(share: Any) -> float:
    return 100.0 * share if isinstance(share, int | float) else math.nan


def _advice(state: Status, m: Meters) -> Text:
    """Say what is wrong, and what helps; nothing if all is well."""
    stream, s = state["stream"], m.slow
    drops = drop_outs(s)
    if state["error"]:
        return _label("warning", WARN).append(clean(state["error"]), WARN)
    if m.still_s > 1.0:
        return _label("warning", WARN).append(
            f"no audio callback for {m.still_s:.0f} s: the device is not responding", WARN
        )
    if s.get("muted_blocks"):
        return _label("warning", WARN).append("an effect produced NaN and was reset: please report the settings", WARN)
    if not drops:
        return Text()
    if not m.recent:
        return _label("").append(f"{drops} drop-outs so far, none in the last half minute", QUIET)
    unsafe = "" if stream.get("priority") else " (no real-time priority)"
    return _label("advice", WARN).append(f"{drops} drop-outs{unsafe}: {clean(state['advice'])}", WARN)


def messages(state: Status, rows: int) -> list[Make]:
    """The latest messages, the newest last; only their first lines if there is little room."""
    lines: list[Text] = []
    for when, said in reversed(state["messages"]):
        first, *more = str(said).split("\n")
        clock = time.strftime("%H:%M:%S", time.localtime(when))
        rest = more if rows >= 8 else ()
        lines[:0] = [_label(clock).append(clean(first)), *(_label("").append(clean(line.strip())) for line in rest)]
        if len(lines) >= rows:
            break
    return [*lines[max(len(lines) - rows, 0) :], *[Text()] * (rows - len(lines))] if rows > 0 else []


def keys(state: Status) -> Text:
    """What the keys do, in a word or two each."""
    text = Text(end="")
    for key, does in state["keys"]:
        text.append(clean(key), STRONG).append(f" {clean(does).split(':')[0].split(',')[0]}  ", QUIET)
    return text
