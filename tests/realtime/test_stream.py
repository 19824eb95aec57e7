"""The stream: what it plays is what `Engine` plays, and it comes back. How late it is: test_audio_thread.py.

Run as a program, `python tests/test_stream.py noise.npy heard.npy`, it is a JACK client that plays a
file into the engine and records what comes back.
"""

import ctypes
import ctypes.util
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.effects import load, names
from afx_live.realtime.audio import devices, live_engine
from afx_live.realtime.audio.callback import PORT, callback
from afx_live.realtime.audio.devices import Device, DeviceError, Listing
from afx_live.realtime.audio.engine import CEILING, Engine, memory
from afx_live.realtime.audio.live_engine import LiveEngine
from afx_live.realtime.audio.shared_memory import Shared

RATE = 48000
ORDER = ("equaliser", "compressor", "distortion", "reverb", "limiter")


def full(**gains):
    """A chain with every effect at work."""
    return ChainSettings(
        (
            EffectSettings("equaliser", {"peak_2_db": 6.0, "high_shelf_db": -4.0}),
            EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}),
            EffectSettings("distortion"),
            EffectSettings("reverb"),
            EffectSettings("limiter", {"ceiling_db": -6.0}),
        ),
        **gains,
    )


def noise(seconds, level=0.2, channels=2):
    return np.random.default_rng(7).normal(0, level, (int(seconds * RATE), channels)).astype(np.float32)


# --- a JACK client that plays and records ---------------------------------------------------------


def _play_and_record(given, kept):
    """Play a file from the moment that stdin says so, and keep as many frames of what comes in."""
    from numba import carray, cfunc, types  # pyright: ignore[reportPrivateImportUsage]

    from afx_live.dsp.compiler import at_address

    row = np.dtype([("go", "i8"), ("at", "i8"), ("end", "i8"), ("source", "i8"), ("sink", "i8")])

    def run(indata, outdata, frames, when, flags, user):
        job = carray(at_address(user), (1,), row)[0]
        x = carray(at_address(indata), (frames, 2), np.float32)
        y = carray(at_address(outdata), (frames, 2), np.float32)
        source = carray(at_address(job.source), (job.end, 2), np.float32)
        sink = carray(at_address(job.sink), (job.end, 2), np.float32)
        for n in range(frames):
            playing = job.go == 1 and job.at < job.end
            for c in range(2):
                y[n, c] = source[job.at, c] if playing else 0.0
                if playing:
                    sink[job.at, c] = x[n, c]
            if playing:
                job.at += 1
        return 0

    long, pointer = types.uint64, types.int64
    compiled = cfunc(types.int32(pointer, pointer, long, pointer, long, pointer))(run)
    client = ctypes.CDLL(ctypes.util.find_library("portaudio"))
    client.PaJack_SetClientName(b"player")
    import sounddevice as sd

    source = np.ascontiguousarray(np.load(given), np.float32)
    sink, job = np.zeros_like(source), np.zeros(1, row)
    job["end"], job["source"], job["sink"] = len(source), source.ctypes.data, sink.ctypes.data
    cast = sd._ffi.cast
    stream = sd._StreamBase(
        "duplex",
        RATE,
        128,
        None,
        2,
        "float32",
        "low",
        callback=cast("void *", compiled.address or 0),
        userdata=cast("void *", job.ctypes.data),
    )
    stream.start()
    print("ready", flush=True)
    sys.stdin.readline()
    job["go"] = 1
    while job["at"][0] < len(source):
        time.sleep(0.05)
    np.save(kept, sink)
    print("done", flush=True)
    os._exit(0)


def through(jack, folder, sound):
    """Send a sound (frames, 2) through the engine that runs; returns as many frames of what it plays."""
    np.save(folder / "given.npy", sound)
    command = [sys.executable, __file__, str(folder / "given.npy"), str(folder / "kept.npy")]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **jack.env}
    ) as player:
        try:
            assert player.stdin
            assert player.stdout
            assert player.stdout.readline() == "ready\n"
            for c in range(2):
                jack.connect(f"player:out_{c}", f"afx-live:in_{c}")
                jack.connect(f"afx-live:out_{c}", f"player:in_{c}")
            time.sleep(0.2)
            player.stdin.write("go\n")
            player.stdin.flush()
            assert player.stdout.readline() == "done\n"
        finally:
            player.kill()
    return np.load(folder / "kept.npy")


def first(x):
    """The first frame that is not silence."""
    return int(np.argmax(np.abs(x).sum(axis=1) > 0))


