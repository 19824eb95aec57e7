"""Make the library: objects for each instruction-set level, the header that describes them, a shared object.

A *kit* is a folder with all that a plug-in is linked from. It is made once for a version of the sources
and kept in the user's cache folder, unless the package carries one.

    python -m afx_live.native.build FOLDER    # what the package carries: the kit, and the library for Python
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import platformdirs

from ..dsp import library
from ..dsp.sources import sources_stamp, with_imported

HERE = Path(__file__).resolve().parent
KIT = "kit"
"""The folder of the kit that the package carries."""
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
SHOWN = '-DAFX_API=__attribute__((visibility("default")))'


class ToolError(ValueError):
    """A program that is needed is missing or failed; the message names it and what to do."""


def levels() -> tuple[str, ...]:
    """List the instruction-set levels to compile for on this machine, worst first."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return ("x86-64-v2", "x86-64-v3", "x86-64-v4") if x86 else ("generic",)


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


def link(sources: Iterable[Path], kits: Sequence[Path], out: Path, exported: Sequence[str], flags: Sequence[str] = ()):
    """Compile C sources with folders of headers and objects to a shared object.

    It shows nothing but the `exported` symbols. Raises ToolError if there is no compiler, or if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "symbols"
        script.write_text("{ global: " + "".join(f"{name}; " for name in exported) + "local: *; };\n")
        objects = [file for kit in kits for file in sorted(kit.glob("*.o"))]
        places = [f"-I{place}" for place in (HERE, *kits)]
        words = [*compiler(), *FLAGS, *flags, *places, "-shared", *sources, *objects]
        run([*words, "-o", out, f"{HIDDEN}{script}", "-Wl,--gc-sections", "-Wl,-z,defs", "-lm"], "the C compiler")


def make_kit(folder: Path) -> None:
    """Compile every effect for every level into a folder: half a minute on two cores. Raises ToolError."""
    from .describe import header

    _compile("plugin", folder)
    (folder / "afx_generated.h").write_text(header(levels()))


def _make_functions(folder: Path) -> None:
    """Compile what Python calls, and describe it: what the package's library has over the kit. Raises ToolError."""
    from .describe import functions_header

    _compile("python", folder)
    found = sorted(str(file.relative_to(library.ROOT)) for file in with_imported(_roots()))
    (folder / "afx_functions.h").write_text(functions_header(levels(), [library.digest(found), *found]))


def _compile(part: str, folder: Path) -> None:
    """Compile a part for every level, each in a process of its own. Raises ToolError."""
    compiler()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        # numba's cache is of no use here, and not ours to fill.
        env = {**os.environ, "XDG_CACHE_HOME": temporary}
        running = {level: _start(level, part, folder / f"{level}.o", env) for level in levels()}
        for level, process in running.items():
            said = process.communicate()[1]
            if process.returncode:
                raise ToolError(f"the effects cannot be compiled for {level}:\n{said[-2000:]}")


def _start(level: str, part: str, out: Path, env: dict[str, str]) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", f"{__package__}.compile", level, part, str(out)]
    return subprocess.Popen(words, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def make_package_library(folder: Path) -> None:
    """Write what the package carries into a folder: the kit, and the library that plays live.

    Raises ToolError, and OSError if there is no room for it.
    """
    parts = _kept("kit", make_kit), _kept("functions", _make_functions)
    shutil.copytree(parts[0], folder / KIT, dirs_exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:  # a program that has the old one open keeps it
        made = Path(temporary) / library.PATH.name
        link((*SOURCES, HERE / "python.c"), parts, made, ["afx_*"], [SHOWN])
        (folder / made.name).unlink(missing_ok=True)
        shutil.copyfile(made, folder / made.name)


@cache
def kit() -> Path:
    """Give the folder of the kit for these sources, making it if there is none. Raises ToolError, OSError."""
    return HERE / KIT if library.opened() and (HERE / KIT).is_dir() else _kept("kit", make_kit)


def _kept(part: str, make: Callable[[Path], None]) -> Path:
    """Give a folder in the user's cache that `make` has filled for these sources. Raises ToolError, OSError."""
    place = Path(platformdirs.user_cache_dir("afx-live")) / part / _stamp()[:16]
    if not place.is_dir():
        compiler()
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
            made = Path(temporary) / part
            make(made)
            try:
                made.rename(place)
            except OSError:
                if not place.is_dir():  # else another process was quicker
                    raise
    return place


def _roots() -> list[Path]:
    """List the files that say what is compiled; with what they import, all that it is compiled from."""
    own = [HERE / f"{name}.py" for name in ("entries", "functions", "compile", "describe")]
    return [*own, *(HERE.parent / "effects").glob("*.py")]


@cache
def _stamp() -> str:
    """Name what a kit is made of: all that is compiled or described, and the versions of who compiles."""
    import numba

    words = f"{sources_stamp(frozenset(_roots()))} {numba.__version__} {platform.machine()} {' '.join(levels())}"
    return hashlib.sha256(words.encode()).hexdigest()


def make_library(out: Path) -> None:
    """Link the library itself: a shared object that shows the functions of afx.h. Raises ToolError."""
    link(SOURCES, [kit()], out, ["afx_*"], [SHOWN])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m afx_live.native.build FOLDER")
    try:
        make_package_library(Path(sys.argv[1]))
    except (ToolError, OSError) as error:
        sys.exit(str(error))
