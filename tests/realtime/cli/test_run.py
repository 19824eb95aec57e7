"""`afx-live run` without a device."""

import json
import os
import signal
import sys
import threading

import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.realtime.audio import devices
from afx_live.realtime.cli import playing
from support.fake_live import FakeLive
from support.sounds import GUITAR_REFERENCE
from support.waiting import until


def interrupt_when(condition, number=signal.SIGINT):
    """Send this process a signal once a condition holds, or if it never does: a test that fails must still end."""

    def send():
        try:
            until(condition, 120.0)
        finally:
            os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def has_said(text):
    return lambda: text.encode() in sys.stderr.buffer.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_with_a_signal_a_saved_preset_and_exit_code_0(afx, fake, place, number):
    before = signal.getsignal(number)
    interrupt_when(has_said("Chain      "), number)
    code, out, err = afx("--preset", "telephone", "--osc", "off")
    assert (code, out) == (0, "")
    assert fake.closed == 1
    assert err.startswith("Preset     telephone\n")
    assert "Chain      equaliser  " in err
    assert "a device (API), 48000 Hz, block 128" in err
    assert "saved preset last; play it again: afx-live --preset last" in err
    last = presets.load("last")
    assert last.settings.effects == presets.load("telephone").settings.effects
    assert (place.parent / "home" / "presets" / "last.json").is_file()
    assert signal.getsignal(number) == before


@pytest.mark.slow
def test_run_saves_where_it_is_told_and_tells_in_json(afx, fake, place):
    interrupt_when(lambda: fake.read > 20)
    code, out, err = afx("--reference", GUITAR_REFERENCE, "--osc", "off", "--save-preset", "mine.json", "--json", "-q")
    assert (code, err) == (0, "")
    assert len(json.loads(out)["chain"]) == 4
    assert presets.load(place / "mine.json").source["references"][0]["file"] == "guitar_reference.flac"
    assert afx("--reference", GUITAR_REFERENCE, "--save-preset", "mine.json")[0] == 2


def test_devices_options_reach_the_engine(afx, monkeypatch):
    seen = {}

    class Nothing(FakeLive):
        def __init__(self, settings, options, **more):
            seen.update(vars(options), settings=settings)
            raise devices.DeviceError("E303", "gone")

    monkeypatch.setattr(playing, "LiveEngine", Nothing)
    words = "-i 3 -o scarlett -c 2 --output-channels 3,4 --samplerate 44100 --blocksize 0 --latency=0.02 --preset warm"
    assert afx(*words.split(), "--amount", "0.5")[0] == 3
    assert (seen["input_device"], seen["output_device"]) == (3, "scarlett")
    assert (seen["input_channels"], seen["output_channels"]) == ([2], [3, 4])
    assert (seen["sample_rate"], seen["block_size"], seen["latency"]) == (44100.0, 0, 0.02)
    assert isinstance(seen["settings"], ChainSettings)
    assert seen["settings"] == presets.load("warm").settings.scaled(0.5)
