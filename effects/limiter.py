"""Limiter: the compressor with an infinite ratio, as a sound.

It has no look-ahead and so lets fast peaks through; the ceiling that nothing passes is the safety
stage's. Source, kernel and gradient are the compressor's.
"""

import numpy as np

from . import compressor
from ._effect import Effect, Param


def design(sample_rate, ceiling_db, attack_ms, release_ms, knee_db):
    return (
        ceiling_db,
        0.0 * ceiling_db - 1.0,  # slope 1 / ratio - 1; the product keeps it complex for the complex step
        knee_db,
        np.exp(-1e3 / (attack_ms * sample_rate)),
        np.exp(-1e3 / (release_ms * sample_rate)),
        0.0 * ceiling_db,  # make-up
    )


effect = Effect(
    params=(
        Param("ceiling_db", -24.0, 0.0, -1.0, "level it turns peaks down to", neutral=0.0),
        Param("attack_ms", 0.05, 5.0, 0.5, "63 % time of turning down", "log"),
        Param("release_ms", 10.0, 500.0, 80.0, "63 % time of coming back", "log"),
        Param("knee_db", 0.1, 12.0, 1.0, "width of the soft knee; 0.1 is a hard one"),
    ),
    design=design,
    kernel=compressor.kernel,
    adjoint=compressor.adjoint,
    state_size=compressor.effect.state_size,
    tape_size=compressor.effect.tape_size,
    meter=compressor.effect.meter,
)
