"""The doctor: it finds a delay to the sample, counts what drops out, and says what to do about it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from afx_live import presets
from afx_live.realtime.audio.devices import DeviceError
from afx_live.realtime.audio.engine import LATENCY, memory
from afx_live.realtime.audio.live_engine import LiveEngine
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.audio.test_signal import LEVEL, PERIOD, find, probe
from afx_live.realtime.cli.main import main
from afx_live.realtime.doctor import doctor, loopback, system
from afx_live.realtime.doctor.doctor import DropOuts, diagnosis, smallest
from afx_live.realtime.doctor.system import no_device
from support.jack import need

RATE = 48000


# --- the probe: a loop of known length ------------------------------------------------------------


def run_loop(way, level=LEVEL, periods=2, block=333):
    """Play the probe's noise for some periods; `way(sound, at)` gives what comes in at frame `at` of what went out.

    Output and input are the second of two channels. Returns what it kept, (frames, 2).
    """
    shared = Shared.create(None, RATE)
    bound = probe(memory(shared, RATE, (1, 1), (1, 1)), RATE, 2, 2, level)
    sound = np.zeros((periods * PERIOD // block + 1) * block)
    x, y = np.zeros((block, 2), np.float32), np.zeros((block, 2), np.float32)
    for at in range(0, len(sound), block):
        x[:, 1] = way(sound, at)[:block]
        bound.call(x, y)
        assert not y[:, 0].any()
        sound[at : at + block] = y[:, 1]
    return shared.heard(len(sound) / RATE, RATE)


def delayed(delay, gain=1.0):
    return lambda sound, at: np.concatenate([np.zeros(delay), gain * sound])[at:]


@pytest.fixture(scope="module")
def played():
    """Two periods of the noise as it went out; the callback's own, with nothing coming in."""
    return run_loop(lambda sound, at: np.zeros(333))[:, 1]


def came_back(played, delay, gain=1.0):
    return gain * np.concatenate([np.zeros(delay), played])[: len(played)]


@pytest.mark.parametrize("delay", [333, 334, 5000])
def test_the_callback_finds_its_own_delay(delay):
    echo = find(run_loop(delayed(delay, -0.25)))
    assert echo is not None
    assert echo.frames == delay
    assert echo.gain == pytest.approx(-0.25, abs=1e-4)
    assert echo.other is None


def test_the_noise_is_like_nothing_but_itself(played):
    """A maximum-length sequence: over a period, any shift but none correlates by -1 part of all."""
    code = played[:PERIOD] / LEVEL
    assert np.array_equal(played[PERIOD : PERIOD + 1000], played[:1000])
    alike = np.fft.irfft(np.abs(np.fft.rfft(code)) ** 2, PERIOD)
    assert np.abs(alike[1:] + 1).max() < 1e-3
    assert alike[0] == pytest.approx(PERIOD)


@pytest.mark.parametrize("delay", [0, 1, 63, 128, 12345, 40000])
@pytest.mark.parametrize("gain", [1.0, -0.5, 0.01])
def test_a_delay_is_found_under_noise_and_hum(played, delay, gain):
    t = np.arange(len(played)) / RATE
    noise = np.random.default_rng(delay).normal(0, 0.5 * abs(gain) * LEVEL, len(t))
    bad = 0.05 + 0.1 * np.sin(2 * np.pi * 50 * t) + noise
    echo = find(np.stack([came_back(played, delay, gain) + bad, played], 1))
    assert echo is not None
    assert (echo.frames, echo.other) == (delay, None)
    assert np.sign(echo.gain) == np.sign(gain)


def test_a_converters_filter_does_not_hide_the_delay(played):
    n = np.arange(-40, 41)
    filtered = np.convolve(came_back(played, 700), np.sinc(0.9 * n) * np.hanning(81), "same")
    echo = find(np.stack([filtered, played], 1))
    assert echo is not None
    assert (echo.frames, echo.other) == (700, None)


def test_no_loop_is_told_from_one(played):
    rng = np.random.default_rng(3)
    t = np.arange(len(played)) / RATE
    others = [np.zeros(len(t)), np.full(len(t), np.nan), np.sin(2 * np.pi * 440 * t), np.ones(len(t))]
    for x in [*others, *(rng.normal(0, 0.3, len(t)) for _ in range(20))]:
        assert find(np.stack([x, played], 1)) is None


