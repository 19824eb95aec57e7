"""Compile plain functions to C, keep the result on disk, and call it by address.

Everything that runs in the audio callback is a C function with one of three signatures, so a chain
is a table of addresses: any order of effects runs at once, without compiling and without Python.
"""

import types as pytypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils, sigutils
from numba.core.ccallback import CFunc
from numba.cpython.unsafe import tuple as unsafe_tuple
from numba.np import numpy_support
from numba.np.unsafe import ndarray as unsafe_ndarray

from .compile_cache import cache_of

# Any: by its own type an intrinsic takes the typing context, which nobody passes, and carray takes no int64.
carray: Any = numpy_support.carray
intrinsic: Any = extending.intrinsic
to_fixed_tuple: Any = unsafe_ndarray.to_fixed_tuple
tuple_setitem: Any = unsafe_tuple.tuple_setitem

MAX_COEFS = 48
"""Room for the coefficients of any one effect."""

VECTOR = types.float64[::1]
MATRIX = types.float64[:, ::1]
DESIGN = types.void(VECTOR, types.float64, VECTOR)
"""design(values, sample_rate, coef): write the coefficients of a setting."""
JACOBIAN = types.void(VECTOR, types.float64, MATRIX)
"""jacobian(values, sample_rate, jac): write d coef / d value, shape (values, coefs)."""
KERNEL = types.void(MATRIX, VECTOR, types.int64, VECTOR, VECTOR, MATRIX)
"""kernel(x, state, start, coef, step, tape): edit the block x (frames, channels) in place."""
ADJOINT = types.void(MATRIX, VECTOR, types.int64, VECTOR, VECTOR, MATRIX, VECTOR, VECTOR)
"""adjoint(g, state, start, coef, step, tape, gcoef, gstep): the kernel's transpose, backwards in time."""


CONTRACT = {"contract"}
"""A product and a sum may become one instruction, rounded once: twice as fast, and no sum is reordered.

Use `jit(fastmath=False)` where exactness depends on two products cancelling.
"""


def jit(function: Callable[..., Any] | None = None, *, fastmath: Any = CONTRACT, **options: Any) -> Any:
    """Compile a function for use inside other compiled code, and cache it; options are numba's."""
    if function is None:
        return lambda f: jit(f, fastmath=fastmath, **options)
    compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, **options)(function)
    compiled._cache = cache_of(function)
    return compiled


def c_function(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile `function` to a C function of `signature` and cache it; `.address` is its pointer."""
    compiled: Any = CFunc(
        function, sigutils.normalize_signature(signature), {}, {"error_model": "numpy", "fastmath": CONTRACT}
    )
    compiled._cache = cache_of(function)
    compiled.compile()
    return compiled


def specialise(template: Callable[..., Any], name: str, inner: Any, **names: Any) -> Callable[..., Any]:
    """Copy `template` with other globals: one wrapper text serves every effect's compiled function and still caches."""
    names["inner"] = inner
    copy = pytypes.FunctionType(template.__code__, {**template.__globals__, **names}, name)
    copy.__qualname__ = name
    copy.__module__ = template.__module__
    copy.sources = (Path(inner.py_func.__code__.co_filename).resolve(),)  # pyright: ignore[reportFunctionMemberAccess]
    return copy


# --- wrapper texts: a design is written with named parameters, and called through arrays -----------

inner: Any = None  # replaced by `specialise`
COUNT = 0  # replaced by `specialise`: the number of parameters
STEP = 1e-40  # complex step: small enough that its square underflows, so the derivative is exact


def design_wrapper(values, sample_rate, coef):
    i = 0
    for c in numba.literal_unroll(inner(sample_rate, *to_fixed_tuple(values, COUNT))):
        coef[i] = c
        i += 1


def jacobian_wrapper(values, sample_rate, jac):
    point = np.empty(COUNT, np.complex128)
    for p in range(COUNT):
        for q in range(COUNT):
            point[q] = complex(values[q], STEP if q == p else 0.0)
        i = 0
        for c in numba.literal_unroll(inner(sample_rate, *to_fixed_tuple(point, COUNT))):
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


def caller(signature: Any) -> Any:
    """Make what compiled code calls a C function with: `call(address, (arguments, ...))`, as the signature has them."""

    @intrinsic
    def call(typingctx, address, arguments):
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
