"""Make the library: objects for each instruction-set level, the header that describes them, a shared object.

A *kit* is a folder with all that a plug-in is linked from. It is made once for a version of the sources
and kept in the user's cache folder, unless the package carries one.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import platformdirs

from ..dsp.compile_cache import sources_stamp

HERE = Path(__file__).resolve().parent
SOURCES = (HERE / "afx.c", HERE / "state.c", HERE / "runtime.c")
FLAGS = (
    "-std=c11",
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
)
"""Not contracted: the arithmetic of C is that of Python."""
HIDDEN = "-Wl,--version-script="


class ToolError(ValueError):
    """A program that is needed is missing or failed; the message names it and what to do."""


def levels() -> tuple[str, ...]:
    """List the instruction-set levels to compile for on this machine, worst first."""
    return ("x86-64-v2", "x86-64-v3") if platform.machine().lower() in ("x86_64", "amd64") else ("generic",)


def compiler() -> list[str]:
    """Find the C compiler: $CC, cc, gcc or clang. Raises ToolError."""
    if own := os.environ.get("CC"):
        words = shlex.split(own)
        if words and shutil.which(words[0]):
            return words
        raise ToolError(f"CC = {own!r} names no program on the PATH; name a C compiler, or unset it")
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    raise ToolError("no C compiler on the PATH (cc, gcc or clang); on Debian: apt install gcc libc6-dev")


def run(words: Sequence[str | Path], what: str, env: dict[str, str] | None = None) -> None:
    """Run a tool; ToolError with the end of what it said if it fails."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise ToolError(f"{what} failed ({words[0]}):\n{said}")


def link(sources: Iterable[Path], kit: Path, out: Path, exported: Sequence[str], flags: Sequence[str] = ()) -> None:
    """Compile C sources with a kit to a shared object that shows nothing but the `exported` symbols.

    Raises ToolError if there is no compiler, or if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "symbols"
        script.write_text("{ global: " + "".join(f"{name}; " for name in exported) + "local: *; };\n")
        words = [*compiler(), *FLAGS, *flags, f"-I{HERE}", f"-I{kit}", "-shared", *sources, *sorted(kit.glob("*.o"))]
        run([*words, "-o", out, f"{HIDDEN}{script}", "-Wl,--gc-sections", "-Wl,-z,defs", "-lm"], "the C compiler")


def make_kit(folder: Path) -> None:
    """Compile every effect for every level into a folder: half a minute on two cores. Raises ToolError."""
    from .describe import header

    compiler()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        # numba's cache is of no use here, and not ours to fill.
        env = {**os.environ, "XDG_CACHE_HOME": temporary}
        running = {level: _start(level, folder / f"{level}.o", env) for level in levels()}
        (folder / "afx_generated.h").write_text(header(levels()))
        for level, process in running.items():
            said = process.communicate()[1]
            if process.returncode:
                raise ToolError(f"the effects cannot be compiled for {level}:\n{said[-2000:]}")


def _start(level: str, out: Path, env: dict[str, str]) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", f"{__package__}.compile", level, str(out)]
    return subprocess.Popen(words, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@cache
def kit() -> Path:
    """Give the folder of the kit for these sources, making it if there is none. Raises ToolError, OSError."""
    place = Path(platformdirs.user_cache_dir("afx-live")) / "kit" / _stamp()[:16]
    if not place.is_dir():
        compiler()
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
            made = Path(temporary) / "kit"
            make_kit(made)
            try:
                made.rename(place)
            except OSError:
                if not place.is_dir():  # else another process was quicker
                    raise
    return place


@cache
def _stamp() -> str:
    """Name what a kit is made of: all that is compiled or described, and the versions of who compiles."""
    import numba

    files = (HERE / "entries.py", HERE / "compile.py", HERE / "describe.py", *(HERE.parent / "effects").glob("*.py"))
    words = f"{sources_stamp(frozenset(files))} {numba.__version__} {platform.machine()} {' '.join(levels())}"
    return hashlib.sha256(words.encode()).hexdigest()


def make_library(out: Path, kit_folder: Path | None = None, flags: Sequence[str] = ()) -> None:
    """Link the library itself: a shared object that shows the functions of afx.h. Raises ToolError."""
    link(SOURCES, kit_folder or kit(), out, ["afx_*"], ['-DAFX_API=__attribute__((visibility("default")))', *flags])
