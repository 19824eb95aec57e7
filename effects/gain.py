"""Gain: a level in dB."""

import numpy as np

from ._effect import Effect, Param

LN10_20 = np.log(10.0) / 20.0


def design(sample_rate, gain_db):
    return (np.exp(gain_db * LN10_20),)


def kernel(x, state, start, coef, step, tape):
    frames, channels = x.shape
    record = tape.shape[0] > 0
    if step[0] == 0.0 and not record:  # nearly always, and one multiplication for several samples
        flat = x.reshape(x.size)
        for i in range(flat.shape[0]):
            flat[i] *= coef[0]
        return
    for n in range(frames):
        gain = coef[0] + (start + n) * step[0]
        for c in range(channels):
            if record:
                tape[n, c] = x[n, c]
            x[n, c] *= gain


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    frames, channels = g.shape
    for n in range(frames - 1, -1, -1):
        t = start + n
        d = 0.0
        for c in range(channels):
            d += g[n, c] * tape[n, c]
            g[n, c] *= coef[0] + t * step[0]
        gcoef[0] += d
        gstep[0] += t * d


def summary(values):
    return f"{values['gain_db']:+.1f} dB"


def prior(rng):
    return {"gain_db": rng.uniform(-12.0, 12.0)}


effect = Effect(
    params=(Param("gain_db", -48.0, 48.0, 0.0, "level change", neutral=0.0),),
    design=design,
    kernel=kernel,
    adjoint=adjoint,
    state_size=lambda sample_rate, channels: 0,
    tape_size=lambda channels: channels,
    linear=True,
    summary=summary,
    prior=prior,
)
