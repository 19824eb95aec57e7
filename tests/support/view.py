"""What the status view shows: an engine without a device, a session, meters, and a terminal of our own."""

import json
import shutil
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from afx_live import presets
from afx_live.matching.model import Features, Prediction
from afx_live.matching.reference import ReferenceClip
from afx_live.realtime.audio.callback import callback
from afx_live.realtime.audio.engine import memory
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.session.state import SessionState
from afx_live.realtime.view.layout import draw
from afx_live.realtime.view.status_file import Publisher
from afx_live.realtime.view.status_reader import MeterBallistics

RATE = 48000.0
WIDE, NARROW = (200, 60), (80, 24)


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

    def play(self, settings, **flags):
        self.shared.play(settings, **flags)

    def meters(self):
        return self.shared.read()

    def recent_input(self, seconds):
        return self.shared.recent_input(seconds, RATE)

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


AMP = ReferenceClip(Path("amp.wav"), Features(np.zeros(1), np.zeros(1), 1.0), -16.0, 7.0)


class Sitting:
    """A session for the view: it only has a state."""

    target_lufs = -18.0

    def __init__(self, settings, probability=(), references=(AMP,)):
        none, count = np.zeros(0), len(probability)
        told = none, np.array(probability), np.zeros(count), none, 0.5, np.full(count, True)
        made = Prediction(*told) if count else None
        self.state = SessionState(settings, references=references, prediction=made)


def publishing(engine: Any, session: Any, *more: Any) -> Publisher:
    return Publisher(engine, session, *more)


DRIVEN = presets.load("driven-guitar").settings


def again(publisher):
    """Write the state, whoever has written another one there."""
    publisher.path.write_text(json.dumps(publisher.state()))


ROW = {
    "in_peak": 0.25,
    "in_rms": 0.05,
    "in_dc": [0.0, 0.0],
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


class StandIn(Player):
    """What `afx-live run` takes for its LiveEngine: it plays a guitar, whatever devices are asked for."""

    def __init__(self, settings, options, **more):
        super().__init__(Path(tempfile.mkdtemp(prefix="afx-live-")), settings)
        self._stack = ExitStack()

    def __enter__(self):
        self._stack.callback(shutil.rmtree, self.folder)
        self._stack.enter_context(self.playing())
        return self

    def __exit__(self, *_):
        self._stack.close()

    def revive(self):
        return False

    def fade_out(self):
        self.shared.mute()
