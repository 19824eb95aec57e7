"""DeepAFx-ST's compressor: its static curve, with the knee as published or corrected, and its smoothing.

C. J. Steinmetz, N. J. Bryan, J. D. Reiss, Style Transfer of Audio Effects with Differentiable Signal Processing, JAES
70(9), 2022. A second definition beside our effect's on purpose.
"""

import math

import numpy as np

from ...dsp.compiler import jit


def pole(sample_rate: float, seconds: float) -> float:
    """Give the pole of a smoother from the time in which it goes from 10 to 90 % of a step."""
    return math.exp(-math.log(9.0) / (sample_rate * seconds))


@jit(fastmath=False)
def gain_reduction_db(level_db, threshold_db, ratio, knee_db, corrected):
    """Give the gain reduction in dB at steady levels (frames,) in dB; the knee as published, or corrected.

    As published, the knee raises the level, and its upper edge is a step: of 5.9 dB at a ratio of 20 and 12 dB.
    """
    found = np.empty_like(level_db)
    for n in range(len(level_db)):
        over, out = level_db[n] - threshold_db, level_db[n]
        if 2.0 * over > knee_db:
            out = threshold_db + over / ratio
        elif 2.0 * over >= -knee_db and knee_db > 0.0:
            bend = (1.0 / ratio) * ((over + knee_db) / 2.0) ** 2
            if corrected:
                bend = (1.0 / ratio - 1.0) * (over + knee_db / 2.0) ** 2
            out += bend / (2.0 * knee_db)
        found[n] = level_db[n] - out
    return found


@jit(fastmath=False)
def smoothed(wanted_db, attack, release):
    """Smooth a gain reduction (frames,) by attack and release poles, from 0."""
    found, now = np.empty_like(wanted_db), 0.0
    for n in range(len(wanted_db)):
        keep = attack if wanted_db[n] > now else release
        now = keep * now + (1.0 - keep) * wanted_db[n]
        found[n] = now
    return found
