"""Compiled code on disk, in a folder of the user's, stamped with every source it was built from.

numba's own stamp is the one file that a function stands in: an edit in an imported file would give stale
code. Here it is that file and all that it imports inside the package. The processor and numba's version
are part of numba's own index. Only functions compiled by `dsp.compiler` are kept this way: numba itself
stays as it is for everybody else in the process.
"""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs
from numba.core import caching
from numba.core.runtime.nrt import rtsys

_IMPORT = re.compile(r"^[ \t]*from (\.+)([\w.]*) import (?:\(([^)]*)\)|(.*))", re.MULTILINE)


ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(platformdirs.user_cache_dir("afx-live")) / "compiled"


def folder() -> Path | None:
    """Give the folder of compiled code, made if need be; None where nothing can be written: a read-only home."""
    try:
        _Locator(folder, __file__).ensure_cache_path()
    except OSError:
        return None
    return FOLDER


def first_start(files: Iterable[Path]) -> bool:
    """Tell whether these sources have never been compiled on this machine; True only once."""
    place = folder()
    if place is None:
        return True
    mark = place / f"{sources_stamp(frozenset(files))[:16]}.compiled"
    if mark.exists():
        return False
    with suppress(OSError):  # a disk that is full: it is told again
        mark.touch()
    return True


def cache_of(function: Any) -> Any:
    """Give a dispatcher its cache for one function's compiled code; without a `folder` it keeps nothing.

    `function.sources`, where there is such an attribute, names more files that the code is built from. Of what
    is built from other files than the package's, a notebook for example, nothing is kept: their imports are unknown.
    """
    files = [Path(function.__code__.co_filename).resolve(), *getattr(function, "sources", ())]
    ours = all(file.is_relative_to(ROOT) and file.is_file() for file in files)
    return _Cache(function) if ours and folder() else caching.NullCache()


class _Locator(caching._CacheLocator):  # pyright: ignore[reportPrivateUsage]
    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_func, self._file = py_func, Path(py_file)

    def get_cache_path(self) -> str:
        return str(FOLDER)

    def get_source_stamp(self) -> str:
        return sources_stamp(frozenset({self._file.resolve(), *getattr(self._py_func, "sources", ())}))

    def get_disambiguator(self) -> str:
        return hashlib.sha256(f"{self._py_func.__module__}.{self._py_func.__qualname__}".encode()).hexdigest()[:10]

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Locator":
        return cls(py_func, py_file)


class _Impl(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  numba's name and form


class _Cache(caching.FunctionCache):
    _impl_class = _Impl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load compiled code without first loading all that a compiler needs, which takes numba 0.4 s.

        numba's own method refreshes the context at every load; a compilation does so itself, should it come to one.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


@cache
def sources_stamp(files: frozenset[Path]) -> str:
    """Hash files and all the files of the package that they import, directly or not."""
    found, new = set(files), set(files)
    while new:
        new = {other for file in new for other in _imported(file)} - found
        found |= new
    digest = hashlib.sha256()
    for part in sorted(f"{file.parent.name}/{file.name}".encode() + b"\0" + file.read_bytes() for file in found):
        digest.update(part)
    return digest.hexdigest()


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """Find the files that a file imports by relative imports; in the rooms there are no others."""
    found = []
    for dots, module, several, one in _IMPORT.findall(file.read_text(encoding="utf-8")):
        base = file.parents[len(dots) - 1].joinpath(*filter(None, module.split(".")))
        names = re.findall(r"(?<!as )\b\w+", re.sub(r"#.*", "", several or one))
        candidates = [base.with_suffix(".py"), base / "__init__.py", *(base / f"{name}.py" for name in names)]
        found += [path for path in candidates if path.is_file()]
    return tuple(found)
