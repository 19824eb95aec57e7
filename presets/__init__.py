"""Presets: what a chain is set to, as JSON; where it came from; and the clips and models that come with the program.

`load("telephone")` gives a factory preset or one of the user's, `save` writes one. `clip` and `SHIPPED_MODEL`
are files beside this one; `schema` checks JSON for other rooms, too. Imports neither torch nor an audio device.
"""

from .bundled import MODELS, SHIPPED_MODEL, clip, clips
from .preset import Preset, PresetError, factory_names, folder, from_json, load, load_factory, names, save, to_json
from .provenance import choices_data, provenance

__all__ = [
    "MODELS",
    "SHIPPED_MODEL",
    "Preset",
    "PresetError",
    "choices_data",
    "clip",
    "clips",
    "factory_names",
    "folder",
    "from_json",
    "load",
    "load_factory",
    "names",
    "provenance",
    "save",
    "to_json",
]
