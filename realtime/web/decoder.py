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
    """Decode; returns sample_rate, channels, frames and peak. Raises ValueError in words for people."""
    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(source) as sound:
            rate, channels = sound.samplerate, sound.channels
            if channels > MAX_CHANNELS:
                raise ValueError(f"it has {channels} channels; up to {MAX_CHANNELS} can be taken")
            frames, peak = 0, 0.0
            with soundfile.SoundFile(target, "w", rate, channels, "FLOAT", format="WAV") as out:
                while len(block := sound.read(BLOCK, "float32", always_2d=True)):
                    frames += len(block)
                    if frames * channels > MAX_SAMPLES:
                        raise ValueError(f"it is longer than {MAX_SAMPLES // channels / rate / 60:.0f} minutes")
                    if not np.isfinite(block).all():
                        raise ValueError("it holds NaN or Inf; export it again")
                    peak = max(peak, float(np.abs(block).max()))
                    out.write(block)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise ValueError(f"it cannot be read as audio ({error}); WAV, FLAC, OGG, MP3 and AIFF can") from None
    except MemoryError:
        raise ValueError("it needs more memory than a recording should") from None
    if not frames:
        raise ValueError("it has no sound in it")
    return {"sample_rate": rate, "channels": channels, "frames": frames, "peak": peak}


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
