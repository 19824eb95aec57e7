"""Audio files as people have them: read whatever their headers claim, written whole or not at all.

`AudioReader` opens any file that libsndfile decodes, after `containers` has looked at what is really in it: sizes
of a recorder that lost power, half a copy, MP3 without a frame count, Ogg streams one after the other. `metadata`
carries time codes, markers and tags from a file to the next, `AudioWriter` puts a sound in place when it is whole.
"""

from .reader import AudioFileError, AudioReader

__all__ = ["AudioFileError", "AudioReader"]
