"""Audio files as people have them: read whatever their headers claim, written whole or not at all.

reader        `AudioReader`: any file that libsndfile decodes, in blocks
containers    what is really in a file: a recorder that lost power, half a copy, Ogg streams one after the other
mpeg          the frames of an MP3, counted
part          a file as a decoder is to see it
quiet         C libraries kept from writing to the terminal
metadata      time codes, markers and tags from a file to the next; chunks: those beside the sound; tags: by mutagen
writer        `AudioWriter`: puts a sound in place when it is whole
encodings     names of formats and of how samples are stored
pipe          sound that comes and goes through pipes
streams       standard output and error that take every text
distinct      no file of a command written over another one
atomic_write  every room's way of writing a file of any kind whole or not at all
bounded_read  every room's way of reading a file that anybody may have put there
json_checks   what JSON in such a file says, checked
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
