"""Effects that play live and can be trained through, with the same samples.

One file is one effect: `names()` lists them, `load(name)` gives one. A new file is a new effect.
`Chain` plays several in a row. Nothing here imports torch until something is asked to `process`.
"""

import importlib
import pkgutil
from functools import cache

from ._spec import Effect, Param

__all__ = ["CANONICAL", "Chain", "Effect", "Param", "Rack", "Settings", "Step", "load", "names", "play_clip"]


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


from ._chain import CANONICAL, Chain, Settings, Step  # noqa: E402  they look effects up by `load`
from ._rack import Rack, play_clip  # noqa: E402