def offset_of(heard, expected):
    """Frames by which what is heard comes later, or None if it is not the same, sample for sample."""
    delay = first(heard) - first(expected)
    count = len(heard) - delay
    return delay if 0 <= delay < 2048 and np.array_equal(heard[delay:], expected[:count]) else None


def assert_same(jack, tmp_path, engine, settings, sound, channels=2):
    """What the stream makes of a sound is what `Engine` does, at one place of the stream's clock modulo 64.

    The server does not wait for a client that the machine's other work keeps waiting; a take in which
    it counted a drop-out proves nothing and is done again.
    """
    for _take in range(5):
        engine.play(settings, cross_over=True)  # a fresh chain: no tail of what was played before
        time.sleep(0.5)
        before = engine.meters()
        heard = through(jack, tmp_path, sound)
        after = engine.meters()
        for k in range(64):
            pad = np.zeros((k, channels), np.float32)
            reference = Engine(settings, RATE, channels).process(np.concatenate([pad, sound[:, :channels]]))
            if offset_of(heard, reference[k:]) is not None:
                return
        if all(after[name] == before[name] for name in ("input_overflows", "output_underflows", "late")):
            break
    pytest.fail("the stream plays other samples than Engine")


# --- the real path --------------------------------------------------------------------------------


@pytest.mark.jack
def test_stream_plays_the_samples_of_the_engine(jack, tmp_path):
    settings = full(input_gain_db=3.0, output_gain_db=-2.0)
    with LiveEngine(settings, env=jack.env) as engine:
        assert engine.status["sample_rate"] == RATE
        time.sleep(0.6)  # the fade-in
        assert_same(jack, tmp_path, engine, settings, noise(1.0))
        assert len(engine.heard(0.5)) == RATE // 2


@pytest.mark.jack
def test_one_input_channel_goes_to_both_ears(jack, tmp_path):
    with LiveEngine(ChainSettings(), input_channels=[2], env=jack.env) as engine:
        time.sleep(0.6)
        sound = noise(0.5)
        heard = through(jack, tmp_path, sound)
        assert np.array_equal(heard[:, 0], heard[:, 1])
        assert_same(jack, tmp_path, engine, ChainSettings(), sound[:, [1, 1]])


@pytest.mark.jack
def test_comes_back_when_the_server_does(jack, tmp_path):
    events = []
    with LiveEngine(full(), env=jack.env, on_event=lambda *event: events.append(event), standby=True) as engine:
        until(lambda: engine.standing_by, 120.0)
        jack.kill()
        until(lambda: not engine.running, 3.0)
        settings = ChainSettings((EffectSettings("equaliser", {"peak_1_db": 9.0}),), output_gain_db=-9.0)
        engine.play(settings)  # while nothing plays
        time.sleep(1.0)
        before = engine.meters()["callbacks"]
        jack.start()
        seconds = until(lambda: engine.meters()["callbacks"] > before, 10.0)
        print(f"back {seconds:.2f} s after the server; {events}")
        assert seconds < 3.0
        until(lambda: engine.running, 1.0)
        time.sleep(0.6)
        assert engine.meters()["applied"] == engine.meters()["sequence"]
        assert_same(jack, tmp_path, engine, settings, noise(0.5))
    assert [kind for kind, _ in events if kind in ("running", "lost", "back")] == ["running", "lost", "back"]


def until(condition, seconds):
    """Wait for a condition; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.jack
def test_stream_process_that_dies_is_replaced(jack):
    events = []
    with LiveEngine(ChainSettings(), env=jack.env, on_event=lambda *event: events.append(event)) as engine:
        pid = engine.pid
        os.kill(pid, signal.SIGSTOP)  # hangs, as in a dead server's clean-up
        until(lambda: engine.pid != pid and engine.running, 60.0)
        assert not exists(pid)
    assert [kind for kind, _ in events if kind != "compiling"] == ["running", "lost", "back"]


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


PARENT = """
import sys, time
from afx_live.chain import ChainSettings
from afx_live.realtime.audio.live_engine import LiveEngine
with LiveEngine(ChainSettings()) as engine:
    print(engine.pid, engine._folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.jack
def test_stream_process_does_not_outlive_its_parent(jack):
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **jack.env}) as parent:
        assert parent.stdout
        pid, folder = parent.stdout.readline().split()
        assert exists(int(pid))
        parent.kill()
    until(lambda: not exists(int(pid)) or _zombie(int(pid)), 3.0)
    until(lambda: not os.path.exists(folder), 1.0)


