"""One door to every program: make the files, and put them where they belong."""

from pathlib import Path

from ...files.atomic_write import atomic_write
from ..lv2_writer import PLAYER, write_lv2
from ..plugin_state import to_state
from ..preset import Preset
from . import camilladsp, easyeffects, equalizer_apo, pipewire
from .plan import EXACT, Export, Fidelity, played

TARGETS = {
    "camilladsp": ".yml",
    "easyeffects": ".json",
    "equalizer-apo": ".txt",
    "pipewire": ".conf",
    "lv2": ".lv2",
    "clap": ".state",
}
"""The programs, with the ending of their files. The last two are for plug-ins that `afx-export plugin` makes."""
SAVED_AS = {".lv2": "lv2", ".state": "clap"}
"""Endings that say by themselves what a preset is saved as."""
RATES = (8000.0, 384_000.0)


class ExportError(ValueError):
    """A preset that cannot be written for a program."""

    exit_code = 5


def export(preset: Preset, target: str, out: Path, sample_rate: float = 48000.0, pipeline: str = "output") -> Export:
    """Make the files of a preset for a program other than LV2 hosts; nothing is written yet.

    The sample rate, in Hz, is that of a reverb's impulse responses. Raises ExportError.
    """
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise ExportError(f"a sample rate of {sample_rate:g} Hz is not in {RATES[0]:g} to {RATES[1]:g} Hz")
    settings, name = preset.settings.scaled(preset.amount), out.stem
    if target == "camilladsp":
        return camilladsp.write(settings, name, sample_rate)
    if target == "easyeffects":
        return easyeffects.write(settings, name, sample_rate, pipeline)
    if target == "equalizer-apo":
        return equalizer_apo.write(settings, name, sample_rate)
    if target == "pipewire":
        return pipewire.write(settings, name, sample_rate, str(out.parent.resolve()))
    if target == "clap":
        lines = [Fidelity(each.effect, EXACT) for each in played(settings)]
        return Export({out.name: to_state(preset.settings, preset.amount)}, lines)
    raise ExportError(f"{target!r} is not one of {', '.join(TARGETS)}")


def write(
    preset: Preset,
    target: str,
    out: Path | None = None,
    *,
    sample_rate: float = 48000.0,
    pipeline: str = "output",
    plugin: str = PLAYER,
    install: bool = False,
    force: bool = False,
    source: Path | None = None,
) -> tuple[list[Path], list[Fidelity]]:
    """Write a preset for a program; returns the files, the preset's first, and what became of each effect.

    Without `out` it is NAME with the program's ending, here. `install` puts it where EasyEffects looks. source: the
    preset's own file, which is never written over.
    Raises ExportError, FileExistsError without `force`, OSError.
    """
    if install and target != "easyeffects":
        raise ExportError("install is for easyeffects alone; name a file instead")
    out = out or Path(f"{preset.name}{TARGETS[target]}")
    if not out.suffix:
        out = out.with_suffix(TARGETS[target])
    if target == "lv2":
        if out.exists() and not force:
            raise _exists(out)
        write_lv2(preset.name, preset.settings, preset.amount, out, plugin)
        lines = [Fidelity(each.effect, EXACT) for each in played(preset.settings)]
        return [out], lines
    made = export(preset, target, out, sample_rate, pipeline)
    there: dict[Path, bytes] = {out.parent / file: data for file, data in made.files.items()}
    if install:
        homes = easyeffects.places(out.stem, pipeline)
        there = {place: data for file, data in made.files.items() for place in homes[file]}
    else:
        first, *_ = there
        there = {(out if path == first else path): data for path, data in there.items()}
    for path in there:
        if source is not None and path.exists() and path.samefile(source):
            raise FileExistsError(f"{path} is the preset itself, and would be lost; choose another name with -o")
        if path.exists() and not force:
            raise _exists(path)
    for path, data in there.items():
        if install:
            path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
    return list(there), made.lines


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} exists; add --force to replace it, or choose another name")
