"""The status view: what it draws, what a second process can read, and that nothing it does touches the sound."""

import argparse
import fcntl
import json
import math
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.cells import cell_len

from afx_live import effects, presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.matching import Features, Prediction, ReferenceClip
from afx_live.realtime.audio.callback import callback
from afx_live.realtime.audio.engine import memory
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.view import child as view
from afx_live.realtime.view import status_file, status_reader
from afx_live.realtime.view import terminal as watch
from afx_live.realtime.view.braille_plot import GUTTER, plot
from afx_live.realtime.view.console import Console
from afx_live.realtime.view.keyboard import HELP
from afx_live.realtime.view.layout import draw
from afx_live.realtime.view.panels import Meters
from afx_live.realtime.view.status_file import Publisher, spectrum
from afx_live.realtime.view.status_reader import FRAME_S, Ended, MeterBallistics, StatusReader
from support.programs import children

RATE = 48000.0
WIDE, NARROW = (200, 60), (80, 24)
SIZES = [
    NARROW,
    WIDE,
    (130, 24),
    (129, 24),
    (100, 40),
    (79, 23),
    (60, 16),
    (40, 12),
    (20, 5),
    (3, 2),
    (1, 1),
    (500, 100),
]


class Player:
    """What LiveEngine is to the state and the view, without a device: the real callback, called by a thread."""

    sample_rate, running = RATE, True

    def __init__(self, folder, settings):
        self.folder = folder
        self.status = {
            "input": "Scarlett 2i2",
            "output": "Scarlett 2i2",
            "api": "ALSA",
            "sample_rate": RATE,
            "block_size": 128,
            "input_latency": 0.004,
            "output_latency": 0.005,
            "priority": 70,
        }
        self.shared = Shared.create(folder / "shared", RATE)
        self.shared.play(settings)
        self.callback = callback(memory(self.shared, RATE), RATE, 2, 2)
        self._clip = soundfile.read(presets.clip("guitar"))[0].astype(np.float32)
        self._at = 0

    def meters(self):
        return self.shared.read()

    def heard(self, seconds):
        return self.shared.heard(seconds, RATE)

    def feed(self, seconds, gain=1.0):
        """Play so much of the guitar, as fast as it goes."""
        for _ in range(int(seconds * RATE / 512)):
            x = np.take(self._clip, range(self._at, self._at + 512), mode="wrap") * np.float32(gain)
            self.callback.call(np.repeat(x[:, None], 2, 1), np.zeros((512, 2), np.float32))
            self._at += 512

    @contextmanager
    def playing(self):
        """Play on another thread, about as fast as time passes."""
        stop = threading.Event()

        def run():
            while not stop.wait(0.02):
                self.feed(0.022)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class Sitting:
    """What a Session is to the state."""

    def __init__(self, settings, probability=(), references=()):
        self.playing, self.references, self.error, self.target_lufs = settings, references, "", -18.0
        self.prediction, self.reached = None, True
        if len(probability):
            self.prediction = Prediction(np.zeros(0), np.array(probability), np.zeros(0), 0.5)
        self.values = {"/afx/amount": 0.75, "/afx/reference": "amp.wav", "/afx/preset/load": ""}

    def value(self, path):
        return self.values.get(path, False)


def publishing(engine: Any, session: Any, *more: Any) -> Publisher:
    return Publisher(engine, session, *more)


@pytest.fixture(scope="module")
def home():
    """A folder as the engine's, where it would be."""
    folder = Path(tempfile.mkdtemp(prefix="afx-live-test-screen-"))
    yield folder
    shutil.rmtree(folder)


DRIVEN = presets.load("driven-guitar").settings


@pytest.fixture(scope="module")
def player(home):
    made = Player(home, DRIVEN)
    made.feed(4.0)
    return made


@pytest.fixture(scope="module")
def publisher(player):
    said = deque([(time.time(), "OSC        udp 127.0.0.1:9123"), (time.time(), "Chain      one\n           two")])
    made = publishing(player, Sitting(DRIVEN, (0.12, 0.34, 0.56, 0.78)), said, "127.0.0.1:9123", HELP)
    made.publish()
    return made


@pytest.fixture
def shown(publisher):
    """The state of a running program, and its meters."""
    return json.loads(json.dumps(publisher.state())), meters()


def again(publisher):
    """Write the state, whoever has written another one there."""
    publisher._written = ""
    publisher.publish()


