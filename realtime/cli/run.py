"""`afx-live run`: open the devices, match, obey OSC and keys, report, and end with a fade."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ... import presets
from ...chain import ChainSettings
from ...matching.model import MatchModel
from ...matching.reference import read_reference as read_reference
from ..audio.live_engine import LiveEngine
from ..audio.options import StreamOptions
from ..osc.server import OscServer
from ..session.autosave import Autosave, saved
from ..session.session import Session
from ..session.state import SessionState
from ..view.child import View
from ..view.console import Console, ConsoleLogHandler
from ..view.keyboard import HELP, Keyboard
from ..view.monitor import PERIOD_S, SessionMonitor
from ..view.status_file import Publisher
from ..view.terminal import supports_view
from .devices import devices
from .errors import ExitCode, UsageError
from .files import check_preset_path, save_preset, settings_data
from .printer import Printer
from .sources import announce_compiling, load_model, load_sources

Address = tuple[str, int]


@dataclass(frozen=True)
class OscOptions:
    """Where OSC is received (host, port; None for nowhere), from which other machines, where feedback goes.

    `range` divides integers that are sent to addresses of 0 to 1.
    """

    address: Address | None = ("127.0.0.1", 9123)
    allow: Sequence[str] = ()
    feedback: Sequence[Address] = ()
    range: float = 1.0


def run(
    reference: Sequence[Path] = (),
    preset: str | None = None,
    amount: float | None = None,
    model: Path | None = None,
    freeze: bool = False,
    resume: bool = False,
    options: StreamOptions | None = None,
    list_devices: bool = False,
    osc: Address | None = ("127.0.0.1", 9123),
    osc_allow: Sequence[str] = (),
    osc_feedback: Sequence[Address] = (),
    osc_range: float = 1.0,
    clips: Sequence[Path] = (),
    no_screen: bool = False,
    save_preset: Path | None = None,
    force: bool = False,
    printer: Printer | None = None,
) -> int:
    """Play until Ctrl-C, SIGTERM, SIGHUP or q; returns 0. Call it from the main thread: it handles these signals.

    The parameters are the command's flags: see afx-live run --help. Raises UsageError, DeviceError, ClipError,
    PresetError, ModelError or PortError.
    """
    printer = printer or Printer()
    if list_devices:
        return devices(printer)
    check_preset_path(save_preset, force)
    with Console(printer.quiet) as console, ConsoleLogHandler(console, printer.verbose):
        if resume:
            if reference or preset:
                raise UsageError("--resume continues with what was played last: leave out --reference and --preset")
            plan = _resumed(model, amount, printer, console)
        else:
            plan = _planned(reference, preset, model, amount, printer)
        _announce(plan, console)
        live = _Live(
            plan,
            options or StreamOptions(),
            OscOptions(osc, osc_allow, osc_feedback, osc_range),
            [*clips, *(r.path.parent for r in plan.state.references)],
            freeze,
            shows_view(printer, no_screen),
            save_preset.stem if save_preset else "last",
        )
        made, autosave = _play(live, console)
        _save(made, autosave, save_preset, force, console)
    if printer.as_json:
        printer.result(settings_data(made.settings), "")
    return ExitCode.DONE


@dataclass(frozen=True)
class _Plan:
    """What to play at first."""

    model: MatchModel | None
    state: SessionState


@dataclass(frozen=True)
class _Live:
    """All that playing needs: the plan, where to play it, who may control it, and what to show."""

    plan: _Plan
    options: StreamOptions
    osc: OscOptions
    clip_folders: list[Path]
    freeze: bool
    view: bool
    name: str


def shows_view(printer: Printer, no_screen: bool = False) -> bool:
    """Tell whether to show the view: on a terminal that can, unless plain lines or JSON were asked for."""
    return not (printer.quiet or printer.as_json or no_screen) and supports_view(sys.stderr)


# --- what to play ---------------------------------------------------------------------------------


def _planned(
    reference: Sequence[Path], preset: str | None, model: Path | None, amount: float | None, printer: Printer
) -> _Plan:
    """Load what was asked for."""
    sources = load_sources(reference, preset, model, printer, always_model=True)
    if (chosen := sources.preset) is not None:
        share = chosen.amount if amount is None else amount
        state = SessionState(chosen.settings, share, chosen.target_lufs, preset_name=chosen.name)
        return _Plan(sources.model, state)
    settings = ChainSettings.default(sources.model.chain.order if sources.model else ())
    state = SessionState(settings, 1.0 if amount is None else amount, references=tuple(sources.references))
    return _Plan(sources.model, state)


def _resumed(model: Path | None, amount: float | None, printer: Printer, console: Console) -> _Plan:
    """Continue from the autosave; with its settings alone if the references are gone."""
    announce_compiling(printer)
    preset, files, by_hand = saved()
    matcher = load_model(model)
    there = [path for path in files if path.is_file()]
    for path in files:
        if path not in there:
            console(f"warning: {path} is missing" + ("" if there else "; playing the settings it led to"))
    settings, share = preset.settings, preset.amount if amount is None else amount
    if not there:
        state = SessionState(settings, share, preset.target_lufs, preset_name=preset.name)
        return _Plan(matcher, state.with_by_hand(by_hand))
    if [s.effect for s in settings.effects] != list(matcher.chain.order):
        settings = ChainSettings.default(matcher.chain.order)
    state = SessionState(settings, share, references=tuple(read_reference(path, matcher) for path in there))
    return _Plan(matcher, state.with_by_hand(by_hand))


def _announce(plan: _Plan, console: Console) -> None:
    for r in plan.state.references:
        console(f"Reference  {r.path.name}  {r.seconds:.1f} s  {r.lufs:.1f} LUFS")
    if plan.state.preset_name:
        console(f"Preset     {plan.state.preset_name}")


def _save(made: presets.Preset, autosave: Autosave, path: Path | None, force: bool, console: Console) -> None:
    """Keep what played in the end."""
    try:
        save_preset(made, path or presets.folder() / "last.json", force=force or not path)
    except presets.PresetError as error:
        if path:
            raise
        if not autosave.failed:  # else it has been reported
            console(f"warning: {error}")
    else:
        console(f"saved {path or 'preset last'}; play it again: afx-live --preset {path or 'last'}")


# --- playing --------------------------------------------------------------------------------------


def _play(live: _Live, console: Console) -> tuple[presets.Preset, Autosave]:
    """Play until asked to stop; returns what played in the end."""
    plan = live.plan
    with ExitStack() as stack:
        stop = stack.enter_context(_stopping())
        engine = stack.enter_context(
            LiveEngine(
                plan.state.playing,
                live.options,
                standby=True,
                on_event=lambda kind, text: console(f"{kind}: {text}" if kind != "running" else text),
            )
        )
        session = Session(engine, plan.model, plan.state, live.clip_folders)
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
        if live.view:
            stack.enter_context(View(engine.folder, console))
        monitor = SessionMonitor(engine, session, console, restartable, live.freeze)
        while not stop.wait(PERIOD_S):
            monitor.check()
        engine.fade_out()  # first of all: what ends after it takes its time
        return session.preset(live.name), autosave


def _server(session: Session, osc: OscOptions, host: str, port: int) -> OscServer:
    try:
        return OscServer(session, host, port, osc.allow, osc.feedback, osc.range)
    except ValueError as error:  # no such host, or one that the network reaches and nobody named in --osc-allow
        raise UsageError(f"{error}: --osc HOST:PORT --osc-allow IP --osc-feedback HOST:PORT") from None


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into an event, so that the end is a fade and not a click."""
    stop = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored: nohup, play on
        numbers.append(signal.SIGHUP)
    old = {s: signal.signal(s, lambda *_: stop.set()) for s in numbers}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
