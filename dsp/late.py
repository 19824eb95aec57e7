"""Things of numba's that load it only when they are needed.

Whoever plays with the library that came with the package (library.py) compiles nothing, and numba
takes half a second to load and 60 MB.
"""

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any


class LateModule:
    """A module that is imported when something of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


class Late:
    """Something that is made when it is first needed; compiled code that names this sees what was made."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def made(self) -> Any:
        return self._make()

    def __call__(self, *arguments: Any) -> Any:
        return self.made(*arguments)

    @cached_property
    def _numba_type_(self) -> Any:
        """What numba asks of a value that it does not know."""
        from numba.core.registry import cpu_target

        context: Any = cpu_target.typing_context
        made = self.made
        context.refresh()  # an intrinsic that was made just now is not yet known
        return context.resolve_value_type(made)


def late_name(module: str, name: str) -> Late:
    """Name something of a module's without importing that."""
    return Late(lambda: getattr(import_module(module), name))
