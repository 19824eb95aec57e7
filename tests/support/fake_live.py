"""LiveEngine without a device."""

import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np

from afx_live.realtime.audio.engine import Engine


class FakeLive:
    """LiveEngine without a device: a block of silence at each look at the meters."""

    sample_rate = 48000.0
    closed = 0
    read = 0
    """How often its meters have been read."""
    running = True
    status: ClassVar = {
        "input": "a device",
        "output": "a device",
        "api": "API",
        "sample_rate": 48000.0,
        "block_size": 128,
        "input_latency": 0.003,
        "output_latency": 0.003,
        "priority": 0,
    }

    def __init__(self, settings, options, **more):
        self.options, self._on_event = options, more["on_event"]
        self._engine = Engine(settings, self.sample_rate)
        self._place = tempfile.TemporaryDirectory()
        self.folder = Path(self._place.name)

    def __enter__(self):
        self._on_event("running", "a device (API), 48000 Hz, block 128")
        return self

    def __exit__(self, *error):
        FakeLive.closed += 1

    def play(self, settings, **flags):
        self._engine.shared.play(settings, **flags)

    def fade_out(self):
        self._engine.shared.mute()

    def revive(self):
        return False

    def meters(self):
        FakeLive.read += 1
        self._engine.process(np.zeros((128, 2), np.float32))
        return self._engine.shared.read()

    def recent_input(self, seconds):
        return self._engine.shared.recent_input(seconds, self.sample_rate)
