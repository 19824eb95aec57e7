"""Describe an LV2 plug-in in Turtle: its ports, and every preset that can be loaded into it."""

from collections.abc import Iterator

from ... import presets
from ...chain.numbered import Numbered, parameters, path_values
from ...native.meters import METER_LABELS, METER_RANGE_DB
from ...presets import Preset
from ...presets.lv2_writer import ORDER_TURTLE, PREFIXES, lv2_preset, manifest_entry, prefixes, slug, text, uri

MORE_PREFIXES = {
    "doap": "http://usefulinc.com/ns/doap#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "pprops": "http://lv2plug.in/ns/ext/port-props#",
    "units": "http://lv2plug.in/ns/extensions/units#",
    "urid": "http://lv2plug.in/ns/ext/urid#",
}
CHANNELS = {1: (("", ""),), 2: (("_left", " left"), ("_right", " right"))}


def about(preset: Preset) -> str:
    """Say of a plug-in what it is."""
    return preset.notes or f"The sound of {preset.name}, by afx-live."


def turtle(preset: Preset, name: str, library: str) -> dict[str, str]:
    """Write every file of the bundle but the library; returns text by file name."""
    head, both = prefixes({**MORE_PREFIXES, **PREFIXES}), [uri(name), uri(name, 1)]
    bank = {f"{uri(name)}:preset:{slug(n)}": presets.load_factory(n) for n in presets.factory_names()}
    plugins = "".join(
        f"<{u}>\n    a lv2:Plugin ;\n    lv2:binary <{library}> ;\n    rdfs:seeAlso <plugin.ttl> .\n\n" for u in both
    )
    entries = "".join(f"{manifest_entry(p.name, u, both, 'presets.ttl')}\n" for u, p in bank.items())
    return {
        "manifest.ttl": head + plugins + entries,
        "plugin.ttl": head + ORDER_TURTLE + "".join(_plugin(preset, name, channels) for channels in (2, 1)),
        "presets.ttl": head + "".join(lv2_preset(p.name, p.settings, p.amount, u, both) for u, p in bank.items()),
    }


def _plugin(preset: Preset, name: str, channels: int) -> str:
    ports = " , ".join(f"[\n{port}    ]" for port in _ports(preset, channels))
    title = name if channels == 2 else f"{name} (mono)"
    return (
        f"<{uri(name, channels)}>\n    a lv2:Plugin , doap:Project ;\n    doap:name {text(title)} ;\n"
        "    doap:license <http://www.apache.org/licenses/LICENSE-2.0> ;\n"
        '    doap:maintainer [ foaf:name "afx-live" ] ;\n'
        "    lv2:minorVersion 2 ;\n    lv2:microVersion 0 ;\n"
        f"    rdfs:comment {text(about(preset))} ;\n"
        "    lv2:optionalFeature lv2:hardRTCapable , urid:map ;\n"
        "    lv2:extensionData state:interface ;\n"
        f"    lv2:port {ports} .\n\n"
    )


def _ports(preset: Preset, channels: int) -> Iterator[str]:
    """In the order that lv2.c connects them in."""
    values = path_values(preset.settings, preset.amount)
    index = 0
    for way, title in (("in", "In"), ("out", "Out")):
        for end, words in CHANNELS[channels]:
            kind = "lv2:InputPort" if way == "in" else "lv2:OutputPort"
            yield _port(index, f"lv2:AudioPort , {kind}", way + end, title + words)
            index += 1
    for q in parameters():
        yield _control(index, q, values[q.path])
        index += 1
    latency = "lv2:designation lv2:latency ;\n        lv2:portProperty lv2:reportsLatency , lv2:integer ;"
    yield _port(index, "lv2:ControlPort , lv2:OutputPort", "latency", "Latency", f"        {latency}\n")
    for symbol, label in METER_LABELS.items():
        index += 1
        unit = "        units:unit units:db ;\n" if symbol.endswith("_db") else ""
        unit += _range(*METER_RANGE_DB, default=0.0)
        yield _port(index, "lv2:ControlPort , lv2:OutputPort", symbol, label, unit)


def _port(index: int, kind: str, symbol: str, name: str, more: str = "") -> str:
    return (
        f"        a {kind} ;\n        lv2:index {index} ;\n{more}"
        f'        lv2:symbol "{symbol}" ;\n        lv2:name {text(name)}\n'
    )


def _range(low: float, high: float, default: float) -> str:
    return f"        lv2:default {default!r} ;\n        lv2:minimum {low!r} ;\n        lv2:maximum {high!r} ;\n"


def _control(index: int, q: Numbered, value: float) -> str:
    kind = "lv2:ControlPort , lv2:InputPort"
    if q.path == "bypass":  # what hosts know is its opposite
        more = "        lv2:designation lv2:enabled ;\n        lv2:portProperty lv2:toggled , lv2:integer ;\n"
        return _port(index, kind, "enabled", "Enabled", more + _range(0.0, 1.0, 1.0 - value))
    more = _range(q.param.low, q.param.high, float(value)) + f"        rdfs:comment {text(q.param.doc)} ;\n"
    if q.switch:
        more += "        lv2:portProperty lv2:toggled , lv2:integer ;\n"
    elif q.param.curve == "log":
        more += "        lv2:portProperty pprops:logarithmic ;\n"
    if q.unit:
        more += f"        units:unit units:{q.unit} ;\n"
    return _port(index, kind, q.symbol, q.label, more)
