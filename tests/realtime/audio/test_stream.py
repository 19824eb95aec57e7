"""The stream: what it plays is what `Engine` plays, and it comes back. How late it is: test_audio_thread.py."""

import time

import numpy as np
import pytest

from afx_live.chain import ChainSettings
from afx_live.realtime.audio.devices import DeviceError
from afx_live.realtime.audio.live_engine import LiveEngine
from afx_live.realtime.audio.options import StreamOptions
from support.chains import full
from support.recorder import assert_same, through
from support.sounds import noise

RATE = 48000


@pytest.mark.jack
@pytest.mark.slow
def test_stream_plays_the_samples_of_the_engine(jack, tmp_path):
    settings = full(input_gain_db=3.0, output_gain_db=-2.0)
    with LiveEngine(settings, env=jack.env) as engine:
        assert engine.status["sample_rate"] == RATE
        time.sleep(0.6)  # the fade-in
        assert_same(jack, tmp_path, engine, settings, noise(1.0))
        assert len(engine.recent_input(0.5)) == RATE // 2


@pytest.mark.jack
@pytest.mark.slow
def test_one_input_channel_goes_to_both_ears(jack, tmp_path):
    with LiveEngine(ChainSettings(), StreamOptions(input_channels=[2]), env=jack.env) as engine:
        time.sleep(0.6)
        sound = noise(0.5)
        heard = through(jack, tmp_path, sound)
        assert np.array_equal(heard[:, 0], heard[:, 1])
        assert_same(jack, tmp_path, engine, ChainSettings(), sound[:, [1, 1]])


@pytest.mark.jack
@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"sample_rate": 44100}, "E305"),
        ({"input_channels": [3]}, "E304"),
        ({"input_device": "no such thing"}, "E303"),
        ({"output_device": 99}, "E303"),
    ],
)
def test_what_can_not_be_opened_says_why(jack, wrong, code):
    with pytest.raises(DeviceError) as error, LiveEngine(ChainSettings(), StreamOptions(**wrong), env=jack.env):
        pass
    assert error.value.code == code
    assert error.value.exit_code == 3
    if code == "E305":
        assert "44100" in error.value.message
        assert "48000" in error.value.message


# --- choosing devices -----------------------------------------------------------------------------


# --- the callback, without a device ---------------------------------------------------------------


# --- clicks and ceilings, in the engine that the callback plays ------------------------------------
