"""What an effect is: named parameters, a kernel, its adjoint, and how one follows from the other."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..dsp import compiler as native

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Param:
    """One parameter: the only home of its name, range, curve and default.

    The name ends in its unit (`_db`, `_hz`, `_ms`, `_s`), or has none. `neutral` is the value at
    which its effect does nothing, for those parameters that set how much an effect does: the
    amount knob moves exactly these. Curves map (0, 1) to values as the ear hears them: `linear`,
    `log` (equal ratios), and `slope` for a compression ratio (equal steps of 1 - 1/ratio).
    """

    name: str
    low: float
    high: float
    default: float
    doc: str
    curve: Literal["linear", "log", "slope"] = "linear"
    neutral: float | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.default <= self.high:
            raise ValueError(f"{self.name}: default {self.default} is not in [{self.low}, {self.high}]")
        if self.curve != "linear" and self.low <= 0:
            raise ValueError(f"{self.name}: a {self.curve} curve needs a low end above 0, not {self.low}")

    def value(self, unit: Any) -> Any:
        """Map (0, 1) to the parameter's range; float, array or tensor.

        >>> round(Param("cutoff_hz", 20.0, 20000.0, 1000.0, "", curve="log").value(0.5), 3)
        632.456
        """
        if self.curve == "log":
            return self.low * (self.high / self.low) ** unit
        if self.curve == "slope":
            return 1 / (1 / self.low + (1 / self.high - 1 / self.low) * unit)
        return self.low + (self.high - self.low) * unit

    def unit(self, value: float) -> float:
        """Map a value to (0, 1), the inverse of `value`."""
        from math import log

        if self.curve == "log":
            return log(value / self.low) / log(self.high / self.low)
        if self.curve == "slope":
            return (1 / value - 1 / self.low) / (1 / self.high - 1 / self.low)
        return (value - self.low) / (self.high - self.low)

    def clip(self, value: float) -> float:
        """Bring a value into the range."""
        return min(max(float(value), self.low), self.high)

    def check(self, value: float) -> float:
        """Return the value, or raise ValueError if it is out of range."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name}: {value:g} is not in [{self.low:g}, {self.high:g}]")
        return float(value)


KERNEL = ["x", "state", "start", "coef", "step", "tape"]
ADJOINT = ["g", "state", "start", "coef", "step", "tape", "gcoef", "gstep"]
MAX_PARAMS = 24
CONTROL_BLOCK = 64
"""Frames between control ticks: a moving parameter is evaluated there, and coefficients are interpolated in between."""


