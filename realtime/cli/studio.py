"""`afx-live studio`: the page on files, without a sound card: match, listen before and after, save."""

from collections.abc import Sequence
from pathlib import Path

from ... import presets
from ...files.reader import AudioReader
from ..view.console import Console, ConsoleLogHandler
from ..web import HOST, PORT
from .errors import ExitCode
from .file_work import Files, work_on_files
from .page import PageOptions, open_page
from .printer import Printer
from .saving import save_last, settings_data
from .sources import neutral
from .wishes import NO_WISHES, Wishes


def studio(
    recording: Path | None = None,
    reference: Sequence[Path] = (),
    demo: str | None = None,
    wishes: Wishes = NO_WISHES,
    model: Path | None = None,
    port: int = PORT,
    web_host: str = HOST,
    no_browser: bool = False,
    printer: Printer | None = None,
) -> int:
    """Serve the page until Ctrl-C or SIGTERM; returns 0. Call it from the main thread: it handles these signals.

    `demo` is a bundled clip to begin with, matched to a bundled reference. Raises UsageError, AudioFileError,
    ClipError, ModelError or PortError.
    """
    printer = printer or Printer()
    if demo:
        recording, reference = presets.clip(demo), [*reference] or [presets.clip(presets.DEMO_REFERENCES[demo])]
    if recording:
        AudioReader(recording).close()  # what cannot be read is told before a page opens
    matcher, state = neutral(model, wishes, printer, references=reference)
    files = Files(matcher, state, "last", (recording, recording.name) if recording else None)
    with Console(printer.quiet) as console, ConsoleLogHandler(console, printer.verbose):
        with open_page(PageOptions(port, web_host, not no_browser), console) as page:
            assert page is not None
            outcome = work_on_files(files, console, page)
        save_last(outcome.preset, outcome.autosave, console)
    if printer.as_json:
        printer.result(settings_data(outcome.preset.settings), "")
    return ExitCode.DONE
