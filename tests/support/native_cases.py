"""The same story for the engine and for the library: blocks of any size, settings that change between them.

`python native_cases.py FILE.npz` plays it with the engine and keeps what came out: an instruction-set level
of numba's is chosen before its import, by NUMBA_CPU_NAME, so it takes a process of its own.
"""

import sys
from dataclasses import dataclass

import numpy as np

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.chain.numbered import order, path_values, playing_order
from afx_live.effects import load

CASES = ((48000.0, 2), (44100.0, 2), (48000.0, 1), (96000.0, 2), (16000.0, 2), (192000.0, 1), (8000.0, 2), (11025.5, 1))
SECONDS = 0.9


@dataclass
class Turn:
    """A block to play after settings are asked for (None: no change)."""

    block: np.ndarray
    settings: ChainSettings | None
    bypass: bool


def settings_at_random(rng, playing, on=0.6):
    steps = []
    for name in playing:
        values = {p.name: p.clip(p.value(rng.uniform())) for p in load(name).params}
        steps.append(EffectSettings(name, values, bool(rng.uniform() < on)))
    return ChainSettings(tuple(steps), float(rng.uniform(-12, 6)), float(rng.uniform(-12, 6)))


def story(number):
    """Make the turns of a case: some change values, some cross over to another order."""
    rate, channels = CASES[number]
    rng = np.random.default_rng(number)
    playing = list(rng.permutation(order()))
    frames = int(SECONDS * rate)
    x = rng.standard_normal((frames, channels)) * np.geomspace(1e-3, 2.0, frames)[:, None]
    turns, at, settled = [], 0, 0
    while at < frames:
        size = int(rng.choice([0, 1, 7, 63, 64, 65, 100, 512, 2000, 4096]))
        settings = None
        if not turns or (rng.uniform() < 0.5 and at >= settled):
            if turns and rng.uniform() < 0.3:
                playing = list(rng.permutation(order()))
                settled = at + int(0.04 * rate)  # the engine finishes a cross-over before it takes what comes next
            settings = settings_at_random(rng, playing)
        bypass = bool(rng.uniform() < 0.2)
        turns.append(Turn(x[at : at + size].astype(np.float32), settings, bypass and settings is not None))
        at += size
    return rate, channels, turns


def by_engine(number):
    from afx_live.realtime.audio.engine import Engine

    rate, channels, turns = story(number)
    engine, out = None, []
    for turn in turns:
        if turn.settings is not None:
            if engine is None:
                engine = Engine(turn.settings, rate, channels)
            engine.shared.play(turn.settings, bypass=turn.bypass)
        assert engine is not None
        if len(turn.block):
            out.append(engine.process(turn.block))
    return np.concatenate(out)


def put(instance, settings, amount=1.0, bypass=False):
    """Set an instance of the library to settings."""
    instance.set_order(playing_order(settings))
    for path, value in {**path_values(settings, amount), "bypass": float(bypass)}.items():
        instance.set(path, value)


def by_library(number, library, level=None):
    from support.afx_library import Instance

    rate, channels, turns = story(number)
    instance, out = Instance(library, rate, channels, level), []
    for turn in turns:
        if turn.settings is not None:
            put(instance, turn.settings, bypass=turn.bypass)
        out.append(instance.process(turn.block))
    return np.concatenate(out)


if __name__ == "__main__":
    np.savez(sys.argv[1], *[by_engine(i) for i in range(len(CASES))])
