"""Describe to C what the compiled code works on: records, tables, parameters. All of it is derived."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..chain.numbered import order, parameters
from ..chain.player import PLAYER_STATE, SLOTS
from ..effects import MAX_PARAMS, built_in, load, number_of
from ..realtime.audio.engine import CROSSFADE_S, ENGINE_STATE
from ..realtime.audio.safety import LOOKAHEAD
from ..realtime.audio.shared_memory import COMMAND, METERS
from .compile import symbol
from .entries import INSTANCE, KINDS, LOUDNESS_SIZE, RING
from .meters import METER_LABELS, METER_RANGE_DB, REDUCTIONS

C_TYPES = {"int64": "int64_t", "float64": "double"}
MIN_RATE, MAX_RATE = 8000.0, 192_000.0
CURVES = {"linear": "AFX_LINEAR", "log": "AFX_LOG", "slope": "AFX_SLOPE"}


def header(levels: Sequence[str]) -> str:
    """Write the C header that `afx.c` includes: what the objects of these levels hold."""
    return "\n".join([*_records(), *_numbers(), *_parameters(), *_effects(), *_meters(), *_levels(levels), ""])


def _records() -> Iterator[str]:
    yield "/* Written by afx_live.native.describe: do not edit. */"
    for name, record in (("afx_meters", METERS), ("afx_command", COMMAND), ("afx_instance", INSTANCE)):
        fields: Any = dict(record.fields or {})
        yield f"struct {name} {{"
        for field, (kind, *_) in fields.items():
            length = "".join(f"[{n}]" for n in kind.shape)
            yield f"    {C_TYPES[kind.base.name]} {field}{length};"
        yield "};"
        yield f'_Static_assert(sizeof(struct {name}) == {record.itemsize}, "{name}");'
        for field, (_, offset, *_) in fields.items():
            yield f'_Static_assert(offsetof(struct {name}, {field}) == {offset}, "{name}.{field}");'


def _numbers() -> Iterator[str]:
    constants = {
        "AFX_ENGINE_SIZE": ENGINE_STATE.itemsize,
        "AFX_PLAYER_SIZE": PLAYER_STATE.itemsize,
        "AFX_LOUDNESS_SIZE": LOUDNESS_SIZE,
        "AFX_RING": RING,
        "AFX_CROSSFADE_S": CROSSFADE_S,
        "AFX_ENGINE_LATENCY": LOOKAHEAD,
        "AFX_SLOTS": SLOTS,
        "AFX_PLACES": MAX_PARAMS,
        "AFX_EFFECTS": KINDS,
        "AFX_PARAMS": len(parameters()),
        "AFX_GAIN_KIND": number_of("gain"),
        "AFX_MIN_RATE": MIN_RATE,
        "AFX_MAX_RATE": min(MAX_RATE, *(load(name).max_rate for name in built_in())),
        "AFX_METER_LOW_DB": METER_RANGE_DB[0],
    }
    for name, value in constants.items():
        yield f"#define {name} {value}"


def _parameters() -> Iterator[str]:
    yield "static const struct afx_param afx_params[AFX_PARAMS] = {"
    for q in parameters():
        p = q.param
        neutral = "NAN" if p.neutral is None else repr(p.neutral)
        text = ", ".join(json.dumps(t) for t in (q.path, q.effect or "", q.label, q.unit, p.doc))
        yield (
            f"    {{{text}, {p.low!r}, {p.high!r}, {p.default!r}, {neutral}, {CURVES[p.curve]}, {int(q.switch)}}},"
        )  # fmt: skip
    yield "};"
    whole = (f"AFX_{q.path.upper()} = {q.number}" for q in parameters() if q.effect is None)
    yield f"enum {{ {', '.join(whole)} }};"


def _effects() -> Iterator[str]:
    """In the order of parameters: where they begin, how many there are, the kind that the engine calls it, latency."""
    yield "static const struct afx_effect { const char *name; int first, count, kind, latency; }"
    yield "afx_effects[AFX_EFFECTS] = {"
    for name in order():
        first = next(q.number for q in parameters() if q.effect == name)
        e = load(name)
        yield f'    {{"{name}", {first}, {len(e.params)}, {number_of(name)}, {e.latency}}},'
    yield "};"
    effects = [load(name) for name in built_in()]  # the engine's tables are in the order of kinds
    gauges = (str(-1 if e.meter is None else e.meter) for e in effects)
    yield "static const int64_t afx_gauge[AFX_EFFECTS] = {" + ", ".join(gauges) + "};"
    yield "static const int64_t afx_counts[AFX_EFFECTS] = {" + ", ".join(str(len(e.params)) for e in effects) + "};"
    rows = ("{" + ", ".join(str(int(p.curve != "linear")) for p in e.params) + "}" for e in effects)
    yield "static const bool afx_log[AFX_EFFECTS][AFX_PLACES] = {" + ", ".join(rows) + "};"


def _meters() -> Iterator[str]:
    """By number: the name, and the effect whose gain reduction it is, or -1."""
    yield f"enum {{ {', '.join(f'AFX_{meter.upper()}' for meter in METER_LABELS)}, AFX_METERS }};"
    yield "static const struct { const char *name; int effect; } afx_metered[AFX_METERS] = {"
    for meter in METER_LABELS:
        yield f'    {{"{meter}", {order().index(REDUCTIONS[meter]) if meter in REDUCTIONS else -1}}},'
    yield "};"


def functions_header(levels: Sequence[str], sources: Sequence[str]) -> str:
    """Write the C header that `python.c` includes: what the objects hold for Python, and what they were made of."""
    from .functions import table

    rows = [(name, [symbol(level, entry) for level in levels]) for name, entry in table()]
    return "\n".join(
        [
            *(f"void {each}(void);" for _, symbols in rows for each in symbols),
            f"enum {{ AFX_FUNCTION_LEVELS = {len(levels)} }};",
            "static const struct { const char *name; void (*at[AFX_FUNCTION_LEVELS])(void); } functions[] = {",
            *(f'    {{"{name}", {{{", ".join(symbols)}}}}},' for name, symbols in rows),
            "};",
            f"static const char sources[] = {json.dumps(chr(10).join(sources))};",
            "",
        ]
    )


LEVEL = """\
struct afx_level {
    const char *name;
    void (*play)(int64_t in, int64_t out, int64_t frames, int64_t instance);
    void (*begin)(int64_t instance);
    void (*design[AFX_EFFECTS])(void), (*kernel[AFX_EFFECTS])(void); /* for the engine, in its own convention */
    int64_t (*size[AFX_EFFECTS])(double sample_rate, int64_t channels);
    double (*tail[AFX_EFFECTS])(int64_t values);
};"""


def _levels(levels: Sequence[str]) -> Iterator[str]:
    yield LEVEL
    for level in levels:
        yield f"void {symbol(level, 'play')}(int64_t, int64_t, int64_t, int64_t);"
        yield f"void {symbol(level, 'begin')}(int64_t);"
        for name in built_in():
            yield f"void {symbol(level, f'design_{name}')}(void);"
            yield f"void {symbol(level, f'kernel_{name}')}(void);"
            yield f"int64_t {symbol(level, f'size_{name}')}(double, int64_t);"
            if load(name).tail:
                yield f"double {symbol(level, f'tail_{name}')}(int64_t);"
    yield "static const struct afx_level afx_levels[] = {"
    for level in levels:
        yield f'    {{"{level}", {symbol(level, "play")}, {symbol(level, "begin")},'
        for entry in ("design", "kernel", "size"):
            yield "     {" + ", ".join(symbol(level, f"{entry}_{name}") for name in built_in()) + "},"
        tails = (symbol(level, f"tail_{name}") if load(name).tail else "0" for name in built_in())
        yield "     {" + ", ".join(tails) + "}},"
    yield "};"
    yield f"#define AFX_LEVELS {len(levels)}"
