"""The real engine without a device: sound is fed by hand."""

from typing import Any, ClassVar

import numpy as np

from afx_live.chain import ChainSettings
from afx_live.realtime.audio.engine import Engine
from support.clips import RATE


class InProcess:
    """What LiveEngine is to a session, without a device: sound is fed by hand."""

    sample_rate = float(RATE)
    status: ClassVar[dict[str, Any]] = {}

    def __init__(self):
        self._engine = Engine(ChainSettings(), RATE)
        self.asked, self.heard_of = [], []

    def play(self, settings, **flags):
        self.asked.append((settings, flags))
        self._engine.shared.play(settings, **flags)

    def meters(self):
        return self._engine.shared.read()

    def recent_input(self, seconds):
        return self._engine.shared.recent_input(seconds, RATE)

    def feed(self, x):
        """Play a sound (frames,) into both inputs, or (frames, 2); returns what comes out."""
        x = x if x.ndim == 2 else np.repeat(x[:, None], 2, 1)
        blocks = np.array_split(x.astype(np.float32), max(1, len(x) // 512))
        return np.concatenate([self._engine.process(b) for b in blocks])
