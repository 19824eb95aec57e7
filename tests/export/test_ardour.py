"""Our LV2 plug-in in Ardour, without a screen: the engine's samples, in time; what it saves is a preset."""

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.chain.numbered import path_values
from afx_live.export.plugin import make_plugin
from afx_live.presets.lv2_writer import uri, write_lv2
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.safety import LOOKAHEAD
from support import ardour

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ardour.programs(), reason="no Ardour; Debian: ardour"),
]


def played(x: np.ndarray, settings: ChainSettings) -> np.ndarray:
    late = LOOKAHEAD + settings.latency
    return Engine(settings, ardour.RATE).process(np.concatenate([x, np.zeros((late, 2), np.float32)]))[late:]


@pytest.mark.parametrize("preset", ["", "My hall"])
def test_ardour_exports_what_the_engine_plays(tmp_path, preset):
    make_plugin(presets.load("lo-fi"), tmp_path / "lo-fi.lv2")
    write_lv2("My hall", presets.load("hall").settings, 1.0, tmp_path / "mine.lv2", "lo-fi")
    assert uri("lo-fi") in (tmp_path / "mine.lv2" / "manifest.ttl").read_text()
    x = np.random.default_rng(3).uniform(-0.3, 0.3, (48000, 2)).astype(np.float32)
    y = ardour.play(x, uri("lo-fi"), str(tmp_path), tmp_path, preset)
    want = played(x, presets.load("hall" if preset else "lo-fi").settings)
    np.testing.assert_allclose(y[: len(want)], want, rtol=0, atol=1e-6)  # Ardour makes up for the latency that is told


def test_a_preset_that_ardour_saved_is_one_of_ours(tmp_path):
    make_plugin(presets.load("lo-fi"), tmp_path / "lo-fi.lv2")
    hall = presets.load("hall").settings
    turned = ChainSettings(hall.effects[::-1], 1.5, -2.5)
    write_lv2("My hall", turned, 0.75, tmp_path / "mine.lv2", "lo-fi")
    saved = presets.load(ardour.save_preset(uri("lo-fi"), str(tmp_path), tmp_path, "My hall", "Größe 1"))
    assert (saved.name, saved.amount) == ("Größe 1", 0.75)
    assert path_values(saved.settings) == pytest.approx(path_values(turned), rel=1e-6)
    on = [[step.effect for step in each.effects if step.enabled] for each in (saved.settings, turned)]
    assert on[0] == on[1]
