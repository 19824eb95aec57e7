"""Which effects there are: a file of this folder each, then those that were registered."""

import importlib
import pkgutil
import re
from functools import cache

from ._effect import Effect

_ROOM = __name__.rpartition(".")[0]
_registered: list[Effect] = []


@cache
def built_in() -> tuple[str, ...]:
    """List the effects that are files of this folder, in alphabetical order: those that every process knows."""
    folder = importlib.import_module(_ROOM).__path__
    return tuple(sorted(m.name for m in pkgutil.iter_modules(folder) if not m.name.startswith("_")))


def names() -> tuple[str, ...]:
    """List the effects there are: the built-in ones in alphabetical order, then the registered ones."""
    return (*built_in(), *dict.fromkeys(e.name for e in _registered))


def load(name: str) -> Effect:
    """Give an effect by its name; KeyError with the names there are if it is not one."""
    for effect in reversed(_registered):
        if effect.name == name:
            return effect
    if name not in built_in():
        raise KeyError(f"{name!r} is not an effect; there are {', '.join(names())}")
    return _load(name)


@cache
def _load(name: str) -> Effect:
    return importlib.import_module(f".{name}", _ROOM).effect


def register(effect: Effect) -> Effect:
    """Make an effect that is no file of this folder usable by its name, in this process; returns it.

    A name that was registered before stands for the newest effect from now on; chains that play go on with
    what they have. The live stream runs in a process of its own and knows built-in effects only. Raises
    ValueError for the name of a built-in effect, or for one that is no snake_case word.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", effect.name):
        raise ValueError(f"{effect.name!r} cannot be an effect's name: lower-case words joined by _, such as tape_echo")
    if effect.name in built_in():
        raise ValueError(f"{effect.name} is a built-in effect; give yours another name")
    _registered.append(effect)
    return effect


def catalogue() -> tuple[Effect, ...]:
    """List every effect that may be playing, by number: the built-in ones, then all that were ever registered.

    A number never changes its meaning while the process lives, and compiled code stays where it is.
    """
    return (*map(_load, built_in()), *_registered)


def number_of(name: str) -> int:
    """Give an effect's place in the `catalogue`."""
    effect = load(name)
    return next(i for i, each in enumerate(catalogue()) if each is effect)
