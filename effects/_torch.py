"""Train through a kernel: the live code forward, its adjoint backward, a batch in parallel.

`Effect` loads this file when it is given a tensor, so that nothing else in the room imports torch. A tensor
on a GPU takes a round trip to the CPU: the same kernels run, so training hears the samples that live plays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numba import get_num_threads, prange
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
        y = _room(sound)
        size, needed = effect.state_for(sample_rate, channels), x.requires_grad or table.requires_grad
        starts = np.empty((batch, -(-frames // CHUNK) if needed else 0, size))
        coef = np.zeros((batch, values.shape[1], MAX_COEFS))
        functions = effect.design_c.address, effect.kernel_c.address
        for part, items in _parts(effect, values):
            sounds = sound[part].numpy(), y[part].numpy(), values[part]
            _forward(*functions, *sounds, sample_rate, coef[part], starts[part], size, items)
        ctx.save_for_backward(x)
        ctx.effect, ctx.sample_rate, ctx.arrays = effect, sample_rate, (values, coef, starts)
        return y.to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        effect, (values, coef, starts) = ctx.effect, ctx.arrays
        x, g = _numbers(ctx.saved_tensors[0]), _numbers(grads[0])
        gx, gvalues = _room(x), np.zeros_like(values)
        functions = effect.jacobian_c.address, effect.kernel_c.address, effect.adjoint_c.address
        size = effect.tape_size(x.shape[1])
        for part, items in _parts(effect, values):
            sounds = x[part].numpy(), g[part].numpy(), gx[part].numpy(), values[part]
            _backward(*functions, *sounds, ctx.sample_rate, coef[part], starts[part], gvalues[part], size, items)
        return gx.to(grads[0]), torch.from_numpy(gvalues), None, None


def _numbers(x: torch.Tensor) -> torch.Tensor:
    """Give a tensor as the loops read it: on the CPU, in order, float32 or float64."""
    x = x.detach().cpu().contiguous()
    return x if x.dtype == torch.float32 else x.double()


def _parts(effect: Any, values: np.ndarray) -> list[tuple[slice, int]]:
    """Split a batch into what is played several sounds at once and the rest, with the number of sounds.

    One at a time if they move, or if a thread would have none.
    """
    batch, rows, _ = values.shape
    items = effect.together if rows == 1 and batch >= effect.together * get_num_threads() else 1
    whole = batch // items * items
    return [(slice(0, whole), items), (slice(whole, batch), 1)] if whole < batch else [(slice(0, batch), items)]


def _room(like: torch.Tensor) -> torch.Tensor:
    """Make a tensor to be filled. numpy asks the system for large pages: small ones took as long as the equaliser."""
    return torch.from_numpy(np.empty(like.shape, str(like.dtype).removeprefix("torch.")))


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
def _coefs_of(coef, item, items):
    """Give rows of coefficients: those of one sound, or one row with all of several that stand still."""
    return coef[item : item + items].reshape((coef.shape[1], items * MAX_COEFS))


@jit(parallel=True)
def _forward(design, kernel, x, y, values, sample_rate, coef, starts, size, items):
    batch, channels, frames = x.shape
    for group in prange(batch // items):
        mode = flush_denormals()
        item = group * items
        for b in range(item, item + items):
            for tick in range(values.shape[1]):
                call_design(design, (values[b, tick], sample_rate, coef[b, tick]))
        block, no_tape = np.empty((items * CHUNK, channels)), np.empty((0, 0))
        state, step = np.zeros(items * size), np.zeros(MAX_COEFS)
        for first in range(0, frames, CHUNK):
            count = min(CHUNK, frames - first)
            played = block[: items * count]
            for k in range(items):
                _read(x[item + k], first, played[k * count : (k + 1) * count])
                if starts.shape[1] > 0:
                    starts[item + k, first // CHUNK] = state[k * size : (k + 1) * size]
            play(kernel, played, first, state, _coefs_of(coef, item, items), step, no_tape)
            for k in range(items):
                _write(played[k * count : (k + 1) * count], first, y[item + k])
        restore_denormals(mode)


@jit(parallel=True)
def _backward(jacobian, kernel, adjoint, x, g, gx, values, sample_rate, coef, starts, gvalues, tape_size, items):
    batch, channels, frames = g.shape
    rows, params, size = values.shape[1], values.shape[2], starts.shape[2]
    for group in prange(batch // items):
        mode = flush_denormals()
        item, coefs = group * items, _coefs_of(coef, group * items, items)
        block, tape = np.empty((items * CHUNK, channels)), np.empty((items * CHUNK, tape_size))
        before, state = np.empty(items * size), np.zeros(items * size)
        step, gstart, gstep = np.zeros(MAX_COEFS), np.zeros(items * MAX_COEFS), np.zeros(items * MAX_COEFS)
        gcoef, jac = np.zeros((rows, items * MAX_COEFS)), np.zeros((params, MAX_COEFS))
        for at in range(starts.shape[1] - 1, -1, -1):
            first = at * CHUNK
            count = min(CHUNK, frames - first)
            played, notes = block[: items * count], tape[: items * count]
            for k in range(items):
                _read(x[item + k], first, played[k * count : (k + 1) * count])
                before[k * size : (k + 1) * size] = starts[item + k, at]
            play(kernel, played, first, before, coefs, step, notes)
            for k in range(items):
                _read(g[item + k], first, played[k * count : (k + 1) * count])
            play_adjoint(adjoint, played, first, state, coefs, step, notes, gcoef, gstart, gstep)
            for k in range(items):
                _write(played[k * count : (k + 1) * count], first, gx[item + k])
        for k in range(items):
            for tick in range(rows):
                call_jacobian(jacobian, (values[item + k, tick], sample_rate, jac))
                for p in range(params):
                    for i in range(MAX_COEFS):
                        gvalues[item + k, tick, p] += jac[p, i] * gcoef[tick, k * MAX_COEFS + i]
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