def _zombie(pid):
    """Whether it has ended and only its new parent, which may not care in a container, has not looked."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.jack
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
    with pytest.raises(DeviceError) as error, LiveEngine(ChainSettings(), env=jack.env, **wrong):
        pass
    assert error.value.code == code
    assert error.value.exit_code == 3
    if code == "E305":
        assert "44100" in error.value.message
        assert "48000" in error.value.message


@pytest.mark.jack
def test_devices_are_listed(jack):
    found = devices.query(jack.env, rates=True)
    assert [(d.name, d.api, d.inputs, d.outputs, d.rates) for d in found.devices] == [("system", "JACK", 2, 2, (RATE,))]
    assert "default input and output" in devices.table(found)


# --- choosing devices -----------------------------------------------------------------------------


def device(number, name, api="ALSA", inputs=2, outputs=2):
    return Device(number, name, api, inputs, outputs, 48000.0, 0.004, 0.004, (44100, 48000))


FOUND = Listing(
    (
        device(0, "HDMI 0", inputs=0),
        device(1, "Scarlett 2i2 USB"),
        device(2, "USB Mic", outputs=0),
        device(3, "Scarlett 2i2 USB", "JACK"),
    ),
    {"OSS": (-1, -1), "ALSA": (2, 0), "JACK": (3, 3)},
)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ((None, None), (2, 0)),
        (("scarlett", None), (1, 0)),
        (("Scarlett jack", None), (3, 3)),
        ((None, "scarlett"), (2, 1)),
        ((2, "1"), (2, 1)),
        (("scarlett", "scarlett", "jack"), (3, 3)),
    ],
)
def test_devices_are_chosen_by_number_or_words(wanted, numbers):
    assert tuple(d.number for d in devices.choose_pair(FOUND, *wanted)) == numbers


@pytest.mark.parametrize(
    ("wanted", "code", "text"),
    [
        (("usb", None), "E302", "2 inputs: 1 Scarlett 2i2 USB (ALSA), 2 USB Mic (ALSA). Use -i 1"),
        (("hdmi", None), "E303", "There are: 1 Scarlett"),
        ((0, None), "E303", "0 HDMI 0 (ALSA) has no input"),
        ((4, None), "E303", "0 to 3"),
        ((1, 3), "E308", "same host API"),
        ((None, None, "coreaudio"), "E303", "there are OSS, ALSA, JACK"),
    ],
)
def test_a_choice_that_fails_says_why(wanted, code, text):
    with pytest.raises(DeviceError, match=code) as error:
        devices.choose_pair(FOUND, *wanted)
    assert text in error.value.message


def test_no_device_at_all_says_what_was_looked_at():
    with pytest.raises(DeviceError, match=r"E301 No audio device found. Looked at: ALSA, OSS. Try: .*demo"):
        devices.choose_pair(Listing((), {"ALSA": (-1, -1), "OSS": (-1, -1)}), None, None)


def test_missing_portaudio_says_what_to_install(tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    with pytest.raises(DeviceError, match=r"E300 .*libportaudio2"):
        devices.query({"PYTHONPATH": str(tmp_path)})


# --- the callback, without a device ---------------------------------------------------------------


def test_callback_counts():
    shared = Shared.create(None, RATE)
    shared.play(ChainSettings())
    one = callback(memory(shared, RATE), RATE, 2, 2)
    assert one.port.dtype == PORT
    x = np.zeros((4800, 2), np.float32)  # 100 ms
    y = x.copy()
    one.call(x, y)
    one.call(x, y, flags=2 | 4)  # at once: the host's block is twice as long as ours
    time.sleep(0.25)
    one.call(x, y, flags=4)
    assert shared.read()["late"] == 0
    time.sleep(0.25)
    one.call(x, y)
    m = shared.read()
    assert (m["callbacks"], m["input_overflows"], m["output_underflows"], m["late"]) == (4, 1, 2, 1)
    assert 0 < m["load"] < m["load_max"] < 1


def test_empty_callback_copies():
    one = callback(memory(Shared.create(None, RATE), RATE), RATE, 1, 2, empty=True)
    x = noise(0.1, channels=1)
    y = np.zeros((len(x), 2), np.float32)
    one.call(x, y)
    assert np.array_equal(y, x.repeat(2, axis=1))


def test_callback_is_the_engine_at_any_block_size():
    shared = Shared.create(None, RATE)
    shared.play(full())
    one = callback(memory(shared, RATE, fade_in=False), RATE, 2, 2)
    x = noise(0.5)
    y, at = np.zeros_like(x), 0
    for size in np.random.default_rng(1).integers(1, 700, 200):
        one.call(x[at : at + size], y[at : at + size]) if at < len(x) else None
        at += size
    assert np.array_equal(y, Engine(full(), RATE).process(x))


def test_one_output_gets_the_mean_and_others_are_silent():
    shared = Shared.create(None, RATE)
    shared.play(ChainSettings())
    one = callback(memory(shared, RATE, (0, 1), (2, 2), fade_in=False), RATE, 2, 4)
    x = noise(0.1)
    y = np.ones((len(x), 4), np.float32)
    one.call(x, y)
    assert not y[:, [0, 1, 3]].any()
    np.testing.assert_allclose(y[63:, 2], x[:-63].mean(axis=1), atol=1e-7)


# --- clicks and ceilings, in the engine that the callback plays ------------------------------------


def roughness(x):
    """The largest second difference: a click has it large at any level."""
    return np.abs(np.diff(x.astype(np.float64), 2, axis=0)).max()


def click(old, new, **flags):
    """How much rougher a 220 Hz tone is while settings change than before and after."""
    tone = 0.25 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)
    x, engine = tone.astype(np.float32)[:, None].repeat(2, 1), Engine(old, RATE)
    blocks, change = [], 180
    for i in range(RATE // 128):
        if i == change:
            engine.shared.play(new, **flags)
        blocks.append(engine.process(x[i * 128 : (i + 1) * 128]))
    before, during, after = blocks[change - 80 : change - 2], blocks[change - 2 : -60], blocks[-60:]
    return roughness(np.concatenate(during)) / max(roughness(np.concatenate(p)) for p in (before, after))


PARAMS = [(e, p.name) for e in names() if e != "gain" for p in load(e).params]


@pytest.mark.parametrize(("effect", "name"), PARAMS)
def test_parameter_step_does_not_click(effect, name):
    """From end to end of the range at once, which no hand does; an unsmoothed gain gives 960 (pedalboard 0.9)."""
    p = load(effect).param(name)
    low, high = (ChainSettings((EffectSettings(effect, {name: v}),)) for v in (p.low, p.high))
    assert max(click(low, high), click(high, low)) < 30


def test_preset_change_bypass_and_mute_do_not_click():
    one = ChainSettings(tuple(EffectSettings(e) for e in ORDER))
    other = ChainSettings(tuple(EffectSettings(e) for e in ORDER[::-1]), output_gain_db=-6.0)
    assert max(click(one, other), click(other, one)) < 3
    assert max(click(one, one, cross_over=True), click(one, one, bypass=True), click(one, one, muted=True)) < 5
    assert click(ChainSettings(), ChainSettings(output_gain_db=-20.0)) < 5


@pytest.mark.parametrize("seed", range(4))
def test_nothing_gets_past_the_ceiling(seed):
    """Random chains and values, every block another; NaN, Inf, and noise far beyond full scale."""
    random = np.random.default_rng(seed)
    engine, x = Engine(ChainSettings(), RATE), noise(2.0, 1.0)
    x[RATE : RATE + 9600] *= 1e6
    x[random.integers(0, len(x), 40)] = np.nan
    x[random.integers(0, len(x), 40)] = np.inf
    x[random.integers(0, len(x), 40)] = -3e38
    at = 0
    while at < len(x):
        size = int(random.integers(1, 512))
        engine.shared.play(
            _random_settings(random), bypass=bool(random.integers(2)), dry_gain_db=random.uniform(-60, 60)
        )
        y = engine.process(x[at : at + size])
        assert np.isfinite(y).all()
        assert np.abs(y).max() <= np.float32(CEILING)
        at += size


def _random_settings(random):
    chosen = random.permutation([e for e in names() if e != "gain"])[: random.integers(0, 6)]
    steps = []
    for effect in chosen:
        values = {p.name: p.clip(p.value(random.uniform())) for p in load(effect).params}
        steps.append(EffectSettings(str(effect), values, bool(random.integers(2))))
    gain = load("gain").params[0]
    return ChainSettings(tuple(steps), *(gain.clip(gain.value(random.uniform())) for _ in range(2)))


def test_supervisor_needs_no_torch():
    code = "import afx_live.realtime.audio.live_engine, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert live_engine.STALL_S == 0.25


if __name__ == "__main__":
    _play_and_record(*sys.argv[1:])
