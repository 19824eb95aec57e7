"""Playing live, as `afx-live run` does: engine, session, and all that controls and shows them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import presets
from ...matching.model import MatchModel
from ..audio.live_engine import LiveEngine
from ..audio.options import StreamOptions
from ..osc import HOST, PORT
from ..osc.server import OscServer
from ..session.autosave import Autosave
from ..session.session import Session
from ..session.state import SessionState
from ..view.child import View
from ..view.console import Console
from ..view.keyboard import HELP, Keyboard
from ..view.monitor import PERIOD_S, SessionMonitor
from ..view.status_file import Publisher
from ..web.desk import SessionDesk
from ..web.live_desk import LiveDesk
from ..web.page import Page
from .errors import UsageError
from .stopping import stop_signals

Address = tuple[str, int]


@dataclass(frozen=True)
class OscOptions:
    """Where OSC is received (host, port; None for nowhere), from which other machines, where feedback goes.

    `range` divides integers that are sent to addresses of 0 to 1.
    """

    address: Address | None = (HOST, PORT)
    allow: Sequence[str] = ()
    feedback: Sequence[Address] = ()
    range: float = 1.0


@dataclass(frozen=True)
class Live:
    """All that playing needs: what to play at first and where, who may control it, what to show.

    `env` is for the processes that play; `name` is that of the preset which is made in the end.
    """

    model: MatchModel | None
    state: SessionState
    options: StreamOptions
    osc: OscOptions
    clip_folders: list[Path]
    freeze: bool
    view: bool
    name: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How it ended: what played, as a preset and as a state, and what the page wants next, if anything.

    `next` is "" for the end, "files" for work on files, "live" for playing with `options`. `recording` is the one
    that was worked on, and its name.
    """

    preset: presets.Preset
    autosave: Autosave
    state: SessionState
    next: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    recording: tuple[Path, str] | None = None


def play_live(live: Live, console: Console, page: Page | None = None, may_leave: bool = False) -> Outcome:
    """Play until asked to stop, or until the page leaves for files, if it may."""
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        engine = stack.enter_context(
            LiveEngine(
                live.state.playing,
                live.options,
                env=live.env,
                standby=True,
                on_event=lambda kind, text: console(f"{kind}: {text}" if kind != "running" else text),
            )
        )
        session = Session(engine, live.model, live.state, live.clip_folders)
        autosave = stack.enter_context(Autosave(lambda: session.preset(resumable=True)))
        restartable = {
            "the matching": session.matcher.thread.revive,
            "the watchdog": engine.revive,
            "the autosave": autosave.revive,
            "the console": console.revive,
        }
        heard_at = ""
        if live.osc.address:
            server = stack.enter_context(_server(session, live.osc, *live.osc.address))
            restartable["OSC"] = server.thread.revive
            heard_at = f"{server.address[0]}:{server.address[1]}"
            console(f"OSC        udp {heard_at}   addresses: afx-live osc")
        session.start()
        stack.callback(session.close)
        keys = stack.enter_context(Keyboard(session, stop.set, console))
        restartable["the keyboard"] = keys.revive
        if keys.listening:
            console("Keys       " + "   ".join(f"{key} {what}" for key, what in HELP))
        shown_keys = HELP if keys.listening else ()
        status = stack.enter_context(Publisher(engine, session, console.messages, heard_at, shown_keys))
        restartable["the status file"] = status.revive
        next = [""]
        if page:

            def leave() -> None:
                next[:] = ["files"]
                stop.set()

            desk = LiveDesk(session, page.folder, lambda: status.latest, leave if may_leave else None)
            show_desk(page, desk, stack)
            restartable["the page"] = page.revive
        if live.view:
            stack.enter_context(View(engine.folder, console))
        monitor = SessionMonitor(engine, session, console, restartable, live.freeze)
        while not stop.wait(PERIOD_S):
            monitor.check()
        engine.fade_out()  # first of all: what ends after it takes its time
        return Outcome(session.preset(live.name), autosave, session.state, next[0])


def show_desk(page: Page, desk: SessionDesk, stack: ExitStack) -> None:
    """Have the page be about a desk until the end of a context."""
    page.show(desk)
    stack.callback(desk.close)
    stack.callback(page.show, None)


def _server(session: Session[LiveEngine], osc: OscOptions, host: str, port: int) -> OscServer:
    try:
        return OscServer(session, host, port, osc.allow, osc.feedback, osc.range)
    except ValueError as error:  # no such host, or one that the network reaches and nobody named in --osc-allow
        raise UsageError(f"{error}: --osc HOST:PORT --osc-allow IP --osc-feedback HOST:PORT") from None
