"""A preset as an LV2 or CLAP plug-in, which needs no Python to play: the kernels of the live engine, compiled."""

from .bundle import FORMATS, make_plugin

__all__ = ["FORMATS", "make_plugin"]
