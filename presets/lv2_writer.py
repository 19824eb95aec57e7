"""A preset in Turtle, as LV2 plug-ins and their hosts read it: for a bundle of its own, or a plug-in's.

Every plug-in that `afx-export plugin` makes has the same parameters, so any preset loads into any of them.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..chain import ChainSettings
from ..chain.numbered import parameters, path_values, playing_order

PREFIXES = {
    "lv2": "http://lv2plug.in/ns/lv2core#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "pset": "http://lv2plug.in/ns/ext/presets#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "state": "http://lv2plug.in/ns/ext/state#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
ORDER = "urn:afx-live:order"
"""The state of an LV2 plug-in: the effects in playing order, with spaces between."""
ORDER_TURTLE = f"""\
<{ORDER}>
    a rdf:Property , owl:DatatypeProperty ;
    rdfs:label "Playing order" ;
    rdfs:comment "The effects in playing order, with spaces between." ;
    rdfs:range xsd:string .

"""
PLAYER = "afx-live"
"""The plug-in that is made without a preset."""


def slug(name: str) -> str:
    """Make a name fit for a URI: letters, digits, hyphens.

    >>> slug("Clean guitar +3")
    'clean-guitar-3'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "preset"


def uri(plugin: str, channels: int = 2) -> str:
    """Name a plug-in as LV2 does."""
    return f"urn:afx-live:plugin:{slug(plugin)}" + (":mono" if channels == 1 else "")


def text(words: str) -> str:
    """Write a Turtle string."""
    escaped = words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def prefixes(which: Mapping[str, str] = PREFIXES) -> str:
    """Write Turtle's head."""
    return "".join(f"@prefix {name}: <{full}> .\n" for name, full in which.items()) + "\n"


def manifest_entry(name: str, preset_uri: str, plugins: Iterable[str], file: str) -> str:
    """List a preset in a manifest: the plug-ins of these URIs have it, and `file` describes it."""
    return f"{_preset(name, preset_uri, plugins)}    rdfs:seeAlso <{file}> .\n"


def lv2_preset(name: str, settings: ChainSettings, amount: float, preset_uri: str, plugins: Iterable[str]) -> str:
    """Describe a preset for the plug-ins of these URIs."""
    ports = [("enabled", 1.0)]  # hosts know the opposite of bypass
    values = path_values(settings, amount)
    ports += [(q.symbol, values[q.path]) for q in parameters() if q.path != "bypass"]
    rows = " , ".join(
        f'[\n        lv2:symbol "{symbol}" ;\n        pset:value {value!r}\n    ]' for symbol, value in ports
    )
    state = f"state:state [ <{ORDER}> {text(' '.join(playing_order(settings)))} ]"
    return f"{_preset(name, preset_uri, plugins)}    {state} ;\n    lv2:port {rows} .\n\n"


def _preset(name: str, preset_uri: str, plugins: Iterable[str]) -> str:
    applies = " , ".join(f"<{u}>" for u in plugins)
    return f"<{preset_uri}>\n    a pset:Preset ;\n    lv2:appliesTo {applies} ;\n    rdfs:label {text(name)} ;\n"


def write_lv2(name: str, settings: ChainSettings, amount: float, folder: Path, plugin: str = PLAYER) -> None:
    """Write a bundle that holds one preset for a plug-in, mono and stereo. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    here, plugins = f"urn:afx-live:preset:{slug(plugin)}:{slug(name)}", [uri(plugin), uri(plugin, 1)]
    used = {prefix: PREFIXES[prefix] for prefix in ("lv2", "pset", "rdfs")}
    (folder / "manifest.ttl").write_text(prefixes(used) + manifest_entry(name, here, plugins, "preset.ttl"))
    (folder / "preset.ttl").write_text(prefixes() + ORDER_TURTLE + lv2_preset(name, settings, amount, here, plugins))
