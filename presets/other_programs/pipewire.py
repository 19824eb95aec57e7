"""PipeWire's filter-chain: a sink that other programs play into (https://docs.pipewire.org/page_module_filter_chain.html).

Its filters are the cookbook's, computed for the rate of the graph. Every node is there once for each channel.
"""

import json

from ...chain import ChainSettings
from .plan import DROPPED, EXACT, IMPULSE, PATHS, Export, bands, number, played, reverb_files

LABELS = {"low_shelf": "bq_lowshelf", "peak": "bq_peaking", "high_shelf": "bq_highshelf"}
SIDES = ("L", "R")


class _Graph:
    """Nodes and links; `ends` are the output ports that what comes next is linked to, left and right."""

    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.links: list[str] = []
        self.ends: list[str] = []
        self.inputs: list[str] = []

    def node(self, name: str, label: str, inner: str) -> None:
        self.nodes.append(f"{{ type = builtin name = {name} label = {label} {inner} }}")

    def link(self, output: str, input: str) -> None:
        self.links.append(f'{{ output = "{output}" input = "{input}" }}')

    def each_side(self, name: str, label: str, inner: str, input: str = "In") -> None:
        """Add a node for each channel behind what there is."""
        new = []
        for i, side in enumerate(SIDES):
            self.node(f"{name}_{side}", label, inner)
            if self.ends:
                self.link(self.ends[i], f"{name}_{side}:{input}")
            else:
                self.inputs.append(f"{name}_{side}:{input}")
            new.append(f"{name}_{side}:Out")
        self.ends = new

    def gain(self, gain_db: float) -> None:
        """Add the half of what there is to itself, scaled: PipeWire up to 0.3 has no gain for a single input."""
        half, before = 0.5 * 10 ** (gain_db / 20), self.ends
        self.each_side("gain", "mixer", f'control = {{ "Gain 1" = {half:.9f} "Gain 2" = {half:.9f} }}', "In 1")
        for end, side in zip(before, SIDES, strict=True):
            self.link(end, f"gain_{side}:In 2")

    def reverb(self, files: list[str]) -> None:
        for path, file in zip(PATHS, files, strict=True):
            self.node(f"reverb_{path}", "convolver", f"config = {{ filename = {quoted(file)} }}")
            self.link(self.ends[SIDES.index(path[0])], f"reverb_{path}:In")
        for side in SIDES:
            self.node(f"reverb_out_{side}", "mixer", "")
            self.link(f"reverb_L{side}:Out", f"reverb_out_{side}:In 1")
            self.link(f"reverb_R{side}:Out", f"reverb_out_{side}:In 2")
        self.ends = [f"reverb_out_{side}:Out" for side in SIDES]


def write(settings: ChainSettings, name: str, sample_rate: float, folder: str = ".") -> Export:
    """Write NAME.conf, and a WAV file for each path of a reverb, which PipeWire wants by its whole path in `folder`."""
    made, graph = Export({f"{name}.conf": b""}), _Graph()
    gain_db = settings.input_gain_db + settings.output_gain_db  # all that is left is linear: one gain will do
    graph.each_side("in", "copy", "")
    for each in played(settings):
        if each.effect == "equaliser":
            for band in bands(each.values):
                values = (("Freq", band.hz), ("Q", band.q), ("Gain", band.gain_db))
                control = " ".join(f'"{key}" = {number(value)}' for key, value in values)
                graph.each_side(f"equaliser_{band.name}", LABELS[band.kind], f"control = {{ {control} }}")
            made.say(each.effect, EXACT, "in float32")
        elif each.effect == "gain":
            gain_db += each.values["gain_db"]
            made.say(each.effect, EXACT)
        elif each.effect == "reverb":
            files = reverb_files(name, each, sample_rate)
            made.files |= files
            graph.reverb([f"{folder}/{file}" for file in files])
            made.say(each.effect, IMPULSE, f"four files at {sample_rate:g} Hz")
        else:
            made.say(each.effect, DROPPED, "none is built in; a node with our LV2 plug-in plays the whole chain")
    if gain_db != 0.0:
        graph.gain(gain_db)
    made.files[f"{name}.conf"] = _module(name, graph).encode()
    return made


def quoted(words: str) -> str:
    """Write a string as PipeWire reads it, which is as JSON does."""
    return json.dumps(words, ensure_ascii=False)


def _module(name: str, graph: _Graph) -> str:
    def listed(parts: list[str], quote: str = "") -> str:
        return "".join(f"\n                    {quote}{part}{quote}" for part in parts) + "\n                "

    return f"""\
# {name}, by afx-live. Put it into ~/.config/pipewire/filter-chain.conf.d/ and run: pipewire -c filter-chain.conf
context.modules = [
    {{ name = libpipewire-module-filter-chain
        args = {{
            node.description = {quoted(name)}
            media.name = {quoted(name)}
            filter.graph = {{
                nodes = [{listed(graph.nodes)}]
                links = [{listed(graph.links)}]
                inputs = [{listed(graph.inputs, '"')}]
                outputs = [{listed(graph.ends, '"')}]
            }}
            audio.channels = 2
            audio.position = [ FL FR ]
            capture.props = {{
                node.name = {quoted(f"effect_input.{name}")}
                media.class = Audio/Sink
            }}
            playback.props = {{
                node.name = {quoted(f"effect_output.{name}")}
                node.passive = true
            }}
        }}
    }}
]
"""
