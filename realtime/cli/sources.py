"""What a sound is made from: references with a model, or a preset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import effects, presets
from ...dsp import library
from ...dsp.sources import FOLDER, first_start, folder
from ...matching.model import MatchModel
from ...matching.reference import ReferenceClip
from ...matching.reference import read_reference as read_reference
from .. import audio
from .errors import UsageError
from .printer import Printer


@dataclass(frozen=True)
class Sources:
    """References with the model that matches them, or a preset (with a model, if one was asked for)."""

    model: MatchModel | None
    references: list[ReferenceClip]
    preset: presets.Preset | None


def load_model(folder: Path | None) -> MatchModel:
    """Load the model in a folder, or the shipped one. Raises ModelError."""
    return MatchModel(folder or presets.SHIPPED_MODEL)


def announce_compiling(printer: Printer) -> None:
    """Say, once on a machine, why the first sound takes a while; without the package's library, that is."""
    if library.opened():
        return
    compiled = [*Path(effects.__file__).parent.glob("*.py"), Path(audio.__file__).with_name("callback.py")]
    if first_start(compiled):
        once = f"happens once (kept in {FOLDER})"
        always = f"happens at every start: {FOLDER} cannot be written; set XDG_CACHE_HOME to a folder that can"
        printer.note(f"First start: compiling the effects, which takes about 25 s and {once if folder() else always}.")


def load_sources(
    references: Sequence[Path], preset: str | None, model: Path | None, printer: Printer, always_model: bool = False
) -> Sources:
    """Load references or a preset, exactly one of the two; UsageError otherwise, ClipError, PresetError or ModelError.

    `always_model` loads a model with a preset, too: a reference may be asked for later.
    """
    if bool(references) == bool(preset):
        raise UsageError("give --reference FILE (one or more) or --preset NAME")
    announce_compiling(printer)
    found = presets.load(preset) if preset else None
    loaded = load_model(model) if references or always_model else None
    return Sources(loaded, [read_reference(path, loaded) for path in references if loaded], found)
