"""Audio files as people have them: read whatever their headers claim, written whole or not at all.

`AudioReader` opens any file that libsndfile decodes, after `containers` has looked at what is really in it: sizes
of a recorder that lost power, half a copy, MP3 without a frame count, Ogg streams one after the other. `metadata`
carries time codes, markers and tags from a file to the next, `AudioWriter` puts a sound in place when it is whole;
`pipe` is for sound that comes and goes through pipes. `atomic_write` and `bounded_read` are every room's way of
writing a file of any kind whole or not at all, and of reading one that anybody may have put there; `json_checks`
checks what such a file says.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reader import AudioFileError, AudioReader

__all__ = ["AudioFileError", "AudioReader"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: the command line's help must not load numpy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".reader", __name__), name)
