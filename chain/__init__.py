"""Chains of effects: to call from Python, as settings, as a model's parameter vector, and as they play.

    from afx_live.chain import Chain, Compressor, Distortion

    board = Chain([Compressor(threshold_db=-30, ratio=4), Distortion(drive_db=12)])
    y = board(x, 48000)

Every effect there is has its class here, named like it in capitals: `Equaliser`, `Compressor`, `Limiter`, ...;
those that are registered, too.

chain       `Chain`: whole sounds, streams in blocks, tensors with gradients
processor   an effect with the values it is set to
settings    what a chain is set to: effects in playing order, their values and gains
parameters  a model's parameter vector, both ways
player      a chain as it plays, compiled
numbered    every parameter by number, as the C library and plug-ins have them
"""

from typing import Any

from ..effects import names, register
from .chain import Chain
from .parameters import ChainParameters
from .player import ChainPlayer, play_clip
from .processor import Processor, class_name, processor_class
from .settings import CANONICAL, GAIN, GAIN_NAMES, MAX_EFFECTS, ChainSettings, EffectSettings

__all__ = [
    "CANONICAL",
    "GAIN",
    "GAIN_NAMES",
    "MAX_EFFECTS",
    "Chain",
    "ChainParameters",
    "ChainPlayer",
    "ChainSettings",
    "EffectSettings",
    "Processor",
    "play_clip",
    "processor_class",
    "register",
]


def __getattr__(name: str) -> Any:
    """Give the class of an effect: `Compressor`."""
    if name[:1].isupper():
        return processor_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *map(class_name, names())])
