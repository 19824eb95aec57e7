"""Level is solved, not predicted.

The input gain brings the input to the loudness the chain was trained at, the output gain brings the result to
its target. Loudness is integrated loudness in LUFS (ITU-R BS.1770-4).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from ..chain import GAIN, ChainPlayer, ChainSettings
from ..dsp.loudness import LoudnessMeter
from .blocks import BLOCK, prefetch, split_chain

TRAINED_LUFS = -23.0
"""Loudness that chains are made for where no model says otherwise."""
SILENT_LUFS = -90.0
"""What is no louder counts as silent: it is neither matched nor levelled."""
MAX_LUFS = 0.0
"""No target is louder: nothing can be louder than full scale."""
MIN_THREADED_S = 30.0
"""Shorter sounds are played in one thread: a second one does not pay, least of all beside a live stream."""
GATE_ITERATIONS = 3
"""A gain lifts quiet blocks over the absolute gate of -70 LUFS, which moves the loudness again: solve this often."""


def measure(x: np.ndarray, sample_rate: float, settings: ChainSettings | None = None) -> LoudnessMeter:
    """Measure a sound (frames, channels), as it is or as a chain plays it."""
    blocks = (x[at : at + BLOCK] for at in range(0, len(x), BLOCK))
    meter = LoudnessMeter(sample_rate, x.shape[1], BLOCK)
    with ThreadPoolExecutor(1) as pool:
        if settings is not None:
            parts = split_chain(settings) if len(x) > MIN_THREADED_S * sample_rate else (settings,)
            for i, part in enumerate(parts):
                blocks = map(ChainPlayer(part, sample_rate, x.shape[1]).play, prefetch(blocks, pool) if i else blocks)
        for block in blocks:
            meter.add(block)
    return meter


def loudness(x: np.ndarray, sample_rate: float, settings: ChainSettings | None = None) -> float:
    """Give the loudness of a sound (frames, channels) in LUFS, as it is or as a chain plays it."""
    return measure(x, sample_rate, settings).lufs(faint=True)


def solve_level(
    settings: ChainSettings,
    x: np.ndarray,
    sample_rate: float,
    target_lufs: float | None,
    trained_lufs: float = TRAINED_LUFS,
    input_gain_db: float | None = None,
) -> ChainSettings:
    """Set both gains: the input's so that the chain works at `trained_lufs`, the output's to reach the target.

    x (frames,) or (frames, channels) is a stretch of the input; of more than two channels the first two count.
    `trained_lufs` is the loudness after the linear effects in front. Closed form: they are linear, and the output
    gain comes after everything that is not. Without a target the loudness stays the input's. With an
    `input_gain_db` only the output gain is solved. Silence changes nothing.
    """
    x = x[:, None] if x.ndim == 1 else x[:, :2]
    input_lufs = loudness(x, sample_rate)
    if not input_lufs > SILENT_LUFS:
        return settings
    if input_gain_db is None:
        linear = ChainSettings(settings.linear_front)
        # BS.1770 adds channels: the same sound in two reads 3 LU more, and drives an effect no harder
        input_gain_db = GAIN.clip(trained_lufs + 10.0 * np.log10(x.shape[1]) - loudness(x, sample_rate, linear))
    ready = replace(settings, input_gain_db=input_gain_db, output_gain_db=0.0)
    played, gain_db = measure(x, sample_rate, ready), 0.0
    for _ in range(GATE_ITERATIONS):
        lufs = played.lufs(gain_db, faint=True)
        if not lufs > -np.inf:
            return ready
        gain_db = GAIN.clip(gain_db + (input_lufs if target_lufs is None else target_lufs) - lufs)
    return replace(ready, output_gain_db=gain_db)