def test_two_ways_are_told_from_an_echo(played):
    twice = came_back(played, 300, 0.5) + came_back(played, 900, 0.4)
    faint = came_back(played, 300, 0.5) + came_back(played, 900, 0.1)
    two, one = (find(np.stack([x, played], 1)) for x in (twice, faint))
    assert two is not None
    assert one is not None
    assert (two.frames, two.other) == (300, 900)
    assert (one.frames, one.other) == (300, None)


def test_the_empty_probe_is_silent():
    assert not run_loop(lambda sound, at: np.ones(333), level=0.0, periods=1)[:, 1].any()


# --- what the counts mean -------------------------------------------------------------------------

SAFE = DropOuts(64, callbacks=7500, speed=1.0, load=0.01, load_max=0.05, latency_ms=4.0, priority=10)


def rows(**bad):
    """Rows for 512 to 32 frames; keywords name those that drop out."""
    return [replace(SAFE, block=b, late=bad.get(f"b{b}", 0)) for b in doctor.BLOCKS]


@pytest.mark.parametrize(
    ("found", "block"),
    [
        (rows(), 32),
        (rows(b32=1), 64),
        (rows(b32=9, b64=1), 128),
        (rows(b32=9, b128=1), 256),  # 64 came through by luck
        (rows(b512=1), 32),
        (rows(b512=1, b128=1), 256),
        (rows(b512=1, b256=1, b128=1, b64=1, b32=1), None),
        ([], None),
    ],
)
def test_the_smallest_safe_block(found, block):
    best = smallest(found)
    assert (best.block if best else None) == block


@pytest.mark.parametrize("bad", [{"late": 1}, {"xruns": 1}, {"speed": 0.9}, {"error": "E306 busy"}])
def test_what_is_not_safe(bad):
    assert SAFE.safe
    assert not replace(SAFE, **bad).safe


@pytest.mark.parametrize(
    ("found", "empty", "said"),
    [
        (rows(b32=3), replace(SAFE, block=32, late=2), "it is the machine"),
        (rows(b32=3), replace(SAFE, block=32), "may be chance"),
        ([replace(SAFE, block=32, late=3, load_max=1.4)], replace(SAFE, block=32), "the effects took up to 140%"),
        (rows(b256=3), replace(SAFE, block=256), "a longer block dropped out"),
    ],
)
def test_drop_outs_are_explained(found, empty, said):
    told = list(diagnosis(found, empty))
    assert any(said in c.text for c in told)
    assert all(c.fix for c in told if c.state != "ok")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_an_audio_thread_without_priority_is_a_problem():
    (good,) = diagnosis(rows(), None)
    (bad,) = diagnosis([replace(row, priority=0) for row in rows()], None)
    assert (good.state, bad.state) == ("ok", "problem")
    assert "rtprio" in bad.fix


# --- the checks -----------------------------------------------------------------------------------


def test_every_check_says_what_to_do():
    found = list(system.checks())
    assert {"versions", "compiled code", "model"} <= {c.name for c in found}
    assert all(bool(c.fix) == (c.state != "ok") for c in found), found


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_what_stands_in_the_way_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "may_hurry", lambda: False)
    monkeypatch.setattr(system, "servers", lambda: ["pipewire"])
    monkeypatch.setattr("os.geteuid", lambda: 65534)  # nobody
    monkeypatch.setattr("os.getgroups", list)
    monkeypatch.setattr("os.getegid", lambda: 65534)
    monkeypatch.setattr("resource.getrlimit", lambda which: (8 << 20, 8 << 20))
    monkeypatch.setattr(presets, "SHIPPED_MODEL", tmp_path)
    monkeypatch.setattr(system, "GOVERNORS", tmp_path)
    governor = tmp_path / "cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("powersave\n")
    monkeypatch.setattr("afx_live.dsp.compile_cache.folder", lambda: None)
    found = {c.name: c for c in system.checks()}
    for name, state, fix in (
        ("priority", "problem", "usermod -aG audio"),
        ("sound servers", "warning", "pw-jack"),
        ("locked memory", "warning", "memlock unlimited"),
        ("group audio", "warning", "usermod -aG audio nobody"),
        ("model", "problem", "pip install"),
        ("CPU clock", "warning", "cpupower frequency-set -g performance"),
        ("compiled code", "warning", "XDG_CACHE_HOME"),
    ):
        assert found[name].state == state, found[name]
        assert fix in found[name].fix


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_no_device_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "servers", lambda: ["pipewire"])
    cards, nodes = tmp_path / "cards", tmp_path / "snd"
    none = no_device("None.", cards, nodes)
    assert f"{cards}: no sound card" in none.text
    assert "pw-jack" in none.fix
    assert "jackd -r -d dummy" in none.fix
    cards.write_text(" 0 [USB            ]: USB-Audio - Scarlett 2i2\n                      Focusrite\n")
    closed = no_device("None.", cards, nodes)
    assert "Scarlett 2i2" in closed.text
    assert "usermod -aG audio" in closed.fix


