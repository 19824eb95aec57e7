"""The virtual microphone on a headless PipeWire: what it plays, who hears it, and that it never stays behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live.realtime.audio.devices import Device, DeviceError, Listing
from afx_live.realtime.audio.options import StreamOptions
from afx_live.realtime.audio.virtual_mic import LATENCY, VirtualMicrophone, graph, steps
from support.pipewire import card, session
from support.waiting import until

pytestmark = pytest.mark.slow
RATE = 48000
ANY = StreamOptions()
OWNER = """
from afx_live.realtime.audio.virtual_mic import VirtualMicrophone
with VirtualMicrophone() as mic:
    print(mic._process.pid, flush=True)
    input()
"""
"""A program that has a microphone until somebody ends it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with session(tmp_path_factory.mktemp("pipewire")) as server:
        yield server


@pytest.fixture(autouse=True)
def _within(server, monkeypatch):
    for key, value in server.env.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def real(server):
    with card(server) as name:
        yield name


def there(name="afx-live"):
    return name in graph().sources


def loopbacks():
    """The pw-loopbacks that make an afx-live, as the system lists them."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"pw-loopback") and b"afx-live" in words:
            found.append(int(place.parent.name))
    return found


def test_what_is_played_into_it_comes_back_to_the_sample_delayed_by_what_is_told(server, tmp_path):
    x = np.random.default_rng(5).uniform(-0.5, 0.5, (3 * RATE, 2)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", x, RATE, subtype="FLOAT")
    heard = tmp_path / "y.wav"
    record = ["pw-record", "--target", "0", "--channels", "4", "--channel-map", "FL,FR,RL,RR", "--format", "f32"]
    with VirtualMicrophone() as mic:
        with server.running(*record, "--rate", str(RATE), "-P", "node.name=ear", str(heard)):
            play = ["pw-play", "--target", "0", "-P", "node.name=player", str(tmp_path / "x.wav")]
            with server.running(*play) as player:
                out = ["player:output_FL", "player:output_FR"]
                server.link(["afx-live:capture_FL", "afx-live:capture_FR"], ["ear:input_FL", "ear:input_FR"])
                server.link(out, [f"{mic.name}.feed:input_FL", f"{mic.name}.feed:input_FR"])
                server.link(out, ["ear:input_RL", "ear:input_RR"])
                player.wait(10)
    y = soundfile.read(heard, dtype="float32")[0]
    sent = np.flatnonzero(y[:, 2:].all(1))
    frames = slice(sent[0], sent[-1] + 1 - LATENCY)
    assert frames.stop - frames.start > RATE
    assert np.array_equal(y[frames.start + LATENCY : frames.stop + LATENCY, :2], y[frames, 2:])


def test_others_list_it_as_a_microphone_while_it_is_there_and_only_then(server):
    with VirtualMicrophone():
        listed = server.tool("wpctl", "status")
        sources = listed[listed.index("Sources:") : listed.index("Source endpoints:")]
        assert "afx-live" in sources
        sinks = listed[listed.index("Sinks:") : listed.index("Sink endpoints:")]
        assert "afx-live" not in sinks  # the feed is no place where a browser's sound could end up
        assert len(loopbacks()) == 1
    until(lambda: not there())
    assert not loopbacks()


def test_it_is_never_the_default_unless_asked(real):
    with VirtualMicrophone() as mic:
        time.sleep(0.5)
        assert graph().default_source == real
        assert mic.options(ANY).input_device == "Some Card"
    with VirtualMicrophone(default=True):
        until(lambda: graph().default_source == "afx-live")
        with pytest.raises(DeviceError, match="would hear itself"):
            VirtualMicrophone().options(StreamOptions("afx-live"))
    until(lambda: graph().default_source == real)


def test_it_never_hears_itself(real):
    with VirtualMicrophone() as mic:
        for device in ("afx-live", "AFX-live feed", "live", "no such"):
            with pytest.raises(DeviceError, match=r'from: "Some Card"; .* would hear itself'):
                mic.options(StreamOptions(device))
        for device in ("card", "some CARD"):
            assert mic.options(StreamOptions(device)).input_device == "Some Card"


def test_without_another_microphone_there_is_nothing_to_play_from():
    with VirtualMicrophone() as mic, pytest.raises(DeviceError, match="from: none"):
        mic.options(ANY)


@pytest.mark.parametrize("victim", ["owner", "keeper"])
def test_it_is_gone_after_a_crash(victim):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ), text=True
    )
    assert owner.stdin
    assert owner.stdout
    keeper = int(owner.stdout.readline())
    assert there()
    os.kill(owner.pid if victim == "owner" else keeper, 9)
    until(lambda: not loopbacks())
    until(lambda: not there())
    owner.kill()
    owner.wait()


def test_it_comes_back_with_pipewire(server):
    with VirtualMicrophone():
        server.stop()
        server.start()
        until(there)
    until(lambda: not there())


def test_two_of_one_name_are_refused_and_of_two_names_are_not():
    with VirtualMicrophone():
        with pytest.raises(DeviceError, match="--virtual-mic NAME"):
            VirtualMicrophone().__enter__()
        with VirtualMicrophone("second voice"):
            assert there("second voice")


def test_without_pipewire_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(DeviceError, match="systemctl --user start pipewire"):
        VirtualMicrophone().__enter__()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="apt install pipewire-bin pipewire-jack"):
        VirtualMicrophone().__enter__()


@pytest.mark.parametrize("name", ["", "a" * 33, "x:y", "{}", "../up", "-x", "a\nb"])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(ValueError, match="no name for a microphone"):
        VirtualMicrophone(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BlackHole 2ch", '-o "BlackHole 2ch"'),
        ("CABLE Input (VB-Audio Virtual Cable)", '-o "CABLE Input'),
        (None, "brew"),
    ],
)
def test_other_systems_are_told_which_virtual_device_there_is_and_what_to_do(name, words):
    devices = [Device(0, "Built-in", "Core Audio", 2, 2, 48000.0, 0.0, 0.0)]
    if name:
        devices.append(Device(1, name, "Core Audio", 2, 2, 48000.0, 0.0, 0.0))
    assert words in steps(Listing(tuple(devices), {"Core Audio": (0, 0)}), "darwin")
