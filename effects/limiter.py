"""Limiter: the compressor with an infinite ratio, as a sound.

It has no look-ahead and so lets fast peaks through; the ceiling that nothing passes is the safety
stage's. Source, kernel and gradient are the compressor's.
"""

from . import compressor
from ._effect import Effect, Param, log_uniform


def design(sample_rate, ceiling_db, attack_ms, release_ms, knee_db):
    return (
        ceiling_db,
        0.0 * ceiling_db - 1.0,  # slope 1 / ratio - 1; the product keeps it complex for the complex step
        knee_db,
        compressor.smoothing_pole(sample_rate, attack_ms),
        compressor.smoothing_pole(sample_rate, release_ms),
        0.0 * ceiling_db,  # make-up
    )


def summary(values):
    return f"ceiling {values['ceiling_db']:.1f} dB, release {values['release_ms']:.0f} ms"


def prior(rng):
    return {
        "ceiling_db": rng.uniform(-18.0, -1.0),
        "attack_ms": log_uniform(rng, 0.05, 3.0),
        "release_ms": log_uniform(rng, 20.0, 300.0),
        "knee_db": rng.uniform(0.1, 6.0),
    }


effect = Effect(
    params=(
        Param("ceiling_db", -24.0, 0.0, -1.0, "level that peaks are turned down to", neutral=0.0),
        Param("attack_ms", 0.05, 5.0, 0.5, "attack time constant (63 %)", "log"),
        Param("release_ms", 10.0, 500.0, 80.0, "release time constant (63 %)", "log"),
        Param("knee_db", 0.1, 12.0, 1.0, "width of the soft knee; 0.1 is a hard one"),
    ),
    design=design,
    kernel=compressor.kernel,
    adjoint=compressor.adjoint,
    state_size=compressor.effect.state_size,
    tape_size=compressor.effect.tape_size,
    linear=False,
    together=compressor.effect.together,
    summary=summary,
    prior=prior,
    follows_level={"ceiling_db": 1.0},
    meter=compressor.effect.meter,
)
