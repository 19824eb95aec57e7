"""Files that commands write: refused if they exist, unless --force was given; presets among them."""

from pathlib import Path
from typing import Any

from ... import presets
from ...chain import ChainSettings
from .errors import UsageError


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UsageError for a file that exists, unless `force`."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists; add --force to replace it, or choose another name")


def check_preset_path(path: Path | None, force: bool) -> None:
    """Refuse a preset file that exists or has an invalid name, before any work is done for it."""
    if path is not None:
        refuse_existing(path, force)
        presets.Preset(path.stem, ChainSettings())


def save_preset(preset: presets.Preset, path: Path, force: bool) -> None:
    """Save a preset. A system error becomes a PresetError, so that the exit code is 5."""
    try:
        presets.save(preset, path, force=force)
    except FileExistsError:
        raise
    except OSError as error:
        why = error.strerror or error
        raise presets.PresetError(f"{path} cannot be written: {why}; free some room or name another place") from None


def settings_data(settings: ChainSettings) -> dict[str, Any]:
    """Write settings as plain data, units in the key names."""
    chain = [
        {"effect": s.effect, "on": s.enabled, **{k: round(v, 4) for k, v in s.values.items()}} for s in settings.effects
    ]
    gains = {"input_gain_db": round(settings.input_gain_db, 2), "output_gain_db": round(settings.output_gain_db, 2)}
    return {**gains, "chain": chain}
