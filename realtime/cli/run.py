"""`afx-live run`: open the devices, match, listen for OSC and keys, say how it goes, end with a fade."""

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ... import presets
from ...chain import ChainSettings
from ...matching.model import MatchModel
from ..audio.live_engine import LiveEngine
from ..audio.render import reference
from ..osc.server import OscServer
from ..session.autosave import Autosave, saved
from ..session.session import Session
from ..session.state import SessionState
from ..view.child import View, wanted
from ..view.console import Console, ConsoleLogHandler
from ..view.keyboard import HELP, Keyboard
from ..view.monitor import PERIOD_S, SessionMonitor
from ..view.status_file import Publisher
from .commands import check_new, keep, plain, predictor, prepare, sources
from .commands import devices as list_devices
from .main import UsageError, result


def run(a: argparse.Namespace) -> int:
    """Play until Ctrl-C, SIGTERM, SIGHUP or q; 0 is the normal end."""
    if a.list_devices:
        return list_devices(a)
    check_new(a.save_preset, a)
    with Console(a.quiet) as say, ConsoleLogHandler(say, a.verbose):
        plan = _plan(a, say)
        made, autosave = _play(a, plan, say)
        try:
            keep(made, a.save_preset or presets.folder() / "last.json", force=a.force or not a.save_preset)
        except presets.PresetError as error:
            if a.save_preset:
                raise
            if not autosave.failed:  # else it has been said
                say(f"warning: {error}")
        else:
            say(f"saved {a.save_preset or 'preset last'}; play it again: afx-live --preset {a.save_preset or 'last'}")
    if a.json:
        result(a, plain(made.settings), "")
    return 0


@dataclass(frozen=True)
class _Plan:
    """What is to be played at first."""

    model: MatchModel | None
    state: SessionState


def _plan(a: argparse.Namespace, say: Console) -> _Plan:
    """Load what was asked for, and say what that is."""
    if a.resume:
        plan = _resumed(a, say)
    else:
        model, references, preset = sources(a, always_model=True)
        amount = a.amount if a.amount is not None else (preset.amount if preset else 1.0)
        settings = preset.settings if preset else ChainSettings.default(model.chain.order if model else ())
        target, name = (preset.target_lufs, preset.name) if preset else (None, "")
        plan = _Plan(model, SessionState(settings, amount, target, tuple(references), name))
    for r in plan.state.references:
        say(f"Reference  {r.path.name}  {r.seconds:.1f} s  {r.lufs:.1f} LUFS")
    if plan.state.preset_name:
        say(f"Preset     {plan.state.preset_name}")
    return plan


def _resumed(a: argparse.Namespace, say: Console) -> _Plan:
    """Go on from the autosave; with its settings alone if the references are not there any more."""
    if a.reference or a.preset:
        raise UsageError("--resume plays on from what was played last: leave out --reference and --preset")
    prepare(a)
    preset, files, by_hand = saved()
    model = predictor(a)
    there = [path for path in files if path.is_file()]
    for path in files:
        if path not in there:
            say(f"warning: {path} is not there any more" + ("" if there else "; the settings it led to are played"))
    settings, amount = preset.settings, preset.amount if a.amount is None else a.amount
    if not there:
        state = SessionState(settings, amount, preset.target_lufs, preset_name=preset.name)
        return _Plan(model, state.with_by_hand(by_hand))
    if [s.effect for s in settings.effects] != list(model.chain.order):
        settings = ChainSettings.default(model.chain.order)
    state = SessionState(settings, amount, references=tuple(reference(path, model) for path in there))
    return _Plan(model, state.with_by_hand(by_hand))


def _play(a: argparse.Namespace, plan: _Plan, say: Console) -> tuple[presets.Preset, Autosave]:
    """Play until asked to stop; returns what played in the end."""
    with ExitStack() as stack:
        stop = stack.enter_context(_stopping())
        engine = stack.enter_context(
            LiveEngine(
                plan.state.playing,
                input_device=a.input_device,
                output_device=a.output_device,
                input_channels=a.input_channels,
                output_channels=a.output_channels,
                sample_rate=a.samplerate,
                block_size=a.blocksize,
                latency=a.latency,
                standby=True,
                on_event=lambda kind, text: say(f"{kind}: {text}" if kind != "running" else text),
            )
        )
        clips: list[Path] = [*a.clips, *(r.path.parent for r in plan.state.references)]
        session = Session(engine, plan.model, plan.state, clips)
        autosave = stack.enter_context(Autosave(lambda: session.preset(resumable=True)))
        helpers = {
            "the matching": session.matcher.thread.revive,
            "the watchdog": engine.revive,
            "the autosave": autosave.revive,
            "the voice": say.revive,
        }
        osc = ""
        if a.osc:
            server = stack.enter_context(_server(session, a))
            helpers["OSC"] = server.revive
            osc = f"{server.address[0]}:{server.address[1]}"
            say(f"OSC        udp {osc}   addresses: afx-live osc")
        session.start()
        stack.callback(session.close)
        keys = stack.enter_context(Keyboard(session, stop.set, say))
        helpers["the keyboard"] = keys.revive
        if keys.listening:
            say("Keys       " + "   ".join(f"{key} {what}" for key, what in HELP))
        state = stack.enter_context(Publisher(engine, session, say.messages, osc, HELP if keys.listening else ()))
        helpers["the state file"] = state.revive
        if wanted(a):
            stack.enter_context(View(engine.folder, say))
        lookout = SessionMonitor(engine, session, say, helpers, a.freeze)
        while not stop.wait(PERIOD_S):
            lookout.look()
        engine.fade_out()  # first of all: what ends after it takes its time
        return session.preset(a.save_preset.stem if a.save_preset else "last"), autosave


def _server(session: Session, a: argparse.Namespace) -> OscServer:
    try:
        host, port = a.osc
        return OscServer(session, host, port, a.osc_allow, a.osc_feedback, a.osc_range)
    except ValueError as error:  # no such host, or one that the network reaches and nobody named in --osc-allow
        raise UsageError(f"{error}: --osc HOST:PORT --osc-allow IP --osc-feedback HOST:PORT") from None


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into an event, so that the end is a fade and not a click."""
    stop = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup: it is to play on
        numbers.append(signal.SIGHUP)
    old = {s: signal.signal(s, lambda *_: stop.set()) for s in numbers}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
