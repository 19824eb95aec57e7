"""Train through a kernel: the live code forward, its adjoint backward, a batch in parallel.

`Effect.process` loads this file, so that nothing else in the room imports torch. A tensor on a GPU
takes a round trip to the CPU: the same kernels run, so training hears the samples that live plays.
"""

import math
from threading import RLock
from typing import Any, ClassVar

import numpy as np
import torch
from numba import prange

from ._native import (
    COEFS,
    call_adjoint,
    call_design,
    call_jacobian,
    call_kernel,
    flush_denormals,
    loop,
    restore_denormals,
)
from ._spec import Effect

SEGMENT = 64
"""Frames between the edges at which a moving parameter is evaluated, as in the live chain."""


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
    return -(-frames // SEGMENT) + 1


class _Tape:
    """What a forward pass notes for its backward pass, in memory that the next one takes over.

    Fresh memory from the system costs as much as the whole forward pass. So a tape that nobody needs
    any more is kept for the next one of its size; a few at most.
    """

    _kept: ClassVar[list[np.ndarray]] = []
    _most = 8
    _lock = RLock()  # a tape may be let go while another is made

    def __init__(self, shape: tuple[int, int, int]) -> None:
        size = math.prod(shape)
        with self._lock:
            place = next((i for i, memory in enumerate(self._kept) if len(memory) == size), None)
            self._memory = np.empty(size) if place is None else self._kept.pop(place)
        self.rows = self._memory.reshape(shape)

    def __del__(self) -> None:
        if len(self._memory):
            with self._lock:
                self._kept.append(self._memory)
                del self._kept[: -self._most]


class _Process(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, table: torch.Tensor, effect: Effect, sample_rate: float) -> torch.Tensor:
        batch, channels, frames = x.shape
        values = table.detach().cpu().contiguous().numpy()
        y = x.detach().cpu().double().contiguous().numpy().copy()
        needed = x.requires_grad or table.requires_grad
        tape = _Tape((batch, frames if needed else 0, effect.tape_size(channels)))
        coef = np.zeros((batch, values.shape[1], COEFS))
        _forward(
            effect.design_c.address, effect.kernel_c.address, y, values, sample_rate, coef, tape.rows,
            effect.state_size(sample_rate, channels),
        )  # fmt: skip
        ctx.effect, ctx.sample_rate, ctx.arrays = effect, sample_rate, (values, coef, tape)
        return torch.from_numpy(y).to(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        effect, (values, coef, tape) = ctx.effect, ctx.arrays
        g = grads[0].detach().cpu().double().contiguous().numpy().copy()
        gvalues = np.zeros_like(values)
        _backward(
            effect.jacobian_c.address, effect.adjoint_c.address, g, values, ctx.sample_rate, coef, tape.rows, gvalues,
            effect.state_size(ctx.sample_rate, g.shape[1]),
        )  # fmt: skip
        return torch.from_numpy(g).to(grads[0]), torch.from_numpy(gvalues).to(grads[0].device), None, None


@loop(parallel=True)
def _forward(design, kernel, x, values, sample_rate, coef, tape, state_size):
    batch, channels, frames = x.shape
    edge_count = values.shape[1]
    for b in prange(batch):
        mode = flush_denormals()
        for e in range(edge_count):
            call_design(design, (values[b, e], sample_rate, coef[b, e]))
        block = np.empty((frames, channels))
        for c in range(channels):
            block[:, c] = x[b, c]
        state, step = np.zeros(state_size), np.zeros(COEFS)
        recorded = tape.shape[1] > 0
        length = frames if edge_count == 1 else SEGMENT
        for k in range((frames + length - 1) // length):
            first, last = k * length, min((k + 1) * length, frames)
            if edge_count > 1:
                step[:] = (coef[b, k + 1] - coef[b, k]) / SEGMENT
            rows = tape[b, first:last] if recorded else tape[b]
            call_kernel(kernel, (block[first:last], state, 0, coef[b, k], step, rows))
        for c in range(channels):
            x[b, c] = block[:, c]
        restore_denormals(mode)


@loop(parallel=True)
def _backward(jacobian, adjoint, g, values, sample_rate, coef, tape, gvalues, state_size):
    batch, channels, frames = g.shape
    edge_count, count = values.shape[1], values.shape[2]
    for b in prange(batch):
        mode = flush_denormals()
        block = np.empty((frames, channels))
        for c in range(channels):
            block[:, c] = g[b, c]
        gcoef, jac = np.zeros((edge_count, COEFS)), np.zeros((count, COEFS))
        state, step, gstart, gstep = np.zeros(state_size), np.zeros(COEFS), np.zeros(COEFS), np.zeros(COEFS)
        length = frames if edge_count == 1 else SEGMENT
        for k in range((frames + length - 1) // length - 1, -1, -1):
            first, last = k * length, min((k + 1) * length, frames)
            gstart[:] = 0.0
            gstep[:] = 0.0
            if edge_count > 1:
                step[:] = (coef[b, k + 1] - coef[b, k]) / SEGMENT
            rows = tape[b, first:last]
            call_adjoint(adjoint, (block[first:last], state, 0, coef[b, k], step, rows, gstart, gstep))
            gcoef[k] += gstart
            if edge_count > 1:
                gcoef[k] -= gstep / SEGMENT
                gcoef[k + 1] += gstep / SEGMENT
        for e in range(edge_count):
            call_jacobian(jacobian, (values[b, e], sample_rate, jac))
            for p in range(count):
                for i in range(COEFS):
                    gvalues[b, e, p] += jac[p, i] * gcoef[e, i]
        for c in range(channels):
            g[b, c] = block[:, c]
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
        ctx.arguments, coef = (table, effect, sample_rate), np.zeros((len(table), COEFS))
        _design(effect.design_c.address, table, sample_rate, coef)
        return torch.from_numpy(coef).to(values.device)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        table, effect, sample_rate = ctx.arguments
        jac = np.zeros((*table.shape, COEFS))
        _jacobian(effect.jacobian_c.address, table, sample_rate, jac)
        gradient = torch.from_numpy(jac).to(grads[0].device) @ grads[0][..., None]
        return gradient[..., 0].to(grads[0]), None, None


@loop
def _design(design, values, sample_rate, coef):
    for b in range(values.shape[0]):
        call_design(design, (values[b], sample_rate, coef[b]))


@loop
def _jacobian(jacobian, values, sample_rate, jac):
    for b in range(values.shape[0]):
        call_jacobian(jacobian, (values[b], sample_rate, jac[b]))
