"""Effects that play live and can be trained through, with the same samples.

One file is one effect, `names()` lists them, `load(name)` gives one, and a new file is a new effect. An
`Effect` is called by keyword, on numpy arrays and on torch tensors:

    load("compressor")(x, 48000, threshold_db=-30.0, ratio=4.0)

`register` adds an effect that is no file of this folder, from a notebook for example. torch is loaded only
when an effect is called on a tensor.
"""

from ._blocks import CONTROL_BLOCK, ticks
from ._catalogue import built_in, catalogue, load, names, number_of, register
from ._effect import MAX_PARAMS, Effect, Param, log_uniform

__all__ = [
    "CONTROL_BLOCK",
    "MAX_PARAMS",
    "Effect",
    "Param",
    "built_in",
    "catalogue",
    "load",
    "log_uniform",
    "names",
    "number_of",
    "register",
    "ticks",
]