ROW = {
    "in_peak": 0.25,
    "in_rms": 0.05,
    "out_peak": 0.5,
    "out_rms": 0.1,
    "in_lufs": -23.4,
    "out_lufs": -17.9,
    "gain_reduction_db": [0.0, 0.0, -5.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    "ceiling_gain": 10 ** (-3.3 / 20),
    "load": 0.042,
    "load_max": 0.31,
    "input_overflows": 0,
    "output_underflows": 0,
    "late": 0,
    "muted_blocks": 0,
    "clipped": 17,
    "callbacks": 5,
}


def meters(**others):
    return MeterBallistics().follow({**ROW, **others})


def lines(state, meters, size):
    return draw(state, meters, *size).plain.split("\n")


# --- drawing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_all_that_is_known_is_shown(shown, size):
    text = "\n".join(lines(shown[0], shown[1], size))
    for part in (
        "● playing",
        "amount 75%",
        "like amp.wav",
        "-12.0 peak",
        "-23.4 LUFS",
        " -6.0 peak",
        "-17.9 LUFS",
        "target -18.0 LUFS",
        "compressor ",
        " -5.2 dB",
        "safety ",
        " -3.3 dB",
        "+18 ",
        "-18 ",
        "100 ",
        "10k",
        "Hz",
        "⠤⠤ equaliser",
        "input",
        "● equaliser",
        "● compressor",
        "● distortion",
        "● reverb",
        "+0.0 dB in, +8.0 dB out",
        "equaliser 12%   compressor 34%   distortion 56%   reverb 78%",
        "4 % at most 31 %",
        "xruns 0 + 0",
        "late 0",
        "muted 0",
        "limited 17",
        "10.3 ms = 1.3 algorithmic + 2.7 block + 6.3 device",
        "Scarlett 2i2 (ALSA)",
        "48000 Hz",
        "block 128",
        "osc 127.0.0.1:9123",
        "space A/B",
        "m mute",
        "u undo",
        "f freeze",
        "q end",
        "Chain      one",
    ):
        assert part in text, part
    assert ("threshold -28.0 dB   ratio 2.50" in text) == (size == WIDE)  # where there is room, every parameter
    assert ("peak 2 +4.5 dB @ 850 Hz Q 0.70" in text) == (size == WIDE)
    assert ("-28 dB 2.5:1" in text) == (size == NARROW)


def fits(drawn, size):
    assert len(drawn) == size[1]
    assert {cell_len(line) for line in drawn} == {size[0]}


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_kept(shown, size):
    fits(lines(shown[0], shown[1], size), size)


def test_what_is_too_long_is_cut_with_dots(shown):
    known = {**shown[0], "reference": 300 * "x", "messages": [[0, 300 * "y"]]}
    for size in (NARROW, WIDE):
        drawn = lines(known, shown[1], size)
        assert drawn[0].endswith("x… ")
        assert any(line.endswith("y… ") for line in drawn)


def test_the_plot_stands_in_its_own_column(shown):
    drawn = lines(shown[0], shown[1], WIDE)
    assert (
        len({line.index(label) for line in drawn for label in ("spectrum", "+18 ", "-18 ") if label in line[95:]}) == 1
    )


def test_a_small_terminal_keeps_what_matters(shown):
    text = "\n".join(lines(shown[0], shown[1], (60, 6)))
    for part in ("playing", "in  ", "out  ", "load", "space"):
        assert part in text


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf, 0.0, -1.0, 1e300, None])
@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_no_meter_breaks_it(shown, value, size):
    row = {
        name: value if isinstance(v, float) else [value] * 10 if v is ROW["gain_reduction_db"] else v
        for name, v in ROW.items()
    }
    fits(lines(shown[0], MeterBallistics().follow(row), size), size)
    fits(lines(shown[0], Meters(), size), size)


def test_silence_shows_dashes_and_empty_bars(shown):
    silent = meters(in_peak=0.0, in_rms=0.0, in_lufs=-math.inf)
    line = next(line for line in lines(shown[0], silent, NARROW) if line.startswith(" in "))
    assert re.fullmatch(r" in +─+ +– peak +– LUFS *", line)


