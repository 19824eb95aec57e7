"""What an effect is: named parameters, a kernel, its adjoint, and how one calls it."""

import ctypes
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from math import exp, log
from typing import Any, Literal

import numpy as np

from ..dsp import compiler, library
from ..dsp.array_math import is_tensor

_SIZE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_double, ctypes.c_int64)


@dataclass(frozen=True)
class Param:
    """One parameter: the only home of its name, range, curve and default.

    The name ends in its unit (see `dsp.units`), or has none. `neutral` is the value at
    which its effect does nothing, for those parameters that set how much an effect does: the
    amount control moves exactly these. Curves map (0, 1) to values evenly to the ear: `linear`,
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
        """Map (0, 1) to the parameter's range; number, array or tensor.

        >>> round(Param("cutoff_hz", 20.0, 20000.0, 1000.0, "", curve="log").value(0.5), 3)
        632.456
        """
        if self.curve == "log":
            return self.low * (self.high / self.low) ** unit
        if self.curve == "slope":
            return 1 / (1 / self.low + (1 / self.high - 1 / self.low) * unit)
        return self.low + (self.high - self.low) * unit

    def unit(self, value: Any) -> Any:
        """Map a value to (0, 1), the inverse of `value`; number or tensor."""
        if self.curve == "log":
            ratio = value / self.low
            return (ratio.log() if is_tensor(value) else log(ratio)) / log(self.high / self.low)
        if self.curve == "slope":
            return (1 / value - 1 / self.low) / (1 / self.high - 1 / self.low)
        return (value - self.low) / (self.high - self.low)

    def at_amount(self, value: Any, amount: Any) -> Any:
        """Move a value towards the neutral one, evenly to the ear: 0 is neutral, 1 as it is. Numbers or tensors.

        A parameter without a neutral value keeps its own. Rounding may leave the range: see `clip`.
        """
        if self.neutral is None:
            return value
        neutral = self.unit(self.neutral)
        return self.value(neutral + amount * (self.unit(value) - neutral))

    def clip(self, value: float) -> float:
        """Bring a value into the range."""
        return min(max(float(value), self.low), self.high)

    def check(self, value: float) -> float:
        """Return the value, or raise ValueError if it is out of range."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name}: {value:g} is not in [{self.low:g}, {self.high:g}]")
        return float(value)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is spread evenly: for the prior of a frequency, a time or a Q."""
    return exp(rng.uniform(log(low), log(high)))


KERNEL = ["x", "state", "start", "coef", "step", "tape"]
ADJOINT = ["g", "state", "start", "coef", "step", "tape", "gcoef", "gstep"]
MAX_PARAMS = 24
"""Parameters that an effect may have."""


@dataclass(frozen=True)
class Effect:
    """One effect: what plays, what it is differentiated by, and what people and training need to know of it.

    params
        The parameters, in the order in which `design` takes them.
    design(sample_rate, *values) -> tuple
        Turns values into the coefficients that the kernel multiplies with. Written with `np.exp`,
        `np.sin` and the like, it runs on floats and on complex numbers alike: its exact Jacobian
        comes from complex steps (Squire and Trapp, SIAM Review 40(1), 1998).
    kernel(x, state, start, coef, step, tape)
        Edits a float64 block x (frames, channels) in place. The coefficient vector of frame n is
        `coef + (start + n) * step`. Zeros in `state` mean silence. When `tape` (frames, tape_size)
        has rows, the kernel writes there what the adjoint will need; live it has none.
    adjoint(g, state, start, coef, step, tape, gcoef, gstep)
        The transpose of the kernel: runs backwards in time, turns the gradient g (frames, channels)
        of the output into that of the input in place, and adds to the gradients of coef and step.
    state_size(sample_rate, channels), tape_size(channels)
        Count the float64 numbers of state, and of tape for a frame. The former is compiled, too.
    linear
        Whether the output for a sum of sounds is the sum of their outputs: level is solved in one step through it.
    summary(values) -> str
        Says in words and numbers, in a line, what the effect does at these values (by name, all of them).
    prior(rng) -> values
        Draws values that an engineer might dial in, of the same parameters each time. Training learns these; what is
        left out stays at its default.
    together
        Sounds of a batch that kernel and adjoint also take, if none moves: one after another in x, state, coef, gcoef.
    follows_level
        Parameters that must move with the level of the input for the effect to do the same, by name: how many dB for
        each dB, so 1 for a threshold and -1 for a drive. Training says them for the level at which chains play.
    meter
        Where in `state` a gain reduction in dB can be read, for effects that have one.
    latency
        Whole frames by which the sound comes late. Files are played without it; live it is not heard.
    tail(*values)
        Seconds until the output has fallen by 120 dB after the input ended; 0 without.
    max_rate
        The highest sample rate in Hz at which the effect plays.
    name
        The file's name if nothing else is given; an effect from a notebook needs one.

    Kernels allocate nothing, raise nothing and call no Python: they run in the audio callback, and
    the same compiled code runs in training. Raises TypeError if a signature differs from `params`.
    """

    params: tuple[Param, ...]
    design: Callable[..., tuple[Any, ...]]
    kernel: Callable[..., None]
    adjoint: Callable[..., None]
    state_size: Callable[[float, int], int]
    tape_size: Callable[[int], int]
    linear: bool
    summary: Callable[[Mapping[str, float]], str]
    prior: Callable[[np.random.Generator], Mapping[str, float]]
    together: int = 1
    follows_level: Mapping[str, float] = field(default_factory=dict, hash=False)
    meter: int | None = None
    latency: int = 0
    tail: Callable[..., float] | None = None
    max_rate: float = 384_000.0
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.design.__module__.rpartition(".")[2])
        names = [p.name for p in self.params]
        self.check_names(self.follows_level)
        wanted = {"design": ["sample_rate", *names], "kernel": KERNEL, "adjoint": ADJOINT, "tail": names}
        for role, arguments in wanted.items():
            function = getattr(self, role)
            if function and (found := list(inspect.signature(function).parameters)) != arguments:
                raise TypeError(f"{self.name}: {role} takes {found}, its spec says {arguments}")
        if len(self.params) > MAX_PARAMS:
            raise TypeError(f"{self.name} has {len(self.params)} parameters; there is room for {MAX_PARAMS}")

    def param(self, name: str) -> Param:
        """Look a parameter up; KeyError if there is none of that name."""
        for p in self.params:
            if p.name == name:
                return p
        raise KeyError(self._unknown(name))

    @property
    def defaults(self) -> dict[str, float]:
        """Give every parameter's default by name."""
        return {p.name: p.default for p in self.params}

    def check_names(self, names: Iterable[str]) -> None:
        """Raise TypeError, as a function does, for a parameter that the effect does not have."""
        for name in names:
            if name not in self.defaults:
                raise TypeError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, self.defaults, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{self.name} has no parameter {name!r}; it has {', '.join(self.defaults)}{hint}"

    # --- calling it -------------------------------------------------------------------------------

    def __call__(self, x: Any, sample_rate: float, **values: Any) -> Any:
        """Play a sound from silence; parameters that are not given are at their defaults.

        x is a numpy array (frames,) or (frames, channels), or a torch tensor (batch, channels, frames);
        float32 or float64, full scale 1, one or two channels. Returns its shape and dtype. The sound
        comes `latency` frames late.

        A value is a number in the parameter's unit. On an array it may also be (ticks,), one number at
        every 64th frame, with ticks = ceil(frames / 64) + 1: a parameter that moves. On a tensor it may
        be a tensor: 0-d, (batch,), (batch, 1) or (batch, ticks); the result is differentiable, exactly
        and once, in x and in every tensor.

        Raises TypeError for an unknown name or a sound that is not of floats, ValueError for a shape,
        a value out of range, NaN or Inf, or a sample rate that the effect does not play.
        """
        self.check_names(values)
        if is_tensor(x):
            from ._torch import call

            return call(self, x, sample_rate, values)
        from ._numpy import call

        return call(self, x, sample_rate, values)

    def process(self, x: Any, sample_rate: float, *values: Any) -> Any:
        """Call the effect on a tensor with every value in order and unchecked: what training does at each step.

        Shapes are those of a call. A value may be out of range by what an optimiser's step does.
        """
        from ._torch import process  # torch stays out of the live side

        return process(self, x, sample_rate, values)

    def coefficients(self, values: Any, sample_rate: float) -> Any:
        """Give the kernel's coefficients: values (..., params) to float64 (..., MAX_COEFS), zeros after the last.

        An array, or a tensor, differentiable: for what can be said of an effect without playing it, such as
        a filter's magnitude.
        """
        if is_tensor(values):
            from ._torch import coefficients

            return coefficients(self, values, sample_rate)
        from ._numpy import coefficients

        return coefficients(self, values, sample_rate)

    def jacobian(self, values: Any, sample_rate: float) -> np.ndarray:
        """Give d coefficient / d value: values (..., params) to float64 (..., params, MAX_COEFS)."""
        from ._numpy import jacobian

        return jacobian(self, values, sample_rate)

    def state_for(self, sample_rate: float, channels: int) -> int:
        """Count the numbers of state at a sample rate in Hz; ValueError if the effect does not play at it."""
        if not 0.0 < sample_rate <= self.max_rate:
            raise ValueError(f"{self.name}: a sample rate of {sample_rate:g} Hz is not in (0, {self.max_rate:g}]")
        if found := library.function("size", self.state_size):
            return int(_SIZE(found.address)(sample_rate, channels))
        return int(self.state_size(float(sample_rate), channels))

    # --- compiled ---------------------------------------------------------------------------------

    @cached_property
    def _design(self) -> Any:
        return compiler.jit(self.design, fastmath=False)

    @property
    def design_text(self) -> Callable[..., None]:
        """The design as a function of arrays, to be compiled."""
        return compiler.specialise(
            compiler.design_wrapper, f"{self.name}_design", inner=self._design, COUNT=len(self.params)
        )

    @cached_property
    def design_c(self) -> Any:
        """The compiled design; `.address` is the C function."""
        return library.function("design", self.design) or compiler.c_function(compiler.DESIGN, self.design_text)

    @property
    def jacobian_text(self) -> Callable[..., None]:
        """The Jacobian of the design as a function of arrays, to be compiled."""
        return compiler.specialise(
            compiler.jacobian_wrapper, f"{self.name}_jacobian", inner=self._design, COUNT=len(self.params)
        )

    @cached_property
    def jacobian_c(self) -> Any:
        """The compiled Jacobian of the design."""
        return library.function("jacobian", self.design) or compiler.c_function(compiler.JACOBIAN, self.jacobian_text)

    @cached_property
    def kernel_c(self) -> Any:
        """The compiled kernel."""
        return library.function("kernel", self.kernel) or compiler.c_function(compiler.KERNEL, self.kernel)

    @cached_property
    def adjoint_c(self) -> Any:
        """The compiled adjoint."""
        return compiler.c_function(compiler.ADJOINT, self.adjoint)