NOTHING = {
    "raise OSError('PortAudio library not found')": "E300",
    "query_hostapis = lambda: [{'name': 'ALSA', 'default_input_device': -1, 'default_output_device': -1}]\n"
    "query_devices = lambda: []": "PortAudio found none under ALSA",
}


@pytest.mark.parametrize("module", NOTHING)
def test_nothing_there_ends_with_3_and_the_whole_list(module, tmp_path, monkeypatch, capsys):
    (tmp_path / "sounddevice.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json"])
    assert end.value.code == 3
    data = json.loads(capsys.readouterr().out)
    told = {c["name"]: c for c in data["checks"]}
    assert NOTHING[module] in told["devices"]["text"]
    assert told["devices"]["state"] == "problem"
    assert told["devices"]["fix"]
    assert "model" in told
    assert (data["devices"], data["chosen"], data["drop_outs"], data["safe_block"]) == ([], None, [], None)


# --- on JACK --------------------------------------------------------------------------------------


@pytest.fixture
def on_jack(jack, monkeypatch):
    for name, value in jack.env.items():
        monkeypatch.setenv(name, value)
    return jack


@pytest.mark.jack
def test_the_doctor_names_a_block(on_jack, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "BLOCKS", (256, 64))
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json", "--seconds", "0.4"])
    data = json.loads(capsys.readouterr().out)
    assert data["chosen"] == {"input": "system", "output": "system", "api": "JACK"}
    assert [row["block"] for row in data["drop_outs"]] == [256, 64]
    for row in data["drop_outs"]:
        assert not row["error"]
        assert row["callbacks"] > 0.5 * 0.4 * RATE / row["block"]
        assert 0 < row["load"] < row["load_max"]
        assert row["latency_ms"] == pytest.approx((128 + row["block"] + LATENCY) / RATE * 1000)
    safe = [row["block"] for row in data["drop_outs"] if row["safe"]]
    assert data["safe_block"] == ({(256, 64): 64, (256,): 256, (64,): 64}.get(tuple(safe)))
    assert (data["empty"] is None) == (len(safe) == 2)
    assert end.value.code == (0 if safe else 3)
    assert "audio thread" in {c["name"] for c in data["checks"]} or sys.platform != "linux"


@pytest.mark.jack
def test_a_stream_that_is_held_up_is_not_safe(jack, monkeypatch):
    """Stop the stream process for a tenth of a second: less than what the supervisor takes for a loss."""
    opened, held = [], []

    class Watched(LiveEngine):
        def __enter__(self):
            opened.append(self)
            return super().__enter__()

    def hold(seconds):
        if not held:
            held.append(seconds)
            os.kill(opened[0].pid, signal.SIGSTOP)
            time.sleep(0.1)  # is what it is about: how long it stands still
            os.kill(opened[0].pid, signal.SIGCONT)

    monkeypatch.setattr(doctor, "LiveEngine", Watched)
    row = doctor.drop_outs(128, 0.5, {"env": jack.env}, hold)
    assert held
    assert row.late + row.xruns > 0
    assert not row.safe


@pytest.mark.jack
def test_a_block_that_does_not_open_is_told(jack):
    row = doctor.drop_outs(128, 0.5, {"env": jack.env, "sample_rate": 44100.0}, lambda seconds: None)
    assert row.error.startswith("E305")
    assert not row.safe