@pytest.mark.parametrize("size", [NARROW, WIDE, (50, 14)])
def test_any_chain_can_be_drawn(player, size):
    every = tuple(EffectSettings(name) for name in reversed(effects.names()))
    off = tuple(replace(step, enabled=False) for step in every)
    for steps in ((), every, off, every[:1], off[2:4]):
        drawn = lines(publishing(player, Sitting(ChainSettings(steps))).state(), meters(), size)
        fits(drawn, size)
        text = "\n".join(drawn)
        for step in steps if size != (50, 14) else ():
            assert f"{'●' if step.enabled else '○'} {step.effect}" in text
        assert ("limiter  " in text) == (bool(steps) and any(s.effect == "limiter" and s.enabled for s in steps)) or off
        assert "decided" not in text  # nothing was heard yet


def test_bars_grow_with_the_level(shown):
    def length(db):
        gain = 10 ** (db / 20)
        line = next(s for s in lines(shown[0], meters(in_rms=gain, in_peak=gain), NARROW) if s.startswith(" in "))
        return line.count("━") + line.count("┃")

    found = [length(db) for db in (-70, -60, -48, -36, -24, -12, -6, 0)]
    assert found[:2] == [0, 0]
    assert found[1:] == sorted(set(found[1:]))
    assert found[-1] == 36


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("muted", True, "MUTED"),
        ("bypass", True, "DRY"),
        ("frozen", True, "FROZEN"),
        ("error", "no such clip", "no such clip"),
    ],
)
def test_what_is_unusual_is_said(shown, key, value, word):
    known, m = shown
    assert word not in "\n".join(lines(known, m, NARROW))
    assert word in "\n".join(lines({**known, key: value}, m, NARROW))


def test_a_device_that_is_away_is_said(shown):
    known, m = shown
    away = {**known, "stream": {**known["stream"], "running": False}}
    assert "waiting for Scarlett 2i2" in lines(away, m, NARROW)[0]
    assert "no audio callback for 3 s" in "\n".join(lines(known, replace(m, still_s=3.2), NARROW))


def test_drop_outs_get_advice_until_they_have_passed(shown):
    known, _ = shown
    pointers = MeterBallistics()
    quiet, bad = meters().fast, meters(late=3, output_underflows=1).fast
    assert "advice" not in "\n".join(lines(known, pointers.follow(quiet), NARROW))
    for _ in range(3):
        m = pointers.follow(bad)
    text = "\n".join(lines(known, m, NARROW))
    assert "4 drop-outs: --blocksize 256 is safer" in text
    assert "xruns 0 + 1" in text
    for i in range(round(31.0 / FRAME_S)):
        m = pointers.follow({**bad, "callbacks": i})
    text = "\n".join(lines(known, m, NARROW))
    assert "advice" not in text
    assert "4 drop-outs so far, none in the last half minute" in text
    assert "(no real-time priority)" in "\n".join(
        lines({**known, "stream": {**known["stream"], "priority": 0}}, replace(m, recent=1), NARROW)
    )


def test_a_peak_is_held_and_then_falls():
    pointers = MeterBallistics()
    hold = [pointers.follow({"in_peak": 1.0 if i == 0 else 0.001}).hold_db[0] for i in range(40)]
    assert hold[0] == hold[14] == 0.0
    assert hold[24] == pytest.approx(-20.0, abs=2.1)
    assert hold[-1] < -40.0


def test_numbers_change_less_often_than_bars():
    pointers = MeterBallistics()
    seen = [pointers.follow({"in_lufs": float(i)}) for i in range(12)]
    assert [m.fast["in_lufs"] for m in seen] == list(range(12))
    assert len({m.slow["in_lufs"] for m in seen}) == 4


def test_names_cannot_steer_the_terminal(shown):
    known, m = shown
    evil = "a\x1b[2J\x07\u009b31m\u202eb"
    known = {**known, "reference": evil, "error": evil, "messages": [[0, evil]], "osc": evil}
    for size in (NARROW, WIDE):
        drawn = lines(known, m, size)
        fits(drawn, size)
        assert all(line.isprintable() for line in drawn)


def test_wide_characters_keep_the_columns(shown):
    known, m = shown
    known = {**known, "reference": "日本語のギター.wav" * 9, "messages": [[0, "日本語" * 60]]}
    for size in (NARROW, WIDE, (41, 13)):
        fits(lines(known, m, size), size)


# --- curves ---------------------------------------------------------------------------------------


