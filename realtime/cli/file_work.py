"""Working on files with the page, as `afx-live studio` does."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...matching.model import MatchModel
from ..audio.file_engine import FileEngine
from ..session.autosave import Autosave
from ..session.file_session import FileSession
from ..session.state import SessionState
from ..view.console import Console
from ..web.file_desk import FileDesk
from ..web.page import Page
from .playing import Outcome, show_desk
from .stopping import stop_signals

LOOK_S = 0.5


@dataclass(frozen=True)
class Files:
    """What to work on at first: a state, and a recording with its name; `may_leave` lets the page go live."""

    model: MatchModel | None
    state: SessionState
    name: str
    recording: tuple[Path, str] | None = None
    may_leave: bool = False
    notice: str = ""


def work_on_files(files: Files, console: Console, page: Page) -> Outcome:
    """Let the page work on recordings until asked to stop, or until it goes live, if it may."""
    wish: dict[str, Any] = {}
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())

        def go_live(options: Mapping[str, Any]) -> None:
            wish.update(next="live", options=_checked(options))
            stop.set()

        engine = FileEngine()
        session = FileSession(engine, files.model, files.state)
        autosave = stack.enter_context(Autosave(lambda: session.preset(resumable=True)))
        session.start()
        stack.callback(session.close)
        leave = go_live if files.may_leave else None
        desk = FileDesk(session, engine, page.folder, leave, console.messages, files.notice)
        if files.recording:
            desk.work_on(*files.recording)
        session.matcher.later("the engine", engine.warm_up)
        show_desk(page, desk, stack)
        while not stop.wait(LOOK_S):
            for part in (session.matcher.thread.revive, autosave.revive, console.revive, page.revive):
                part()
        return Outcome(session.preset(files.name), autosave, session.state, **wish, recording=desk.working_on)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Read the devices that the page has chosen. Raises ValueError."""
    found: dict[str, Any] = {}
    for name, key in (("input", "input_device"), ("output", "output_device"), ("block_size", "block_size")):
        try:
            number = int(options[name])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{name}: {str(options.get(name))[:40]!r} is not a number") from None
        if not 0 <= number <= 8192:
            raise ValueError(f"{name}: {number} is not in 0..8192")
        found[key] = number
    return found
