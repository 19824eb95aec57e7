"""What a sound is made from: references with a model, or a preset."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ... import effects, presets
from ...dsp import library
from ...dsp.sources import FOLDER, first_start, folder
from ...files.pipe import is_stream
from ...files.reader import shown
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
    clips = [_read(path, loaded) for path in references if loaded]
    for clip in clips:
        if clip.note:
            printer.note(f"{shown(clip.path)}: {clip.note}")
    return Sources(loaded, clips, found)


def _read(path: Path, model: MatchModel) -> ReferenceClip:
    """Read a reference; one that comes through a pipe is kept in a file meanwhile, for it is heard more than once."""
    if not is_stream(path):
        return read_reference(path, model)
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "reference"
        with open(path, "rb") as pipe, open(kept, "wb") as file:
            shutil.copyfileobj(pipe, file)
        return replace(read_reference(kept, model), path=path)