def dots(text, width, rows):
    """Give the dots of a plot as an array (4 rows, 2 columns a cell), without its axis."""
    found = np.zeros((4 * rows, 2 * (width - GUTTER)), bool)
    for r, row in enumerate(text[:rows]):
        for c, cell in enumerate(row.plain[GUTTER:]):
            bits = ord(cell) - 0x2800 if cell != " " else 0
            for bit, (y, x) in enumerate([(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]):
                found[4 * r + y, 2 * c + x] |= bool(bits >> bit & 1)
    return found


@pytest.mark.parametrize(("db", "row"), [(18.0, 0), (0.0, 16), (-18.0, 31), (9.0, 8)])
def test_a_level_has_its_height(db, row):
    drawn = dots(plot((db,) * 96, None, None, 64, 8), 64, 8)
    assert drawn[row].all()
    assert drawn.sum(0).max() <= 2  # the line, and the zero line


def test_what_is_beyond_18_db_is_not_drawn():
    nothing = dots(plot(None, None, None, 64, 8), 64, 8)
    assert (dots(plot((30.0,) * 96, None, None, 64, 8), 64, 8) == nothing).all()
    assert (dots(plot((None,) * 96, (None,) * 96, (None,) * 96, 64, 8), 64, 8) == nothing).all()


def test_a_peak_stands_over_its_frequency():
    hz = np.array(status_file.HZ)
    curve = tuple(12.0 * np.exp(-((np.log2(hz / 1000.0) / 0.5) ** 2)))
    text = plot(curve, None, None, 104, 10)
    top = np.argmax(dots(text, 104, 10).any(0) * (40 - np.argmax(dots(text, 104, 10), 0)))
    assert abs(GUTTER + top / 2 - text[-1].plain.index("1k")) <= 2


def test_curves_are_told_apart_without_colour():
    flat = (6.0,) * 96
    kinds = [plot(*(flat if i == k else None for i in range(3)), 64, 8) for k in range(3)]
    texts = {"\n".join(row.plain for row in kind) for kind in kinds}
    assert len(texts) == 3


@pytest.mark.parametrize("hz", [100.0, 1000.0, 8000.0])
def test_a_tone_is_a_peak_in_the_spectrum(tmp_path, hz):
    t = np.arange(int(2 * RATE)) / RATE
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(t))
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * hz * t) + noise, int(RATE))
    found = spectrum(tmp_path / "tone.wav")
    assert found is not None
    assert abs(np.log2(status_file.HZ[np.argmax(np.array(found, float))] / hz)) < 0.2


def test_pink_noise_is_flat(tmp_path):
    white = np.fft.rfft(np.random.default_rng(0).standard_normal(10 * 48000))
    pink = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1.0)))
    soundfile.write(tmp_path / "pink.wav", 0.1 * pink / pink.std(), 48000)
    assert np.abs(np.array(spectrum(tmp_path / "pink.wav"), float)).max() < 3.0


def test_what_is_no_sound_has_no_spectrum(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(48000), 48000)
    soundfile.write(tmp_path / "short.wav", np.ones(100), 48000)
    (tmp_path / "text.wav").write_text("no sound")
    assert [spectrum(tmp_path / f"{n}.wav") for n in ("silence", "short", "text", "missing")] == [None] * 4


def test_spectra_end_where_the_rate_ends(tmp_path):
    soundfile.write(tmp_path / "low.wav", 0.1 * np.random.default_rng(0).standard_normal(32000), 16000)
    found = spectrum(tmp_path / "low.wav")
    assert found is not None
    assert all(level is None for level, hz in zip(found, status_file.HZ, strict=True) if hz > 8000.0)


# --- what a second process reads ------------------------------------------------------------------


def test_a_second_process_reads_what_the_engine_writes(player, publisher):
    source = StatusReader(player.folder)
    assert source.state() == json.loads(json.dumps(publisher.state()))
    player.feed(0.1)
    expected = player.meters()
    assert source.meters() == {name: expected[name] for name in expected}
    assert expected["callbacks"] > 0


def test_the_reference_and_the_input_have_spectra(player):
    path = presets.clip("guitar_reference")
    sitting = Sitting(DRIVEN, references=[ReferenceClip(path, Features(np.zeros(1), np.zeros(1), 1.0), -16.0, 7.0)])
    made = publishing(player, sitting)
    made.publish()
    curves = made.state()["curves"]
    assert curves["reference_db"] == spectrum(path)
    clip = spectrum(presets.clip("guitar"))
    assert clip is not None
    apart = np.array(curves["input_db"], float) - np.array(clip, float)
    assert np.median(np.abs(apart[np.array(clip, float) > -20])) < 4.0  # two seconds of it, and it is a phrase
    assert max(curves["equaliser_db"]) == pytest.approx(4.5, abs=0.3)


