"""Presets as plug-ins keep them: the state of a CLAP plug-in, and a bundle with an LV2 preset.

Every plug-in that `afx-export plugin` makes has the same parameters, so any preset loads into any of them.
The bytes of a state are described in native/state.c, which reads and writes the same ones.
"""

import re
import struct
from collections.abc import Iterable
from pathlib import Path

from ..chain import ChainSettings
from ..chain.numbered import parameters, path_values, playing_order, settings_of
from ..effects import built_in

MARK = b"AFX1"
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


class StateError(ValueError):
    """Bytes that are no plug-in state."""


def uri(plugin: str, channels: int = 2) -> str:
    """Name a plug-in as LV2 does."""
    return f"urn:afx-live:plugin:{slug(plugin)}" + (":mono" if channels == 1 else "")


def slug(name: str) -> str:
    """Make a name fit for a URI: letters, digits, hyphens.

    >>> slug("Clean guitar +3")
    'clean-guitar-3'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "preset"


def to_state(settings: ChainSettings, amount: float = 1.0) -> bytes:
    """Write settings and amount as the state of a plug-in."""
    playing, values = playing_order(settings), path_values(settings, amount)
    parts = [MARK, struct.pack("<I", len(playing)), *map(_named, playing), struct.pack("<I", len(values))]
    parts += [_named(path) + struct.pack("<d", value) for path, value in values.items()]
    return b"".join(parts)


def _named(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()


def from_state(state: bytes) -> tuple[ChainSettings, float]:
    """Read settings and amount from the state of a plug-in. Raises StateError."""
    try:
        return _read(state)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise StateError(f"is not the state of an afx-live plug-in: {error}") from None


def _read(state: bytes) -> tuple[ChainSettings, float]:
    if not state.startswith(MARK):
        raise StateError("is not the state of an afx-live plug-in: it begins with other bytes")
    at = len(MARK)

    def number() -> int:
        nonlocal at
        at += 4
        return struct.unpack_from("<I", state, at - 4)[0]

    def name() -> str:
        nonlocal at
        size = number()
        if size > len(state) - at:
            raise IndexError("it breaks off")
        at += size
        return state[at - size : at].decode()

    playing = [name() for _ in range(number())]
    values = {}
    for _ in range(number()):
        path = name()
        (values[path],) = struct.unpack_from("<d", state, at)
        at += 8
    known = [effect for effect in playing if effect in built_in()]
    if len(set(known)) != len(known) or any(v != v for v in values.values()):
        raise StateError("is not the state of an afx-live plug-in: an effect twice, or a value that is no number")
    amount = next(q.param for q in parameters() if q.path == "amount")
    return settings_of(values, known), amount.clip(values.get("amount", amount.default))


# --- LV2 ------------------------------------------------------------------------------------------


def prefixes(which: Iterable[str] = PREFIXES) -> str:
    """Write Turtle's head."""
    return "".join(f"@prefix {p}: <{PREFIXES[p]}> .\n" for p in which) + "\n"


def text(words: str) -> str:
    """Write a Turtle string."""
    escaped = words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def lv2_preset(name: str, settings: ChainSettings, amount: float, preset_uri: str, plugins: Iterable[str]) -> str:
    """Describe a preset in Turtle, for the plug-ins of these URIs; needs `prefixes`."""
    ports = [("enabled", 1.0)]  # hosts know the opposite of bypass
    values = path_values(settings, amount)
    ports += [(q.symbol, values[q.path]) for q in parameters() if q.path != "bypass"]
    rows = " , ".join(
        f'[\n        lv2:symbol "{symbol}" ;\n        pset:value {value!r}\n    ]' for symbol, value in ports
    )
    applies = " , ".join(f"<{u}>" for u in plugins)
    state = f"state:state [ <{ORDER}> {text(' '.join(playing_order(settings)))} ]"
    return (
        f"<{preset_uri}>\n    a pset:Preset ;\n    lv2:appliesTo {applies} ;\n    rdfs:label {text(name)} ;\n"
        f"    {state} ;\n    lv2:port {rows} .\n\n"
    )


def write_lv2(name: str, settings: ChainSettings, amount: float, folder: Path, plugin: str = PLAYER) -> None:
    """Write a bundle that holds one preset for a plug-in, mono and stereo. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    here, targets = f"urn:afx-live:preset:{slug(plugin)}:{slug(name)}", [uri(plugin), uri(plugin, 1)]
    applies = " , ".join(f"<{u}>" for u in targets)
    (folder / "manifest.ttl").write_text(
        prefixes(("lv2", "pset", "rdfs"))
        + f"<{here}>\n    a pset:Preset ;\n    lv2:appliesTo {applies} ;\n    rdfs:label {text(name)} ;\n"
        + "    rdfs:seeAlso <preset.ttl> .\n"
    )
    (folder / "preset.ttl").write_text(prefixes() + ORDER_TURTLE + lv2_preset(name, settings, amount, here, targets))
