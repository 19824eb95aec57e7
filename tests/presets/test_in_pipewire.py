"""The filter-chain that PipeWire plays, in PipeWire; and the whole chain in it, as a node with our plug-in."""

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.export.plugin import make_plugin
from afx_live.presets import Preset, other_programs
from afx_live.realtime.audio.engine import Engine
from support.filter_chain import PipeWire, missing

RATE = 48000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"no {missing()}; Debian: pipewire wireplumber dbus"),
]
NODE = """
context.modules = [ { name = libpipewire-module-filter-chain args = {
    filter.graph = { nodes = [ { type = lv2 name = afx plugin = "urn:afx-live:plugin:lo-fi" } ] }
    audio.channels = 2 audio.position = [ FL FR ]
    capture.props = { node.name = "effect_input.lo-fi" media.class = Audio/Sink }
    playback.props = { node.name = "effect_output.lo-fi" node.passive = true }
} } ]
"""


def sound():
    """Silence, then what is easily found again, then noise."""
    x = np.zeros((4 * RATE, 2), np.float32)
    x[RATE : 2 * RATE] = np.random.default_rng(0).uniform(-0.1, 0.1, (RATE, 2))
    return x


def aligned(recorded, wanted):
    """Cut from a recording the stretch that fits best; PipeWire begins when it likes."""
    size = 1 << int(np.ceil(np.log2(len(recorded) + len(wanted))))
    product = np.fft.rfft(recorded[:, 0], size) * np.conj(np.fft.rfft(wanted[:, 0], size))
    late = int(np.fft.irfft(product, size).argmax())
    late -= size if late > size // 2 else 0
    first, last = RATE // 2, 3 * RATE
    return recorded[first + late : last + late], wanted[first:last]


@pytest.mark.parametrize(
    "effect",
    [
        EffectSettings("equaliser", {"low_shelf_db": 6.0, "peak_2_db": -7.0, "peak_4_q": 4.0, "peak_4_db": 9.0}),
        EffectSettings("reverb", {"rt60_s": 0.5, "mix": 0.4, "width": 0.6}),
    ],
    ids=lambda e: e.effect,
)
def test_pipewire_plays_what_we_play(tmp_path, effect):
    settings = ChainSettings((effect,), -3.0, 1.5)
    pipewire = PipeWire(tmp_path)
    other_programs.write(Preset("sound", settings), "pipewire", pipewire.configuration / "sound.conf")
    with pipewire:
        recorded = pipewire.play("sound", sound(), RATE)
    theirs, ours = aligned(recorded, ChainPlayer(settings, RATE).play(sound()))
    assert np.abs(ours).max() > 0.05
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=3e-4 * np.abs(ours).max())  # its filters are float32


def test_our_plug_in_is_a_node(tmp_path):
    make_plugin(presets.load("lo-fi"), tmp_path / "lo-fi.lv2")
    pipewire = PipeWire(tmp_path, {"LV2_PATH": f"{tmp_path}:/usr/lib/lv2"})
    (pipewire.configuration / "lo-fi.conf").write_text(NODE)
    with pipewire:
        recorded = pipewire.play("lo-fi", sound(), RATE)
    theirs, ours = aligned(recorded, Engine(presets.load("lo-fi").settings, RATE).process(sound()))
    assert np.abs(ours).max() > 0.05
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)