def test_silence_keeps_the_last_spectrum(home, player):
    made = publishing(player, Sitting(DRIVEN))
    made.publish()
    before = made.state()["curves"]["input_db"]
    player.feed(4.0, gain=0.0)
    for _ in range(2 * status_file.LOOKS):
        made.publish()
    assert before is not None
    assert made.state()["curves"]["input_db"] == before
    player.feed(4.0)


def test_the_file_is_written_when_something_has_changed_and_whole(player):
    sitting = Sitting(DRIVEN)
    made = publishing(player, sitting)
    made.publish()
    made.publish()
    before = os.stat(player.folder / status_reader.FILE)
    made._round = 1  # no look at the spectrum
    made.publish()
    assert os.stat(player.folder / status_reader.FILE).st_mtime_ns == before.st_mtime_ns
    source = StatusReader(player.folder)
    old = source.state()
    assert source.state() is old
    sitting.values["/afx/amount"] = 0.5
    made.publish()
    after = os.stat(player.folder / status_reader.FILE)
    assert after.st_ino != before.st_ino  # replaced as a whole
    assert source.state()["amount"] == 0.5
    assert status_file.PERIOD_S >= 0.2


def test_trouble_with_the_file_is_logged_once_and_no_more(player, tmp_path, caplog):
    away = {"folder": tmp_path / "gone", "running": False, "sample_rate": RATE}
    made = publishing(SimpleNamespace(**{**vars(player), **away}), Sitting(DRIVEN))
    for _ in range(3):
        made._guarded()
    assert len(caplog.records) == 1
    (tmp_path / "gone").mkdir()
    made._guarded()
    assert (tmp_path / "gone" / status_reader.FILE).exists()


def test_a_source_that_vanishes_has_ended(tmp_path, player, publisher):
    shutil.copytree(player.folder, tmp_path / "copy")
    source = StatusReader(tmp_path / "copy")
    source.meters()
    shutil.rmtree(tmp_path / "copy")
    with pytest.raises(Ended):
        source.state()


def test_only_what_runs_is_found(tmp_path, monkeypatch, publisher):
    monkeypatch.setattr(status_reader, "MEMORY", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    known = publisher.state()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    texts = {
        "old": json.dumps(known),
        "new": json.dumps(known),
        "dead": json.dumps({**known, "pid": dead.pid}),
        "broken": "{",
        "strange": "[]",
    }
    for i, (name, text) in enumerate(texts.items()):
        folder = tmp_path / f"afx-live-{name}"
        folder.mkdir()
        (folder / status_reader.FILE).write_text(text)
        os.utime(folder / status_reader.FILE, (i, i))
    assert [f.name for f in status_reader.running()] == ["afx-live-new", "afx-live-old"]


# --- the process ----------------------------------------------------------------------------------


class Pty:
    """A terminal of our own, which remembers all that was written to it."""

    def __init__(self, size=NARROW):
        self.master, self.slave = pty.openpty()
        self.data = bytearray()
        self.resize(*size)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                self.data += os.read(self.master, 65536)
            except OSError:  # closed
                return

    def resize(self, width, height):
        self.size = width, height
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def text(self):
        return self.data.decode(errors="replace")

    def screen(self, after=0):
        """Give the lines that the last full picture and what came after it leave; nothing may lie outside."""
        width, height = self.size
        cells = [[" "] * width for _ in range(height)]
        written = self.text()[after:]
        drawn = written[written.rfind(watch.CLEAR) :]
        for row, column, text in re.findall(r"\x1b\[(\d+);(\d+)H((?:[^\x1b]|\x1b\[[\d;]*m)*)", drawn):
            plain = re.sub(r"\x1b\[[\d;]*m", "", text)
            for i, c in enumerate(plain):
                cells[int(row) - 1][int(column) - 1 + i] = c
        return ["".join(row) for row in cells]

    def close(self):
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal():
    made = Pty()
    yield made
    made.close()


@pytest.fixture
def child(terminal, player, publisher):
    again(publisher)
    made = start(terminal, player.folder)
    yield made
    if made.poll() is None:
        made.kill()
        made.wait()


def start(terminal, folder, **env):
    words = [sys.executable, "-m", "afx_live.realtime.view.terminal", str(folder)]
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM")} | {"TERM": "xterm-256color"} | env
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=terminal.slave, stderr=subprocess.PIPE, env=env)


