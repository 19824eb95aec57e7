"""Train through a kernel: the live code forward, its adjoint backward, a batch in parallel.

`Effect.process` loads this file, so that nothing else in the room imports torch. A tensor on a GPU
takes a round trip to the CPU: the same kernels run, so training hears the samples that live plays.
"""

from typing import Any

import numpy as np
import torch
from numba import prange

from ..dsp.compiler import MAX_COEFS, call_adjoint, call_design, call_jacobian, call_kernel, jit
from ..dsp.cpu import flush_denormals, restore_denormals
from ._effect import CONTROL_BLOCK, Effect

CHUNK = 4096
"""Frames recomputed at a time in the backward pass: their tape fits the L2 cache. A multiple of CONTROL_BLOCK."""


def process(effect: Effect, x: torch.Tensor, sample_rate: float, values: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """See `Effect.process`."""
    if x.ndim != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, channels, frames)")
    if len(values) != len(effect.params):
        raise ValueError(f"{effect.name} takes {len(effect.params)} values, got {len(values)}")
    if not values:
        return x
    moving = {v.shape[1] for v in values if v.ndim == 2}
    if moving - {1, edges(x.shape[2])}:
        raise ValueError(f"a moving parameter needs {edges(x.shape[2])} edges for {x.shape[2]} frames, got {moving}")
    rows = [v if v.ndim == 2 else v[:, None] for v in values]
    table = torch.stack([v.double().expand(x.shape[0], max(moving, default=1)) for v in rows], dim=2)
    return _Process.apply(x, table, effect, float(sample_rate))  # pyright: ignore[reportReturnType]


