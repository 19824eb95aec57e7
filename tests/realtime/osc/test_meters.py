"""The engine's meters under their OSC addresses."""

import math
from typing import Any

import numpy as np
import pytest

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.safety import LOOKAHEAD
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.osc.meters import readings


def test_readings_have_every_meter_of_the_table():
    quiet = ChainSettings(
        (EffectSettings("equaliser"), EffectSettings("compressor", {"threshold_db": -60.0, "ratio": 20.0}))
    )
    engine = Engine(quiet, 48000.0)
    engine.process(0.5 * math.sqrt(0.5) * _noise(48000))

    class Live:
        sample_rate = 48000.0
        status = {"input_latency": 0.002, "output_latency": 0.003}  # noqa: RUF012

        @staticmethod
        def meters():
            return engine.shared.read()

    live: Any = Live()
    found = readings(live, [e.effect for e in quiet.effects])
    wanted = {a.path for a in addresses() if a.kind == "meter"}
    assert set(found) == wanted - {"/afx/meter/osc_dropped"}
    assert found["/afx/meter/latency_ms"] == pytest.approx(5.0 + 1e3 * LOOKAHEAD / 48000)
    assert -55.0 < found["/afx/meter/compressor/reduction_db"] < -40.0
    assert found["/afx/meter/limiter/reduction_db"] == 0.0  # it is not in the chain
    assert -12.0 < found["/afx/meter/in_peak_db"] < 0.0
    assert found["/afx/meter/out_lufs"] < found["/afx/meter/in_lufs"] - 10.0


def _noise(frames):
    return np.random.default_rng(1).uniform(-1, 1, (frames, 2)).astype(np.float32)