def let_go(child):
    """Close its standard input, as afx-live does when it ends, or is killed."""
    child.stdin.close()


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def cpu_s(pid):
    """Give the processor time of a process with one thread."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) * 1e-9


def test_it_shows_follows_a_resize_and_leaves_the_terminal_as_it_was(terminal, child, player):
    until(lambda: "● playing" in terminal.text())
    assert terminal.text().startswith(watch.ENTER)
    until(lambda: any("● reverb" in line for line in terminal.screen()))
    for size in ((120, 30), (20, 5), (1, 1), WIDE, NARROW):
        seen = len(terminal.text())
        terminal.resize(*size)
        until(lambda seen=seen: watch.CLEAR in terminal.text()[seen:] and watch.END in terminal.text()[seen:])
        assert len(terminal.screen(seen)) == size[1]
    until(lambda: any("space A/B" in line for line in terminal.screen()))
    with player.playing():
        seen = len(terminal.text())
        until(lambda: len(terminal.text()) > seen + 1000)  # it moves
    let_go(child)
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))
    assert terminal.text().count(watch.LEAVE) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_the_terminal_as_it_was(terminal, child, number):
    until(lambda: "● playing" in terminal.text())
    child.send_signal(number)
    if number == signal.SIGINT:  # Ctrl-C is for afx-live, which then lets go
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        let_go(child)
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(terminal, child):
    until(lambda: "● playing" in terminal.text())
    child.send_signal(signal.SIGTSTP)
    until(lambda: terminal.text().endswith(watch.LEAVE))
    with open(f"/proc/{child.pid}/stat") as file:
        assert file.read().rsplit(")", 1)[1].split()[0] == "T"
    seen = len(terminal.text())
    child.send_signal(signal.SIGCONT)
    until(lambda: watch.ENTER in terminal.text()[seen:] and "● playing" in terminal.text()[seen:])


def test_it_ends_with_the_afx_live_that_it_shows(terminal, player, publisher, tmp_path):
    again(publisher)
    shutil.copytree(player.folder, tmp_path / "copy")
    child = start(terminal, tmp_path / "copy")
    until(lambda: "● playing" in terminal.text())
    shutil.rmtree(tmp_path / "copy")
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))


def test_no_color_is_honoured(terminal, player, publisher):
    again(publisher)
    child = start(terminal, player.folder, NO_COLOR="1")
    until(lambda: "space" in terminal.text())
    colours = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3\d|4\d|9\d)(?:;[\d;]*)?m")
    assert not colours.search(terminal.text())
    let_go(child)
    assert child.wait(10) == 0
    other = start(terminal, player.folder)
    until(lambda: colours.search(terminal.text()))
    other.kill()
    other.wait()


DRAW_S = 0.002
"""Processor time of one picture of NARROW, drawn ten times a second, on a quiet machine (Intel Xeon, model 207)."""


def test_it_costs_little_of_a_core(terminal, player, shown):
    """2 % over 5 s of guitar with all that moves: levels, a spectrum every two seconds, new settings every second.

    A machine that is busy, or slower, is allowed as much more as a picture then takes to draw here. The least of three
    stretches: what disturbs a measurement only ever adds.
    """
    terminal.resize(*WIDE)
    sitting = Sitting(DRIVEN, (0.1, 0.2, 0.3, 0.4))
    with player.playing(), publishing(player, sitting, (), "127.0.0.1:9123", HELP):
        child = start(terminal, player.folder)
        until(lambda: "● playing" in terminal.text())
        shares = []
        for _ in range(3):
            before, begin, seen, drawing = cpu_s(child.pid), time.monotonic(), len(terminal.data), []
            for n in range(50):
                if n % 10 == 0:
                    sitting.values["/afx/amount"] = round(time.monotonic() % 1.0, 2)
                time.sleep(0.1)
                began = time.thread_time()
                draw(shown[0], shown[1], *NARROW)
                drawing.append(time.thread_time() - began)
            share = (cpu_s(child.pid) - before) / (time.monotonic() - begin)
            slower = max(1.0, float(np.median(drawing)) / DRAW_S)
            print(f"{100 * share:.2f} % of a core, a picture takes {1e3 * np.median(drawing):.2f} ms")
            shares.append(share / slower)
            assert len(terminal.data) > seen + 5 * 2000  # it did draw
            if shares[-1] < 0.02:
                break
        let_go(child)
        assert child.wait(10) == 0
    assert min(shares) < 0.02


# --- from afx-live --------------------------------------------------------------------------------


@contextmanager
def speaking(terminal, monkeypatch):
    """Have the terminal as standard error, and a voice on it."""
    with os.fdopen(os.dup(terminal.slave), "w", encoding="utf-8") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", file)
        patch.setenv("TERM", "xterm-256color")
        with Console() as voice:
            yield voice


def test_messages_go_to_the_view_and_are_said_again_after_it(terminal, monkeypatch, player):
    with speaking(terminal, monkeypatch) as voice:
        voice("before")
        until(lambda: "before" in terminal.text())
        with publishing(player, Sitting(DRIVEN), voice.messages), view.View(player.folder, voice):
            voice("said meanwhile")
            voice.status("a status line")
            until(lambda: any("said meanwhile" in line for line in terminal.screen()))
            voice.status("a status line")
        shown = terminal.text().partition(watch.ENTER)[2]
        assert "\x1b[K" not in shown.partition(watch.LEAVE)[0]  # as lines of the voice have, and the view has not
        assert "a status line" not in shown
        voice("after")
        until(lambda: "after" in terminal.text())
    plain = terminal.text().rpartition(watch.LEAVE)[2]
    assert [re.sub(r"\r|\x1b\[K", "", line) for line in plain.split("\n")[:2]] == ["said meanwhile", "after"]


@pytest.mark.parametrize("way", ["killed", "crashed"])
def test_a_view_that_dies_leaves_the_sound_and_plain_lines(terminal, monkeypatch, player, publisher, way):
    again(publisher)
    with (
        player.playing(),
        speaking(terminal, monkeypatch) as voice,
        view.View(player.folder, voice) as shown,
    ):
        until(lambda: "● playing" in terminal.text())
        voice("only in the view")
        if way == "killed":
            assert shown.pid
            os.kill(shown.pid, signal.SIGKILL)
        else:
            (player.folder / "fresh").write_text("{")
            (player.folder / "fresh").replace(player.folder / status_reader.FILE)
        until(lambda: "the sound goes on" in terminal.text())
        why = "code -9" if way == "killed" else "code 1: json.decoder.JSONDecodeError"
        after = terminal.text().rpartition(watch.LEAVE)[2]
        assert f"warning: the status view ended ({why}" in after
        assert "only in the view" in after
        voice.status("a status line")
        until(lambda: terminal.text().endswith("a status line"))
        before = player.meters()
        until(lambda: player.meters()["callbacks"] > before["callbacks"] + 10)
        assert player.meters()["clock"] > before["clock"]


def test_a_view_that_hangs_is_ended_in_time(terminal, monkeypatch, player, publisher):
    again(publisher)
    with speaking(terminal, monkeypatch) as voice:
        with view.View(player.folder, voice) as shown:
            until(lambda: "● playing" in terminal.text())
            assert shown.pid
            os.kill(shown.pid, signal.SIGSTOP)
            begin = time.monotonic()
        assert time.monotonic() - begin < view.END_S + 1.0
        until(lambda: terminal.text().endswith(watch.LEAVE))
        assert not os.path.exists(f"/proc/{shown.pid}")


def asked(**flags):
    return argparse.Namespace(**{"quiet": False, "json": False, "no_screen": False, **flags})


def test_it_is_off_where_it_is_not_wanted(terminal, monkeypatch, tmp_path):
    with speaking(terminal, monkeypatch):
        assert view.wanted(asked())
        for flag in ("quiet", "json", "no_screen"):
            assert not view.wanted(asked(**{flag: True}))
        monkeypatch.setenv("NO_COLOR", "1")
        assert view.wanted(asked())
        monkeypatch.setenv("TERM", "dumb")
        assert not view.wanted(asked())
        monkeypatch.setenv("TERM", "xterm")
        assert view.wanted(asked())
        monkeypatch.delenv("TERM")
        assert not view.wanted(asked())
        monkeypatch.setenv("TERM", "xterm")
        with os.fdopen(os.dup(terminal.slave), "w", encoding="ascii") as file:
            monkeypatch.setattr(sys, "stderr", file)
            assert not view.wanted(asked())
        with open(tmp_path / "file", "w", encoding="utf-8") as file:
            monkeypatch.setattr(sys, "stderr", file)
            assert not view.wanted(asked())


# --- afx-live watch -------------------------------------------------------------------------------

WATCH = """
import sys
from afx_live.realtime import cli, snapshot
snapshot.MEMORY = sys.argv.pop(1)
try:
    cli.main()
