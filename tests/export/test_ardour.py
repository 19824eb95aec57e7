"""Our LV2 plug-in in Ardour, exported from its command line: the engine's samples, in time. Debian: ardour."""

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.export.plugin import make_plugin
from afx_live.presets.plugin_state import uri, write_lv2
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
