"""Files that commands write: refused if they exist, unless --force was given; presets among them."""

import os
from pathlib import Path
from typing import Any

from ... import presets
from ...chain import GAIN_NAMES, ChainSettings
from ...files.distinct import Named
from ...files.pipe import is_stream
from ...presets import other_programs
from ..session.autosave import Autosave
from ..view.console import Console
from .errors import UsageError, advice


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UsageError for a file that exists, unless `force`."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists; add --force to replace it, or choose another name")


def model_files(folder: Path | None) -> list[Named]:
    """Give the files of a model, which a command reads."""
    return [Named("the model", path) for path in folder.iterdir()] if folder and folder.is_dir() else []


def check_preset_path(path: Path | None, force: bool) -> None:
    """Refuse a preset file that exists, has an invalid name or cannot be written, before any work is done for it."""
    if path is not None:
        refuse_existing(path, force)
        presets.Preset(path.stem, ChainSettings())
        if is_stream(path):
            raise presets.PresetError(f"{path} is a pipe or device; a preset is saved in a file")
        above = next(folder for folder in path.absolute().parents if folder.exists())  # what is missing is made
        why = "is no folder" if not above.is_dir() else "" if os.access(above, os.W_OK) else "is read-only for you"
        if why:
            raise presets.PresetError(f"{path} cannot be written: {above} {why}; name another place")


def save_preset(preset: presets.Preset, path: Path, force: bool) -> None:
    """Save a preset, as JSON or, by its ending, for plug-ins: .lv2, .state.

    A system error becomes a PresetError, so that the exit code is 5.
    """
    try:
        if kind := other_programs.SAVED_AS.get(path.suffix):
            other_programs.write(preset, kind, path, force=force)
        else:
            presets.save(preset, path, force=force)
    except FileExistsError:
        raise
    except OSError as error:
        why = error.strerror or error
        raise presets.PresetError(f"{path} cannot be written: {why}; {advice(error)}") from None


def save_last(
    made: presets.Preset, autosave: Autosave, console: Console, path: Path | None = None, force: bool = False
) -> None:
    """Keep what played in the end, in a file or as the preset "last", and say so."""
    try:
        save_preset(made, path or presets.folder() / "last.json", force=force or not path)
    except presets.PresetError as error:
        if path:
            raise
        if not autosave.failed:  # else it has been reported
            console(f"warning: {error}")
    else:
        console(f"saved {path or 'preset last'}; play it again: afx-live --preset {path or 'last'}")


def settings_data(settings: ChainSettings) -> dict[str, Any]:
    """Write settings as plain data, units in the key names."""
    chain = [
        {"effect": s.effect, "on": s.enabled, **{k: round(v, 4) for k, v in s.values.items()}} for s in settings.effects
    ]
    gains = {name: round(getattr(settings, name), 2) for name in GAIN_NAMES}
    return {**gains, "chain": chain}