finally:
    assert not {"numba", "numpy", "onnxruntime", "torch", "afx_live.effects"} & set(sys.modules)
"""


def attached(folder, *words, **more):
    env = {**os.environ, "TMPDIR": str(folder), "TERM": "xterm-256color"}
    return subprocess.Popen([sys.executable, "-c", WATCH, str(folder), "watch", *words], env=env, text=True, **more)


def piped(folder, *words):
    child = attached(folder, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = child.communicate(timeout=20)
    return child.returncode, out, errors


def test_watch_finds_what_runs(player, publisher, tmp_path):
    again(publisher)
    code, out, errors = piped(tmp_path)
    assert (code, out) == (2, "")
    assert "no afx-live runs here" in errors
    shutil.copytree(player.folder, tmp_path / "afx-live-copy")
    code, out, errors = piped(tmp_path)
    assert (code, errors) == (0, "")
    assert "● playing" in out
    assert "\x1b" not in out
    code, out, errors = piped(tmp_path, "--json")
    assert (code, errors) == (0, "")
    found = json.loads(out)
    assert found["state"]["format"] == "afx-live-state"
    assert found["meters"]["callbacks"] == player.meters()["callbacks"]


def test_watch_on_a_terminal_ends_with_ctrl_c(terminal, player, publisher, tmp_path):
    again(publisher)
    shutil.copytree(player.folder, tmp_path / "afx-live-copy")
    child = attached(tmp_path, stdout=terminal.slave, stdin=terminal.slave, stderr=subprocess.PIPE)
    until(lambda: "Ctrl-C" in terminal.text())
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))
    assert child.stderr
    assert child.stderr.read() == ""


class StandIn(Player):
    """What `afx-live run` takes for its LiveEngine: it plays a guitar, whatever devices are asked for."""

    def __init__(self, settings, **options):
        super().__init__(Path(tempfile.mkdtemp(prefix="afx-live-")), settings)
        self._stack = ExitStack()

    def __enter__(self):
        self._stack.callback(shutil.rmtree, self.folder)
        self._stack.enter_context(self.playing())
        return self

    def __exit__(self, *_):
        self._stack.close()

    def play(self, settings, **flags):
        self.shared.play(settings, **flags)

    def revive(self):
        return False

    def fade_out(self):
        self.shared.mute()


WHOLE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_screen import StandIn
from afx_live.realtime.cli import main, run
run.LiveEngine = StandIn
main.main()
"""


