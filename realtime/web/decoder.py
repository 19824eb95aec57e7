"""Decode a file that somebody sent: `python -m afx_live.realtime.web.decoder IN OUT`, in a process that may die.

Codecs are large, and have had their holes: here they have no network, little memory, a minute of time, and
can write one file. What comes out is a plain WAV of 32-bit floats; what is wrong is said on standard output.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

MAX_SAMPLES = 1 << 28
"""Of all channels together: 46 minutes of stereo at 48 kHz."""
MAX_CHANNELS = 64
MAX_SECONDS = 60
MAX_MEMORY = 1 << 31
BLOCK = 1 << 16


def confine() -> None:
    """Give up what a decoder does not need."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = [
        (resource.RLIMIT_CPU, MAX_SECONDS),
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_FSIZE, 4 * MAX_SAMPLES + BLOCK),
        (resource.RLIMIT_CORE, 0),
    ]
    for which, limit in limits:
        hard = resource.getrlimit(which)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(which, (limit, limit))


def decode(source: Path, target: Path) -> dict[str, Any]:
    """Decode; returns sample_rate, channels, frames, peak and note. Raises ValueError in words for people."""
    import numpy as np
    import soundfile

    from ...files import AudioFileError, AudioReader
    from ...files.streams import shown

    try:
        with AudioReader(source) as sound:
            rate, channels = sound.sample_rate, sound.channels
            if channels > MAX_CHANNELS:
                raise ValueError(f"it has {channels} channels; up to {MAX_CHANNELS} can be taken")
            frames, peak = 0, 0.0
            with soundfile.SoundFile(target, "w", rate, channels, "FLOAT", format="WAV") as out:
                for block in sound.blocks():
                    frames += len(block)
                    if frames * channels > MAX_SAMPLES:
                        raise ValueError(f"it is longer than {MAX_SAMPLES // channels / rate / 60:.0f} minutes")
                    peak = max(peak, float(np.abs(block).max()))
                    out.write(block)
            note = sound.note_after(frames)
    except AudioFileError as error:
        raise ValueError(str(error).replace(shown(source), "it", 1)) from None
    except MemoryError:
        raise ValueError("it needs more memory than a recording should") from None
    if not frames:
        raise ValueError("it has no sound in it")
    return {"sample_rate": rate, "channels": channels, "frames": frames, "peak": peak, "note": note}


def main() -> None:
    """Decode, and print what was found, or `error`."""
    os.umask(0o077)
    source, target = map(Path, sys.argv[1:3])
    confine()
    try:
        print(json.dumps(decode(source, target)))
    except ValueError as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