def edges(frames: int) -> int:
    """Count the edges of a moving parameter over so many frames.

    >>> edges(64), edges(65)
    (2, 3)
    """
    return -(-frames // CONTROL_BLOCK) + 1


class _Process(torch.autograd.Function):
    """Play forward; for the way back, note what comes in and the state at the start of each chunk.

    Backward, each chunk is played again, which gives the same samples, and its tape stays in the
    processor's cache: to write a tape of the whole sound and to read it takes longer.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, table: torch.Tensor, effect: Effect, sample_rate: float) -> torch.Tensor:
        batch, channels, frames = x.shape
        values = table.detach().cpu().contiguous().numpy()
        sound = _numbers(x)
        y = torch.empty(x.shape, dtype=sound.dtype)
        size = effect.state_for(sample_rate, channels)
        needed = x.requires_grad or table.requires_grad
        starts = np.empty((batch, -(-frames // CHUNK) if needed else 0, size))
        coef = np.zeros((batch, values.shape[1], MAX_COEFS))
        _forward(
            effect.design_c.address,
            effect.kernel_c.address,
            sound.numpy(),
            y.numpy(),
            values,
            sample_rate,
            coef,
            starts,
            size,
        )
        ctx.save_for_backward(x)
        ctx.effect, ctx.sample_rate, ctx.arrays = effect, sample_rate, (values, coef, starts)
        return y.to(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        effect, (values, coef, starts) = ctx.effect, ctx.arrays
        x, g = _numbers(ctx.saved_tensors[0]), _numbers(grads[0])
        gx, gvalues = torch.empty(x.shape, dtype=x.dtype), np.zeros_like(values)
        _backward(
            effect.jacobian_c.address,
            effect.kernel_c.address,
            effect.adjoint_c.address,
            x.numpy(),
            g.numpy(),
            gx.numpy(),
            values,
            ctx.sample_rate,
            coef,
            starts,
            gvalues,
            effect.tape_size(x.shape[1]),
        )
        return gx.to(grads[0]), torch.from_numpy(gvalues).to(grads[0].device), None, None


def _numbers(x: torch.Tensor) -> torch.Tensor:
    """Give a tensor as the loops read it: on the CPU, in order, float32 or float64."""
    x = x.detach().cpu().contiguous()
    return x if x.dtype == torch.float32 else x.double()


@jit
def _read(x, first, block):
    """Take a block (frames, channels) out of a sound (channels, frames)."""
    for c in range(block.shape[1]):
        for n in range(block.shape[0]):
            block[n, c] = x[c, first + n]


@jit
def _write(block, first, x):
    """Put a block back into a sound."""
    for c in range(block.shape[1]):
        for n in range(block.shape[0]):
            x[c, first + n] = block[n, c]


@jit
def _stretch(coef, frames):
    """Count the frames that one row of coefficients serves: all of them, or those from edge to edge."""
    return frames if len(coef) == 1 else CONTROL_BLOCK


@jit
def _edge(coef, at, step):
    """Find the row of coefficients that a stretch begins with, and their step from frame to frame."""
    if len(coef) == 1:
        return 0
    e = at // CONTROL_BLOCK
    step[:] = (coef[e + 1] - coef[e]) / CONTROL_BLOCK
    return e


@jit
def _play(kernel, block, first, state, coef, step, tape):
    """Play a block that begins at an edge."""
    frames = len(block)
    for at in range(0, frames, _stretch(coef, frames)):
        last = min(at + _stretch(coef, frames), frames)
        e = _edge(coef, first + at, step)
        call_kernel(kernel, (block[at:last], state, 0, coef[e], step, tape[at:last]))


@jit
def _play_back(adjoint, block, first, state, coef, step, tape, gcoef, gstart, gstep):
    """Turn gradients of a block's output into those of its input; add those of the coefficients."""
    frames = len(block)
    stretch = _stretch(coef, frames)
    for at in range((frames - 1) // stretch * stretch, -1, -stretch):
        last = min(at + stretch, frames)
        e = _edge(coef, first + at, step)
        gstart[:] = 0.0
        gstep[:] = 0.0
        call_adjoint(adjoint, (block[at:last], state, 0, coef[e], step, tape[at:last], gstart, gstep))
        gcoef[e] += gstart
        if len(coef) > 1:
            gcoef[e] -= gstep / CONTROL_BLOCK
            gcoef[e + 1] += gstep / CONTROL_BLOCK


@jit(parallel=True)
def _forward(design, kernel, x, y, values, sample_rate, coef, starts, state_size):
    batch, channels, frames = x.shape
    for b in prange(batch):
        mode = flush_denormals()
        for e in range(values.shape[1]):
            call_design(design, (values[b, e], sample_rate, coef[b, e]))
        block, no_tape = np.empty((CHUNK, channels)), np.empty((0, 0))
        state, step = np.zeros(state_size), np.zeros(MAX_COEFS)
        for first in range(0, frames, CHUNK):
            played = block[: min(CHUNK, frames - first)]
            _read(x[b], first, played)
            if starts.shape[1] > 0:
                starts[b, first // CHUNK] = state
            _play(kernel, played, first, state, coef[b], step, no_tape)
            _write(played, first, y[b])
        restore_denormals(mode)


@jit(parallel=True)
def _backward(jacobian, kernel, adjoint, x, g, gx, values, sample_rate, coef, starts, gvalues, tape_size):
    batch, channels, frames = g.shape
    edge_count, count = values.shape[1], values.shape[2]
    for b in prange(batch):
        mode = flush_denormals()
        block, tape = np.empty((CHUNK, channels)), np.empty((CHUNK, tape_size))
        before, state = np.empty(starts.shape[2]), np.zeros(starts.shape[2])
        step, gstart, gstep = np.zeros(MAX_COEFS), np.zeros(MAX_COEFS), np.zeros(MAX_COEFS)
        gcoef, jac = np.zeros((edge_count, MAX_COEFS)), np.zeros((count, MAX_COEFS))
        for k in range(starts.shape[1] - 1, -1, -1):
            first = k * CHUNK
            played, notes = block[: min(CHUNK, frames - first)], tape[: min(CHUNK, frames - first)]
            _read(x[b], first, played)
            before[:] = starts[b, k]
            _play(kernel, played, first, before, coef[b], step, notes)
            _read(g[b], first, played)
            _play_back(adjoint, played, first, state, coef[b], step, notes, gcoef, gstart, gstep)
            _write(played, first, gx[b])
        for e in range(edge_count):
            call_jacobian(jacobian, (values[b, e], sample_rate, jac))
            for p in range(count):
                for i in range(MAX_COEFS):
                    gvalues[b, e, p] += jac[p, i] * gcoef[e, i]
        restore_denormals(mode)


def coefficients(effect: Effect, values: torch.Tensor, sample_rate: float) -> torch.Tensor:
    """Give the kernel's coefficients, differentiable: values (batch, params) to float64 (batch, coefs).

    For what can be said of an effect without playing it: a filter's curve, a static gain.
    """
    return _Design.apply(values, effect, float(sample_rate))  # pyright: ignore[reportReturnType]


class _Design(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, effect: Effect, sample_rate: float) -> torch.Tensor:
        table = np.ascontiguousarray(values.detach().cpu().double().numpy())
        ctx.arguments, coef = (table, effect, sample_rate), np.zeros((len(table), MAX_COEFS))
        _design(effect.design_c.address, table, sample_rate, coef)
        return torch.from_numpy(coef).to(values.device)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        table, effect, sample_rate = ctx.arguments
        jac = np.zeros((*table.shape, MAX_COEFS))
        _jacobian(effect.jacobian_c.address, table, sample_rate, jac)
        gradient = torch.from_numpy(jac).to(grads[0].device) @ grads[0][..., None]
        return gradient[..., 0].to(grads[0]), None, None


@jit
def _design(design, values, sample_rate, coef):
    for b in range(values.shape[0]):
        call_design(design, (values[b], sample_rate, coef[b]))


@jit
def _jacobian(jacobian, values, sample_rate, jac):
    for b in range(values.shape[0]):
        call_jacobian(jacobian, (values[b], sample_rate, jac[b]))
