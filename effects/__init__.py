"""Effects that play live and can be trained through, with the same samples.

One file is one effect: `names()` lists them, `load(name)` gives one. A new file is a new effect.
Nothing here imports torch until something is asked to `process`.
"""

import importlib
import pkgutil
from functools import cache

from ._effect import CONTROL_BLOCK, MAX_PARAMS, Effect, Param

__all__ = ["CONTROL_BLOCK", "MAX_PARAMS", "Effect", "Param", "load", "names"]


@cache
def names() -> tuple[str, ...]:
    """List the effects there are, in alphabetical order."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


@cache
def load(name: str) -> Effect:
    """Give an effect by its name; KeyError with the names there are if it is not one."""
    if name not in names():
        raise KeyError(f"{name!r} is not an effect; there are {', '.join(names())}")
    return importlib.import_module(f".{name}", __name__).effect
