"""The test signal sent round a loop of known length."""

import numpy as np

from afx_live.realtime.audio.engine import memory
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.audio.test_signal import LEVEL, PERIOD, noise_callback

RATE = 48000


def run_loop(way, level=LEVEL, periods=2, block=333):
    """Play the probe's noise for some periods; `way(sound, at)` gives what comes in at frame `at` of what went out.

    Output and input are the second of two channels. Returns what it kept, (frames, 2).
    """
    shared = Shared.create(None, RATE)
    bound = noise_callback(memory(shared, RATE, (1, 1), (1, 1)), RATE, 2, 2, level)
    sound = np.zeros((periods * PERIOD // block + 1) * block)
    x, y = np.zeros((block, 2), np.float32), np.zeros((block, 2), np.float32)
    for at in range(0, len(sound), block):
        x[:, 1] = way(sound, at)[:block]
        bound.call(x, y)
        assert not y[:, 0].any()
        sound[at : at + block] = y[:, 1]
    return shared.recent_input(len(sound) / RATE, RATE)


def delayed(delay, gain=1.0):
    return lambda sound, at: np.concatenate([np.zeros(delay), gain * sound])[at:]


def came_back(played, delay, gain=1.0):
    return gain * np.concatenate([np.zeros(delay), played])[: len(played)]
