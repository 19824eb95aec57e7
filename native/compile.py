"""Compile for one instruction-set level: `python -m afx_live.native.compile LEVEL plugin|python FILE.o`.

`plugin` is all that C calls (entries.py), `python` is what Python calls besides (functions.py).

numba compiles for the processor it is told at its import, so each level has a process of its own.
What comes out is the code that numba would run, with the same bits: LLVM's modules are linked, all
but the entries made internal, and written as one object file.
"""

import os
import sys
from pathlib import Path
from typing import Any

ARGUMENTS = 4
LIBM = frozenset(f"{prefix}{name}" for name in ("exp", "log", "log10", "pow", "sin", "cos", "tan", "sincos", "tanh")
                 for prefix in ("", "llvm."))  # fmt: skip
"""A kernel that called these would have other samples with another C library; a design may."""
ALLOCATES = frozenset({"NRT_Allocate", "NRT_MemInfo_alloc_aligned", "malloc", "calloc"})


class UnfitError(RuntimeError):
    """Compiled code that calls what it must not."""


def symbol(level: str, entry: str) -> str:
    """Name an entry of a level as C does."""
    return f"afx_{level.replace('-', '_')}_{entry}"


def compile_level(level: str, part: str) -> bytes:
    """Compile every entry of a part for the level that numba was started for; returns an object file."""
    import llvmlite.binding as llvm
    import numba

    from ..dsp import lanes  # noqa: F401  teaches the compiler their arithmetic
    from ..dsp.compiler import CONTRACT
    from . import entries, functions

    whole, kept, codegen = None, set(), None
    for name, signature, function in (entries if part == "plugin" else functions).entries():
        compiled = numba.cfunc(signature, error_model="numpy", fastmath=CONTRACT)(function)
        library = compiled._library  # pyright: ignore  numba has no public way to its LLVM module
        module = llvm.parse_assembly(str(library._final_module))
        _check(name, module)
        module.get_function(compiled._wrapper_name).name = symbol(level, name)  # pyright: ignore
        kept.add(symbol(level, name))
        codegen = library.codegen
        if whole is None:
            whole = module
        else:
            whole.link_in(module)
    if whole is None or codegen is None:
        raise RuntimeError("there is nothing to compile")
    for value in (*whole.functions, *whole.global_variables):
        if value.name in kept:
            value.visibility = "hidden"
        elif not value.is_declaration:
            value.linkage = "internal"
    whole.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=codegen._get_host_cpu_name(), features=codegen._tm_features, opt=3, reloc="pic", codemodel="default"
    )
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(whole, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0)))
    return machine.emit_object(whole)


def _check(name: str, module: Any) -> None:
    """Raise UnfitError if an entry allocates, or a kernel calls the C library's mathematics."""
    called = {f.name for f in module.functions if f.is_declaration}
    called |= {c.removesuffix(end) for c in called for end in (".f64", ".v2f64", ".v4f64", ".v8f64")}
    if found := called & (ALLOCATES | (LIBM if name.startswith("kernel_") else set())):
        raise UnfitError(f"{name} calls {', '.join(sorted(found))}: what runs in the audio thread must not")


def main() -> None:
    if len(sys.argv) != ARGUMENTS:
        sys.exit("usage: python -m afx_live.native.compile LEVEL plugin|python FILE.o")
    level, part, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = level, ""
    out.write_bytes(compile_level(level, part))


if __name__ == "__main__":
    main()
