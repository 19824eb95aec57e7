"""What a sound is made from: references with a model, or a preset."""

import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from ... import effects, presets
from ...chain import ChainSettings
from ...dsp import library
from ...dsp.sources import FOLDER, first_start, folder
from ...files.pipe import is_stream
from ...files.streams import shown
from ...matching import ClipError
from ...matching.choices import NO_CHOICES, Choices
from ...matching.model import MatchModel
from ...matching.reference import ReferenceClip, read_reference
from .. import audio
from ..session.places import places_named
from ..session.state import SessionState
from .errors import UsageError
from .printer import Printer
from .wishes import NO_WISHES, Wishes


@dataclass(frozen=True)
class Sources:
    """References with the model that matches them and what was asked of it, or a preset (with a model, if wanted).

    With both, the preset is what plays at first, and what is locked stays so.
    """

    model: MatchModel | None
    references: list[ReferenceClip]
    preset: presets.Preset | None
    choices: Choices = NO_CHOICES

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked of the matching, as a preset's provenance says it."""
        c = self.choices
        return presets.choices_data(c.boldness, c.only or (), c.without, c.locked)


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
    references: Sequence[Path],
    preset: str | None,
    model: Path | None,
    printer: Printer,
    always_model: bool = False,
    wishes: Wishes = NO_WISHES,
) -> Sources:
    """Load references or a preset, and both only to lock what the preset has.

    `always_model` loads a model with a preset, too: a reference may be asked for later. Raises UsageError, ClipError,
    PresetError or ModelError.
    """
    if not references and not preset:
        raise UsageError("give --reference FILE (one or more) or --preset NAME")
    if references and preset and not wishes.lock:
        raise UsageError("give --reference or --preset; both only with --lock, which says what of the preset stays")
    if wishes and not references and not always_model:
        raise UsageError("--boldness, --only, --without and --lock are for matching: add --reference FILE")
    announce_compiling(printer)
    found = presets.load(preset) if preset else None
    loaded = load_model(model) if references or always_model else None
    playing = found.settings.scaled(found.amount) if found else None
    choices = wishes.choices(loaded.chain.order, playing) if loaded else NO_CHOICES
    clips = [_read(path, loaded) for path in references if loaded]
    for clip in clips:
        if clip.note:
            printer.note(f"{shown(clip.path)}: {clip.note}")
    return Sources(loaded, clips, found, choices)


def _read(path: Path, model: MatchModel) -> ReferenceClip:
    """Read a reference; one that comes through a pipe is kept in a file meanwhile, for it is heard more than once."""
    if not is_stream(path):
        return read_reference(path, model)
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "reference"
        with _opened(path) as pipe, open(kept, "wb") as file:
            shutil.copyfileobj(pipe, file)
        try:
            return replace(read_reference(kept, model), path=path)
        except ClipError as error:
            name = "standard input" if str(path) == "-" else shown(path)
            raise ClipError(str(error).replace(str(kept), name)) from None


def _opened(path: Path) -> AbstractContextManager[IO[bytes]]:
    if str(path) != "-":
        return open(path, "rb")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("--reference -: standard input is closed or a terminal; pipe a sound file into it")
    return nullcontext(sys.stdin.buffer)


def neutral(
    model: Path | None,
    wishes: Wishes,
    printer: Printer,
    amount: float | None = None,
    references: Sequence[Path] = (),
) -> tuple[MatchModel, SessionState]:
    """Begin with a chain that does nothing yet: what it is to sound like is chosen on the page, or here."""
    announce_compiling(printer)
    loaded = load_model(model)
    settings = ChainSettings.default(loaded.chain.order)
    state = asked(SessionState(settings, 1.0 if amount is None else amount), wishes, loaded.chain.order)
    return loaded, replace(state, references=tuple(_read(path, loaded) for path in references))


def asked(state: SessionState, wishes: Wishes, order: Sequence[str]) -> SessionState:
    """Begin with what the user asks of the matching. Raises UsageError."""
    playing = state.settings if state.chosen or state.references or state.locked else None
    choices = wishes.choices(order, playing)
    said = presets.choices_data(wishes.boldness, wishes.only, wishes.without)
    locked = {place for text in choices.locked for place in places_named(state.settings, text)}
    return replace(state.with_choices(said), locked=state.locked | locked)
