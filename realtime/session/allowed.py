"""What a name that came over the network may open: bundled clips, clips in given folders, and presets."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ... import presets
from ...matching.clips import ClipError


def allowed_clip(text: str, folders: Sequence[Path]) -> Path:
    """Find a clip by its name, in resolved folders from which clips may be read. Raises ClipError."""
    if text in presets.clips():
        return presets.clip(text)
    for folder in folders:
        with suppress(OSError, RuntimeError, ValueError):  # a name too long, a loop of links, a zero byte
            path = (folder / text).resolve()
            if folder in path.parents and path.is_file():
                return path
    raise ClipError(f"{text!r} is neither a bundled clip nor in {', '.join(map(str, folders)) or 'a clip folder'}")


def allowed_preset(text: str) -> presets.Preset:
    """Load a preset by its name, which cannot be a path. Raises PresetError."""
    if text not in presets.names():
        raise presets.PresetError(f"{text!r} is not a preset; there are {', '.join(presets.names())}")
    return presets.load(text)