@dataclass(frozen=True)
class Effect:
    """One effect. Its file is its name; nothing is registered anywhere.

    design(sample_rate, *values) -> tuple
        Turns settings into the coefficients the kernel multiplies with. Written with `np.exp`,
        `np.sin` and friends, it runs on floats and on complex numbers alike: its exact Jacobian
        comes from complex steps (Squire and Trapp, SIAM Review 40(1), 1998).
    kernel(x, state, start, coef, step, tape)
        Edits a float64 block x (frames, channels) in place. The coefficient vector of frame n is
        `coef + (start + n) * step`. Zeros in `state` mean silence. When `tape` (frames, tape_size)
        has rows, the kernel writes there what the adjoint will need; live it has none.
    adjoint(g, state, start, coef, step, tape, gcoef, gstep)
        The transpose of the kernel: runs backwards in time, turns the gradient g (frames, channels)
        of the output into that of the input in place, and adds to the gradients of coef and step.

    meter
        Where in `state` a gain reduction in dB can be read, for effects that have one.
    latency
        Whole frames by which the sound comes late. Files are played without it; live it is not heard.
    state_size(sample_rate, channels)
        Counts the float64 numbers of state; compiled too, so that a plug-in can ask at any rate.
    tail(*values)
        Seconds until the effect has fallen by 120 dB after its input ended; takes every parameter by name.
    max_rate
        The highest sample rate in Hz that the effect can play at.

    Kernels allocate nothing, raise nothing and call no Python: they run in the audio callback, and
    the same compiled code runs in training.
    """

    params: tuple[Param, ...]
    design: Callable[..., tuple[Any, ...]]
    kernel: Callable[..., None]
    adjoint: Callable[..., None]
    state_size: Callable[[float, int], int]
    tape_size: Callable[[int], int]
    meter: int | None = None
    latency: int = 0
    tail: Callable[..., float] | None = None
    max_rate: float = 384_000.0

    def __post_init__(self) -> None:
        wanted = ["sample_rate", *(p.name for p in self.params)]
        if (found := list(inspect.signature(self.design).parameters)) != wanted:
            raise TypeError(f"{self.name}: design takes {found}, its spec says {wanted}")
        for function, arguments in ((self.kernel, KERNEL), (self.adjoint, ADJOINT)):
            if (found := list(inspect.signature(function).parameters)) != arguments:
                raise TypeError(f"{self.name}: {function.__name__} takes {found}, it must take {arguments}")
        if self.tail and (found := list(inspect.signature(self.tail).parameters)) != wanted[1:]:
            raise TypeError(f"{self.name}: tail takes {found}, its spec says {wanted[1:]}")
        if len(self.params) > MAX_PARAMS:
            raise TypeError(f"{self.name} has {len(self.params)} parameters; there is room for {MAX_PARAMS}")

    @property
    def name(self) -> str:
        """The file's name."""
        return self.design.__module__.rpartition(".")[2]

    def param(self, name: str) -> Param:
        """Look a parameter up; KeyError if there is none of that name."""
        return next(p for p in self.params if p.name == name) if name in self.defaults else _unknown(self, name)

    @property
    def defaults(self) -> dict[str, float]:
        """Give every parameter's default by name."""
        return {p.name: p.default for p in self.params}

    def state_for(self, sample_rate: float, channels: int) -> int:
        """Count the numbers of state at a sample rate in Hz; ValueError if that is over `max_rate`."""
        if sample_rate > self.max_rate:
            raise ValueError(f"{self.name}: {sample_rate:g} Hz is over {self.max_rate:g} Hz")
        return int(self.state_size(float(sample_rate), channels))

    @cached_property
    def _design(self) -> Any:
        return native.jit(self.design, fastmath=False)

    @property
    def design_text(self) -> Callable[..., None]:
        """The design as a function of arrays, to be compiled."""
        return native.specialise(
            native.design_wrapper, f"{self.name}_design", inner=self._design, COUNT=len(self.params)
        )

    @cached_property
    def design_c(self) -> Any:
        """The compiled design; `.address` is the C function."""
        return native.c_function(native.DESIGN, self.design_text)

    @cached_property
    def jacobian_c(self) -> Any:
        """The compiled Jacobian of the design."""
        text = native.specialise(
            native.jacobian_wrapper, f"{self.name}_jacobian", inner=self._design, COUNT=len(self.params)
        )
        return native.c_function(native.JACOBIAN, text)

    @cached_property
    def kernel_c(self) -> Any:
        """The compiled kernel."""
        return native.c_function(native.KERNEL, self.kernel)

    @cached_property
    def adjoint_c(self) -> Any:
        """The compiled adjoint."""
        return native.c_function(native.ADJOINT, self.adjoint)

    def process(self, x: "torch.Tensor", sample_rate: float, *values: "torch.Tensor") -> "torch.Tensor":
        """Run the effect on a tensor, differentiable in x and in every parameter.

        Shapes: x (batch, channels, frames), float32 or float64; each value (batch,), in its own
        unit, or (batch, edges) for a parameter that moves: one value at every 64th frame, with
        edges = ceil(frames / 64) + 1. Returns the shape and dtype of x. It calls the live kernel.
        """
        from ._torch import process  # torch stays out of the live side

        return process(self, x, sample_rate, values)


def _unknown(effect: Effect, name: str) -> Any:
    raise KeyError(f"{effect.name} has no parameter {name!r}; it has {', '.join(effect.defaults)}")
