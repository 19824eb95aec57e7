"""Compile plain functions to C, keep the result on disk, and call it by address.

Everything that runs in the audio callback is a C function with one of three signatures, so a chain
is a table of addresses: any order of effects runs at once, without compiling and without Python.
"""

import types as pytypes
from collections.abc import Callable, Sequence
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any

import numpy as np

from . import library
from .entry import Spec, entry_name
from .late import Late, LateModule, late_name

numba, types = LateModule("numba"), LateModule("numba.types")
ir, cgutils, sigutils = LateModule("llvmlite.ir"), LateModule("numba.core.cgutils"), LateModule("numba.core.sigutils")

carray = late_name("numba.np.numpy_support", "carray")
to_fixed_tuple = late_name("numba.np.unsafe.ndarray", "to_fixed_tuple")
tuple_setitem = late_name("numba.cpython.unsafe.tuple", "tuple_setitem")

MAX_COEFS = 48
"""Room for the coefficients of any one effect."""

_VECTOR, _MATRIX = "float64[::1]", "float64[:, ::1]"
DESIGN = f"void({_VECTOR}, float64, {_VECTOR})"
"""design(values, sample_rate, coef): write the coefficients of a setting."""
JACOBIAN = f"void({_VECTOR}, float64, {_MATRIX})"
"""jacobian(values, sample_rate, jac): write d coef / d value, shape (values, coefs)."""
KERNEL = f"void({_MATRIX}, {_VECTOR}, int64, {_VECTOR}, {_VECTOR}, {_MATRIX})"
"""kernel(x, state, start, coef, step, tape): edit the block x (frames, channels) in place."""
ADJOINT = f"void({_MATRIX}, {_VECTOR}, int64, {_VECTOR}, {_VECTOR}, {_MATRIX}, {_VECTOR}, {_VECTOR})"
"""adjoint(g, state, start, coef, step, tape, gcoef, gstep): the kernel's transpose, backwards in time."""


CONTRACT = {"contract"}
"""A product and a sum may become one instruction, rounded once: twice as fast, and no sum is reordered.

Use `jit(fastmath=False)` where exactness depends on two products cancelling.
"""


ENTRIES: list["JitFunction"] = []
"""Every function of the package that says what Python calls it with."""


class JitFunction(Late):
    """A function that numba compiles when it is first called, from Python or from compiled code.

    With `entry`, what it takes, the library that came with the package has it for Python to call: arguments
    that are just that are handed to it, and nothing is compiled.
    """

    def __init__(self, function: Callable[..., Any], entry: Sequence[Spec] | None, options: dict[str, Any]) -> None:
        update_wrapper(self, function)
        super().__init__(self._dispatcher)
        self.py_func, self.entry, self._options = function, entry, options

    def _dispatcher(self) -> Any:
        from . import lanes  # noqa: F401  teaches the compiler their arithmetic before it compiles
        from .compile_cache import cache_of

        compiled: Any = numba.njit(nogil=True, error_model="numpy", **self._options)(self.py_func)
        compiled._cache = cache_of(self.py_func)
        return compiled

    @cached_property
    def _in_library(self) -> Any:
        return library.entry(entry_name(self.py_func), self.entry) if self.entry is not None else None

    def __call__(self, *arguments: Any) -> Any:
        ready = self._in_library
        if ready is not None and (packed := ready.pack(arguments)):
            return ready(packed)
        return self.made(*arguments)


def jit(
    function: Callable[..., Any] | None = None,
    *,
    entry: Sequence[Spec] | None = None,
    fastmath: Any = CONTRACT,
    **options: Any,
) -> Any:
    """Compile a function for use inside other compiled code, and cache it; options are numba's.

    entry: what Python calls it with (entry.py), if Python calls it where nothing should have to be compiled.
    Such a function returns nothing.
    """
    if function is None:
        return lambda f: jit(f, entry=entry, fastmath=fastmath, **options)
    compiled = JitFunction(function, entry, {"fastmath": fastmath, **options})
    if entry is not None:
        ENTRIES.append(compiled)
    return compiled


def intrinsic(definition: Callable[..., Any]) -> Late:
    """Make an intrinsic of numba's: `definition(typingctx, ...)` gives a signature and what writes its instructions."""
    return Late(lambda: numba.extending.intrinsic(definition))