@contextmanager
def patched(jack, source, sink):
    """Connect two ports whenever both are there."""
    done = threading.Event()

    def connect():
        while not done.is_set():
            if {source, sink} <= {*jack.ports()}:
                jack.tool("jack_connect", source, sink)
            done.wait(0.2)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def loop_of_jack(jack):
    """Frames that a client's output takes to its own input, by JACK's own meter."""
    command = ["stdbuf", "-oL", need("jack_iodelay", "jackd2")]
    with (
        patched(jack, "jack_delay:out", "jack_delay:in"),
        subprocess.Popen(command, env={**os.environ, **jack.env}, stdout=subprocess.PIPE, text=True) as meter,
    ):
        assert meter.stdout
        before = 0
        try:
            for line in meter.stdout:  # the first one may lack a tone's period, or several: two must agree
                if (found := re.search(r"([\d.]+) frames .* total roundtrip", line)) and "??" not in line:
                    frames = round(float(found[1]))
                    if frames == before > 0:
                        return frames
                    before = frames
        finally:
            meter.kill()
    return pytest.fail("jack_iodelay heard nothing")


@pytest.fixture
def periods(jack):
    """Set JACK's period; it is as before at the end."""
    before = jack.tool("jack_bufsize").split()[0]

    def put(frames):
        jack.tool("jack_bufsize", str(frames))
        assert jack.tool("jack_bufsize").split()[0] == str(frames)

    yield put
    put(before)


@pytest.mark.jack
@pytest.mark.parametrize("period", [64, 128, 256])
def test_the_round_trip_is_what_jack_makes_it(jack, periods, monkeypatch, period):
    """JACK delays a loop by a period, which its own meter confirms; PortAudio adds a block of ours."""
    periods(period)
    monkeypatch.setattr(loopback, "TAKES", 1)
    truth = loop_of_jack(jack)
    assert truth == period
    block = 128  # shorter than the period, as long, and longer
    with patched(jack, "afx-live:out_1", "afx-live:in_0"):
        trip = loopback.measure({"env": jack.env, "block_size": block, "output_channels": [2]}, print)
    assert trip.frames == truth + block
    assert trip.claimed == truth + block
    assert trip.alike
    assert trip.parts == {"algorithmic": LATENCY, "block": block, "device": period}
    assert trip.takes[0].gain == pytest.approx(1.0, abs=1e-3)


@pytest.mark.jack
def test_no_loop_says_what_to_connect(on_jack, monkeypatch, capsys):
    monkeypatch.setattr(loopback, "PATIENCE_S", 0.0)
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--loopback", "-c", "2"])
    assert end.value.code == 3
    said = capsys.readouterr().err
    assert "E310 No loop heard: connect output 1 to input 2" in said
    assert "jack_connect afx-live:out_0 afx-live:in_1" in said


STATUS = {
    "sample_rate": 48000.0,
    "block_size": 128,
    "input_latency": 0.0,
    "output_latency": 256 / 48000,
    "input": "USB",
    "output": "USB",
    "api": "ALSA",
}


def test_takes_that_differ_are_told(played, monkeypatch):
    """A driver that begins with another delay at each opening: what JACK never does."""
    delays = iter((300, 364, 364))

    class Moody:
        status, sample_rate, running = STATUS, 48000.0, True

        def __init__(self, settings, **options):
            self.ring, self.delay = 0, next(delays)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def meters(self):
            self.ring += PERIOD
            return {"ring": self.ring}

        def heard(self, seconds):
            return np.stack([came_back(played, self.delay, -0.5), played], 1)[-int(seconds * RATE) :]

    monkeypatch.setattr(loopback, "LiveEngine", Moody)
    trip = loopback.measure({}, print)
    assert [take.frames for take in trip.takes] == [300, 300, 364, 364, 364, 364]
    assert (trip.frames, trip.alike) == (364, False)
    text = loopback._told(trip)
    assert "TAKES DIFFER: 300, 300, 364, 364, 364, 364" in text
    assert "level -6.0 dB, upside down" in text
    assert "PortAudio claims 256 for block and device: 108 too few" in text
    assert f"{364 + LATENCY} frames" in text
    plain = loopback._plain(trip)
    assert plain["parts_frames"] == {"algorithmic": LATENCY, "block": 128, "device": 364 - 128}
    assert plain["total_ms"] == pytest.approx((364 + LATENCY) / 48)


def test_a_stream_that_is_lost_is_told(monkeypatch):
    class Lost:
        status, sample_rate, running = STATUS, 48000.0, False
        meters = staticmethod(lambda: {"ring": 0})

    with pytest.raises(DeviceError, match="E307 The stream was lost"):
        loopback._listen(Lost())  # pyright: ignore[reportArgumentType]