def test_a_whole_afx_live_shows_itself_obeys_keys_and_outlives_its_view(terminal, tmp_path):
    env = {**os.environ, "AFX_LIVE_HOME": str(tmp_path), "TERM": "xterm-256color"}
    words = [sys.executable, "-c", WHOLE, "--preset", "driven-guitar", "--osc", "off"]
    before = termios.tcgetattr(terminal.slave)
    program = subprocess.Popen(
        words,
        env=env,
        stdin=terminal.slave,
        stdout=subprocess.PIPE,
        stderr=terminal.slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        until(lambda: any("● playing" in line for line in terminal.screen()), 90)
        until(lambda: any("space A/B" in line for line in terminal.screen()))
        os.write(terminal.master, b"b")
        until(lambda: "DRY" in terminal.screen()[0])
        os.write(terminal.master, b"-")
        until(lambda: "amount 95%" in terminal.screen()[0])
        source = next(s for s in map(StatusReader, status_reader.running()) if s.state()["pid"] == program.pid)
        assert source.state()["preset"] == "driven-guitar"
        assert source.state()["amount"] == 0.95
        for pid in children(program.pid):
            if b"realtime.view.terminal" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        until(lambda: "the sound goes on" in terminal.text())
        callbacks = source.meters()["callbacks"]
        until(lambda: source.meters()["callbacks"] > callbacks + 100)
        os.write(terminal.master, b"q")
        assert program.wait(20) == 0
        until(lambda: "saved preset last" in terminal.text().rpartition(watch.LEAVE)[2])
        assert termios.tcgetattr(terminal.slave) == before
        with pytest.raises(Ended):
            source.state()
    finally:
        if program.poll() is None:
            program.kill()
            program.wait()