def c_function(signature: str, function: Callable[..., Any]) -> Any:
    """Compile `function` to a C function of `signature` and cache it; `.address` is its pointer."""
    from numba.core.ccallback import CFunc

    from . import lanes  # noqa: F401
    from .compile_cache import cache_of

    compiled: Any = CFunc(
        function, sigutils.normalize_signature(signature), {}, {"error_model": "numpy", "fastmath": CONTRACT}
    )
    compiled._cache = cache_of(function)
    compiled.compile()
    return compiled


def specialise(template: Callable[..., Any], name: str, inner: JitFunction, **names: Any) -> Callable[..., Any]:
    """Copy `template` with other globals: one wrapper text serves every effect's compiled function and still caches."""
    names |= {"inner": inner, "literal_unroll": numba.literal_unroll}
    copy = pytypes.FunctionType(template.__code__, {**template.__globals__, **names}, name)
    copy.__qualname__ = name
    copy.__module__ = template.__module__
    copy.sources = (Path(inner.py_func.__code__.co_filename).resolve(),)  # pyright: ignore[reportFunctionMemberAccess]
    return copy


# --- wrapper texts: a design is written with named parameters, and called through arrays -----------

inner: Any = None  # replaced by `specialise`
literal_unroll: Any = None  # replaced by `specialise`
COUNT = 0  # replaced by `specialise`: the number of parameters
STEP = 1e-40  # complex step: small enough that its square underflows, so the derivative is exact


def design_wrapper(values, sample_rate, coef):
    i = 0
    for c in literal_unroll(inner(sample_rate, *to_fixed_tuple(values, COUNT))):
        coef[i] = c
        i += 1


def jacobian_wrapper(values, sample_rate, jac):
    point = carray(scratch(), (COUNT,), np.complex128)
    for p in range(COUNT):
        for q in range(COUNT):
            point[q] = complex(values[q], STEP if q == p else 0.0)
        i = 0
        for c in literal_unroll(inner(sample_rate, *to_fixed_tuple(point, COUNT))):
            jac[p, i] = c.imag / STEP
            i += 1


# --- calls by address -----------------------------------------------------------------------------


def _pass(context, builder, value, have, want):
    """Hand a value over; a row of a record's nested array differs from an array in name only."""
    if isinstance(want, types.Array):
        if (have.dtype, have.ndim, have.layout) != (want.dtype, want.ndim, "C"):
            raise TypeError(f"a compiled call wants {want}, got {have}")
        return value
    return context.cast(builder, value, have, want)


def caller(text: str) -> Any:
    """Make what compiled code calls a C function with: `call(address, (arguments, ...))`, as its signature has them."""

    @intrinsic
    def call(typingctx, address, arguments):
        signature = sigutils.normalize_signature(text)
        signature = types.void(*signature[0])
        if not isinstance(arguments, types.BaseTuple) or len(arguments) != len(signature.args):
            return None

        def codegen(context, builder, sig, args):
            values = [
                _pass(context, builder, builder.extract_value(args[1], i), sig.args[1].types[i], want)
                for i, want in enumerate(signature.args)
            ]
            function_type = ir.FunctionType(ir.VoidType(), [context.get_value_type(t) for t in signature.args])
            pointer = builder.inttoptr(args[0], function_type.as_pointer())
            builder.call(pointer, values)
            return context.get_dummy_value()

        return types.void(types.int64, arguments), codegen

    return call


call_design = caller(DESIGN)
call_jacobian = caller(JACOBIAN)
call_kernel = caller(KERNEL)
call_adjoint = caller(ADJOINT)


@intrinsic
def at_address(typingctx, address):
    """Turn an integer into a pointer that `carray` takes."""

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


def stack_of(count: int) -> Any:
    """Make what gives compiled code a piece of the stack, for so many float64; it lasts until the function returns."""

    @intrinsic
    def piece(typingctx):
        def codegen(context, builder, sig, args):
            room = cgutils.alloca_once(builder, ir.ArrayType(ir.IntType(64), count))
            room.align = 64  # a cache line: no vector lies on two
            return builder.bitcast(room, cgutils.voidptr_t)

        return types.voidptr(), codegen

    return piece


scratch = stack_of(64)
"""Room for complex numbers for as many parameters as an effect may have."""
