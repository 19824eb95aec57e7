"""An effect by the address of its compiled code, over a sound of any length: what array and tensor calls share."""

import numpy as np

from ..dsp.compiler import call_adjoint, call_design, call_jacobian, call_kernel, jit
from ..dsp.cpu import flush_denormals, restore_denormals
from ..dsp.entry import FLOAT, INT, MATRIX, VECTOR, Array

CONTROL_BLOCK = 64
"""Frames between control ticks: a moving parameter is evaluated there, and coefficients are interpolated in between."""


def ticks(frames: int) -> int:
    """Count the control ticks of a sound: a moving parameter has one value for each.

    >>> ticks(64), ticks(65)
    (2, 3)
    """
    return -(-frames // CONTROL_BLOCK) + 1


@jit(entry=(INT, MATRIX, FLOAT, MATRIX))
def design_rows(design, values, sample_rate, coef):
    """Turn rows of values into rows of coefficients."""
    for i in range(values.shape[0]):
        call_design(design, (values[i], sample_rate, coef[i]))


@jit(entry=(INT, MATRIX, FLOAT, Array(np.float64, 3)))
def jacobian_rows(jacobian, values, sample_rate, jac):
    """Differentiate the coefficients of each row of values."""
    for i in range(values.shape[0]):
        call_jacobian(jacobian, (values[i], sample_rate, jac[i]))


@jit
def _stretch(coef, frames):
    """Count the frames that one row of coefficients serves: all of them, or those from tick to tick."""
    return frames if len(coef) == 1 else CONTROL_BLOCK


@jit
def _row_at(coef, at, step):
    """Find the row of coefficients that a stretch begins with, and their step from frame to frame."""
    if len(coef) == 1:
        return 0
    tick = at // CONTROL_BLOCK
    for i in range(len(step)):
        step[i] = (coef[tick + 1, i] - coef[tick, i]) / CONTROL_BLOCK
    return tick


@jit
def play(kernel, block, first, state, coef, step, tape):
    """Play a block (frames, channels) in place; it begins at frame `first`, on a tick. coef: one row, or one a tick.

    `step` is scratch, zeros where coefficients stand still.
    """
    frames = len(block)
    for at in range(0, frames, _stretch(coef, frames)):
        last = min(at + _stretch(coef, frames), frames)
        tick = _row_at(coef, first + at, step)
        call_kernel(kernel, (block[at:last], state, 0, coef[tick], step, tape[at:last]))


@jit
def play_adjoint(adjoint, block, first, state, coef, step, tape, gcoef, gstart, gstep):
    """Turn gradients of a block's output into those of its input; add those of the coefficients to `gcoef`."""
    frames = len(block)
    stretch = _stretch(coef, frames)
    for at in range((frames - 1) // stretch * stretch, -1, -stretch):
        last = min(at + stretch, frames)
        tick = _row_at(coef, first + at, step)
        gstart[:] = 0.0
        gstep[:] = 0.0
        call_adjoint(adjoint, (block[at:last], state, 0, coef[tick], step, tape[at:last], gstart, gstep))
        gcoef[tick] += gstart
        if len(coef) > 1:
            gcoef[tick] -= gstep / CONTROL_BLOCK
            gcoef[tick + 1] += gstep / CONTROL_BLOCK


@jit(entry=(INT, INT, MATRIX, MATRIX, FLOAT, MATRIX, VECTOR, VECTOR, MATRIX))
def play_sound(design, kernel, x, values, sample_rate, coef, state, step, no_tape):
    """Play a whole sound (frames, channels) in place: values (1 or ticks, params), the rest zeros."""
    mode = flush_denormals()
    design_rows(design, values, sample_rate, coef)
    play(kernel, x, 0, state, coef, step, no_tape)
    restore_denormals(mode)
