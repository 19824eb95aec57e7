"""What compiled code asks of the processor: memory order, the clock, denormal numbers flushed to zero."""

import platform
import time

from .compiler import intrinsic
from .late import LateModule

ir, types, cgutils = LateModule("llvmlite.ir"), LateModule("numba.types"), LateModule("numba.core.cgutils")

_CLOCK = getattr(time, "CLOCK_MONOTONIC", 1)


@intrinsic
def fence(typingctx):
    """Let no read or write of memory move across this point."""

    def codegen(context, builder, sig, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def now_ns(typingctx):
    """Read the monotonic clock in nanoseconds: on Linux a read of shared memory, no system call."""

    def codegen(context, builder, sig, args):
        i32, i64 = ir.IntType(32), ir.IntType(64)
        spec = cgutils.alloca_once(builder, ir.ArrayType(i64, 2))  # struct timespec
        read = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i32, [i32, spec.type]), "clock_gettime")
        builder.call(read, [i32(_CLOCK), spec])
        seconds, rest = (builder.load(cgutils.gep_inbounds(builder, spec, 0, i)) for i in (0, 1))
        return builder.add(builder.mul(seconds, i64(1_000_000_000)), rest)

    return types.int64(), codegen


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
