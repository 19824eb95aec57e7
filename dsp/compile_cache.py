"""numba's code on disk, stamped with every source it was built from (sources.py).

numba's own stamp is the one file that a function stands in: an edit in an imported file would give stale
code. The processor and numba's version are part of numba's own index. Only functions compiled by
`dsp.compiler` are kept this way: numba itself stays as it is for everybody else in the process.
"""

import hashlib
from pathlib import Path
from typing import Any

from numba.core import caching
from numba.core.runtime.nrt import rtsys

from .sources import FOLDER, ROOT, folder, sources_stamp


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


class _Index(caching.IndexDataCacheFile):
    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except Exception:  # it names a class that another version of ours had, or was cut off: compile anew
            return {}


class _Cache(caching.FunctionCache):
    _impl_class = _Impl

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        self._cache_file.__class__ = _Index

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load compiled code without first loading all that a compiler needs, which takes numba 0.4 s.

        numba's own method refreshes the context at every load; a compilation does so itself, should it come to one.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)
