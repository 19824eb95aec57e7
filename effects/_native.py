"""Compile plain functions to C, keep the result on disk, and call it by address.

Everything that runs in the audio callback is a C function with one of three signatures, so a chain
is a table of addresses: any order of effects runs at once, without compiling and without Python.
"""

import hashlib
import platform
import sys
import types as pytypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import platformdirs
from llvmlite import ir
from numba import extending, types
from numba.core import caching, cgutils
from numba.core.runtime.nrt import rtsys
from numba.cpython.unsafe import tuple as unsafe_tuple
from numba.np import numpy_support
from numba.np.unsafe import ndarray as unsafe_ndarray

# Any: by its own type an intrinsic takes the typing context, which nobody passes, and carray takes no int64.
carray: Any = numpy_support.carray
intrinsic: Any = extending.intrinsic
to_fixed_tuple: Any = unsafe_ndarray.to_fixed_tuple
tuple_setitem: Any = unsafe_tuple.tuple_setitem

COEFS = 48
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


FUSED = {"contract"}
"""A product and a sum may become one instruction, rounded once: twice as fast, and no sum is reordered.

`loop(fastmath=False)` is for what relies on two products that cancel to the last bit.
"""


class _OurCache(caching._CacheLocator):  # pyright: ignore[reportPrivateUsage]
    """Keep compiled code in the user's cache folder, stamped with every source it may be built from.

    numba's own stamp is the one file a function stands in: an edit in an imported file gives stale
    code. The CPU and the numba version are part of numba's own index.
    """

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_func = py_func

    def get_cache_path(self) -> str:
        return str(Path(platformdirs.user_cache_dir("afx-live")) / "compiled")

    def get_source_stamp(self) -> str:
        return _stamp()

    def get_disambiguator(self) -> str:
        return hashlib.sha256(self._py_func.__qualname__.encode()).hexdigest()[:10]

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_OurCache | None":
        if Path(py_file).resolve().parent not in _rooms():
            return None
        locator = cls(py_func, py_file)
        try:
            locator.ensure_cache_path()
        except OSError:  # a read-only home: numba goes on to its next locator, we compile in memory
            return None
        return locator


@cache
def _rooms() -> tuple[Path, ...]:
    here = Path(__file__).resolve().parent
    realtime = sys.modules.get(__name__.rsplit(".", 2)[0] + ".realtime")
    others = [Path(realtime.__file__).resolve().parent] if realtime and realtime.__file__ else []
    return (here, here.parent / "realtime", *others)


@cache
def _stamp() -> str:
    """Hash every source file that compiled code can come from: all effects, and who compiles in realtime."""
    digest = hashlib.sha256()
    for room in dict.fromkeys(_rooms()):
        for file in sorted(room.glob("*.py")):
            text = file.read_bytes()
            if room == _rooms()[0] or b"_native import" in text:
                digest.update(file.name.encode() + b"\0" + text)
    return digest.hexdigest()


caching.CompileResultCacheImpl._locator_classes.insert(0, _OurCache)  # pyright: ignore


def _load_overload(self: Any, sig: Any, target_context: Any) -> Any:
    """Load compiled code without first loading all that a compiler needs, which takes numba 0.4 s.

    numba's own method refreshes the context at every load; a compilation does so itself, should it come to one.
    """
    rtsys.initialize(target_context)
    with self._guard_against_spurious_io_errors():
        return self._load_overload(sig, target_context)


caching.Cache.load_overload = _load_overload  # pyright: ignore[reportAttributeAccessIssue]


def cacheable() -> bool:
    """Tell whether compiled code can be kept on this machine."""
    return _OurCache.from_function(cacheable, __file__) is not None


def first_start() -> bool:
    """Tell whether this version has never been compiled on this machine; True only once."""
    locator = _OurCache.from_function(cacheable, __file__)
    if locator is None:
        return True
    mark = Path(locator.get_cache_path()) / f"{_stamp()[:16]}.compiled"
    if mark.exists():
        return False
    mark.touch()
    return True


def loop(function: Callable[..., Any] | None = None, *, fastmath: Any = FUSED, **options: Any) -> Any:
    """Compile a function for use inside other compiled code, and cache it; options are numba's."""
    if function is None:
        return lambda f: loop(f, fastmath=fastmath, **options)
    return numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, cache=cacheable(), **options)(function)


def c_function(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile `function` to a C function of `signature` and cache it; `.address` is its pointer."""
    return numba.cfunc(signature, error_model="numpy", fastmath=FUSED, cache=cacheable())(function)


def specialise(template: Callable[..., Any], name: str, **names: Any) -> Callable[..., Any]:
    """Copy `template` with other globals: one wrapper text serves every effect and still caches."""
    copy = pytypes.FunctionType(template.__code__, {**template.__globals__, **names}, name)
    copy.__qualname__ = name
    copy.__module__ = template.__module__
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


def _caller(signature: Any) -> Any:
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


call_design = _caller(DESIGN)
call_jacobian = _caller(JACOBIAN)
call_kernel = _caller(KERNEL)
call_adjoint = _caller(ADJOINT)


@intrinsic
def at_address(typingctx, address):
    """Turn an integer into a pointer that `carray` takes."""

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@intrinsic
def fence(typingctx):
    """Let no read or write of memory move across this point."""

    def codegen(context, builder, sig, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


# --- denormals ------------------------------------------------------------------------------------
# A decaying reverb ends in denormal numbers, which cost up to a hundred times a normal one on some
# processors. Audio threads do not flush them by themselves (MXCSR read 0x1fa0 under JACK).

_X86 = platform.machine().lower() in ("x86_64", "amd64")
_ARM = platform.machine().lower() in ("aarch64", "arm64")


@intrinsic
def flush_denormals(typingctx):
    """Treat denormal numbers as zero on this thread; return what to hand to `restore_denormals`."""

    def codegen(context, builder, sig, args):
        i32, i64 = ir.IntType(32), ir.IntType(64)
        if _X86:
            slot = cgutils.alloca_once(builder, i32)
            pointer = builder.bitcast(slot, cgutils.voidptr_t)
            store = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t]), "llvm.x86.sse.stmxcsr"
            )
            load = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t]), "llvm.x86.sse.ldmxcsr"
            )
            builder.call(store, [pointer])
            old = builder.load(slot)
            builder.store(builder.or_(old, i32(0x8040)), slot)  # FTZ | DAZ
            builder.call(load, [pointer])
            return builder.zext(old, i64)
        if _ARM:
            get = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i64, []), "llvm.aarch64.get.fpcr")
            put = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [i64]), "llvm.aarch64.set.fpcr"
            )
            old = builder.call(get, [])
            builder.call(put, [builder.or_(old, i64(1 << 24))])  # FZ
            return old
        return i64(0)

    return types.int64(), codegen


@intrinsic
def restore_denormals(typingctx, old):
    """Put back what `flush_denormals` returned."""

    def codegen(context, builder, sig, args):
        i32, i64 = ir.IntType(32), ir.IntType(64)
        if _X86:
            slot = cgutils.alloca_once(builder, i32)
            builder.store(builder.trunc(args[0], i32), slot)
            load = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t]), "llvm.x86.sse.ldmxcsr"
            )
            builder.call(load, [builder.bitcast(slot, cgutils.voidptr_t)])
        elif _ARM:
            put = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [i64]), "llvm.aarch64.set.fpcr"
            )
            builder.call(put, [args[0]])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
