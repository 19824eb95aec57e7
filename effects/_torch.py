"""Train through a kernel: the live code forward, its adjoint backward, a batch in parallel.

`Effect` loads this file when it is given a tensor, so that nothing else in the room imports torch. A tensor
on a GPU takes a round trip to the CPU: the same kernels run, so training hears the samples that live plays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numba import prange
from torch.autograd.function import once_differentiable

from ..dsp.compiler import MAX_COEFS, call_design, call_jacobian, jit
from ..dsp.cpu import flush_denormals, restore_denormals
from ..dsp.sound import check_sample_rate
from ._blocks import CONTROL_BLOCK, play, play_adjoint, ticks
from ._numpy import coefficients as array_coefficients
from ._numpy import jacobian as array_jacobian

CHUNK = 4096
"""Frames recomputed at a time in the backward pass: their tape fits the L2 cache. A multiple of CONTROL_BLOCK."""
assert CHUNK % CONTROL_BLOCK == 0
ROUNDING = 1e-6
"""Share of a range by which a value may miss it: an end that was rounded to float32 is still that end."""


def call(effect: Any, x: torch.Tensor, sample_rate: float, values: Mapping[str, Any]) -> torch.Tensor:
    """Play a batch with values by name, each in its range; see `Effect.__call__`."""
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"a sound is a tensor of float32 or float64 with a full scale of 1, not {x.dtype}")
    table = _table(effect, x, [values.get(p.name, p.default) for p in effect.params])
    found = table.detach().flatten(0, 1)
    for p, low, high in zip(effect.params, found.amin(0).tolist(), found.amax(0).tolist(), strict=True):
        slack = ROUNDING * (p.high - p.low)
        if not (p.low - slack <= low and high <= p.high + slack):
            p.check(low if not low >= p.low - slack else high)
    return _Process.apply(x, table, effect, check_sample_rate(sample_rate))  # pyright: ignore[reportReturnType]


def process(effect: Any, x: torch.Tensor, sample_rate: float, values: Sequence[Any]) -> torch.Tensor:
    """Play a batch with every value in order; see `Effect.process`."""
    if len(values) != len(effect.params):
        raise ValueError(f"{effect.name} takes {len(effect.params)} values, got {len(values)}")
    table = _table(effect, x, values)
    return _Process.apply(x, table, effect, float(sample_rate))  # pyright: ignore[reportReturnType]


def _table(effect: Any, x: torch.Tensor, values: Sequence[Any]) -> torch.Tensor:
    """Bring values of any allowed shape into one table (batch, 1 or ticks, params), float64 on the CPU."""
    if x.ndim != 3:
        raise ValueError(f"a tensor of sound is (batch, channels, frames), not {tuple(x.shape)}")
    batch, _, frames = x.shape
    if not values:
        return x.new_zeros((batch, 1, 0), dtype=torch.float64, device="cpu")
    columns = []
    for p, value in zip(effect.params, values, strict=True):
        try:
            value = value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value, np.float64))
            column = value.to("cpu", torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"{p.name}: {value!r} is neither a number nor a tensor of numbers") from None
        shape = tuple(column.shape)
        column = column.reshape(1, 1) if column.ndim == 0 else column[:, None] if column.ndim == 1 else column
        if column.ndim != 2 or column.shape[0] not in (1, batch) or column.shape[1] not in (1, ticks(frames)):
            raise ValueError(
                f"{effect.name}: {p.name} has shape {shape}; it may be a number, 0-d, ({batch},), ({batch}, 1) or, "
                f"to move over {frames} frames, ({batch}, {ticks(frames)}): one value every 64 frames"
            )
        columns.append(column)
    rows = max(c.shape[1] for c in columns)
    return torch.stack([c.expand(batch, rows) for c in columns], dim=2)


class _Process(torch.autograd.Function):
    """Play forward; for the way back, note what comes in and the state at the start of each chunk.

    Backward, each chunk is played again, which gives the same samples, and its tape stays in the
    processor's cache: to write a tape of the whole sound and to read it takes longer.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, table: torch.Tensor, effect: Any, sample_rate: float) -> torch.Tensor:
        batch, channels, frames = x.shape
        values = table.detach().contiguous().numpy()
        sound = _numbers(x)
        y = torch.empty(x.shape, dtype=sound.dtype)
        size = effect.state_for(sample_rate, channels)
        needed = x.requires_grad or table.requires_grad
        starts = np.empty((batch, -(-frames // CHUNK) if needed else 0, size))
        coef = np.zeros((batch, values.shape[1], MAX_COEFS))
        functions = effect.design_c.address, effect.kernel_c.address
        _forward(*functions, sound.numpy(), y.numpy(), values, sample_rate, coef, starts, size)
        ctx.save_for_backward(x)
        ctx.effect, ctx.sample_rate, ctx.arrays = effect, sample_rate, (values, coef, starts)
        return y.to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        effect, (values, coef, starts) = ctx.effect, ctx.arrays
        x, g = _numbers(ctx.saved_tensors[0]), _numbers(grads[0])
        gx, gvalues = torch.empty(x.shape, dtype=x.dtype), np.zeros_like(values)
        functions = effect.jacobian_c.address, effect.kernel_c.address, effect.adjoint_c.address
        sounds, size = (x.numpy(), g.numpy(), gx.numpy()), effect.tape_size(x.shape[1])
        _backward(*functions, *sounds, values, ctx.sample_rate, coef, starts, gvalues, size)
        return gx.to(grads[0]), torch.from_numpy(gvalues), None, None


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


@jit(parallel=True)
def _forward(design, kernel, x, y, values, sample_rate, coef, starts, state_size):
    batch, channels, frames = x.shape
    for b in prange(batch):
        mode = flush_denormals()
        for tick in range(values.shape[1]):
            call_design(design, (values[b, tick], sample_rate, coef[b, tick]))
        block, no_tape = np.empty((CHUNK, channels)), np.empty((0, 0))
        state, step = np.zeros(state_size), np.zeros(MAX_COEFS)
        for first in range(0, frames, CHUNK):
            played = block[: min(CHUNK, frames - first)]
            _read(x[b], first, played)
            if starts.shape[1] > 0:
                starts[b, first // CHUNK] = state
            play(kernel, played, first, state, coef[b], step, no_tape)
            _write(played, first, y[b])
        restore_denormals(mode)


@jit(parallel=True)
def _backward(jacobian, kernel, adjoint, x, g, gx, values, sample_rate, coef, starts, gvalues, tape_size):
    batch, channels, frames = g.shape
    rows, count = values.shape[1], values.shape[2]
    for b in prange(batch):
        mode = flush_denormals()
        block, tape = np.empty((CHUNK, channels)), np.empty((CHUNK, tape_size))
        before, state = np.empty(starts.shape[2]), np.zeros(starts.shape[2])
        step, gstart, gstep = np.zeros(MAX_COEFS), np.zeros(MAX_COEFS), np.zeros(MAX_COEFS)
        gcoef, jac = np.zeros((rows, MAX_COEFS)), np.zeros((count, MAX_COEFS))
        for k in range(starts.shape[1] - 1, -1, -1):
            first = k * CHUNK
            played, notes = block[: min(CHUNK, frames - first)], tape[: min(CHUNK, frames - first)]
            _read(x[b], first, played)
            before[:] = starts[b, k]
            play(kernel, played, first, before, coef[b], step, notes)
            _read(g[b], first, played)
            play_adjoint(adjoint, played, first, state, coef[b], step, notes, gcoef, gstart, gstep)
            _write(played, first, gx[b])
        for tick in range(rows):
            call_jacobian(jacobian, (values[b, tick], sample_rate, jac))
            for p in range(count):
                for i in range(MAX_COEFS):
                    gvalues[b, tick, p] += jac[p, i] * gcoef[tick, i]
        restore_denormals(mode)


def coefficients(effect: Any, values: torch.Tensor, sample_rate: float) -> torch.Tensor:
    """Give the kernel's coefficients, differentiable; see `Effect.coefficients`."""
    return _Design.apply(values, effect, float(sample_rate))  # pyright: ignore[reportReturnType]


class _Design(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, effect: Any, sample_rate: float) -> torch.Tensor:
        table = values.detach().cpu().double().numpy()
        ctx.arguments = effect, table, sample_rate
        return torch.from_numpy(array_coefficients(effect, table, sample_rate)).to(values.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        jac = torch.from_numpy(array_jacobian(*ctx.arguments)).to(grads[0].device)
        return (jac @ grads[0][..., None])[..., 0].to(grads[0]), None, None
