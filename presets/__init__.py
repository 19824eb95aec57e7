"""Presets: what a chain is set to, as JSON; where it came from; and the clips and models that come with the program.

`load("telephone")` gives a factory preset or one of the user's, `save` writes one. `clip` and `SHIPPED_MODEL`
are files beside this one. Imports neither torch nor an audio device.

preset           a preset as JSON
provenance       where settings come from
bundled          clips and models
plugin_state     presets as plug-ins keep them
lv2_reader       presets as hosts save them for LV2 plug-ins; turtle_reader: their language
lv2_writer       presets for LV2 hosts
other_programs/  presets for other programs
"""

from .bundled import DEMO_REFERENCES, MODELS, SHIPPED_MODEL, clip, clips
from .preset import (
    Preset,
    PresetError,
    factory_names,
    fitting_name,
    folder,
    from_json,
    load,
    load_factory,
    names,
    save,
    to_json,
)
from .provenance import choices_data, provenance

__all__ = [
    "DEMO_REFERENCES",
    "MODELS",
    "SHIPPED_MODEL",
    "Preset",
    "PresetError",
    "choices_data",
    "clip",
    "clips",
    "factory_names",
    "fitting_name",
    "folder",
    "from_json",
    "load",
    "load_factory",
    "names",
    "provenance",
    "save",
    "to_json",
]
