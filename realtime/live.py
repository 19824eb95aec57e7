"""`afx-live run`: open the devices, match, listen for OSC, say how it goes, end with a fade."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic

from .. import presets
from ..effects import Settings
from .cli import UsageError, result
from .commands import check_new, plain, sources
from .commands import devices as list_devices
from .osc import OscServer
from .report import sentences
from .session import Session
from .supervisor import LiveEngine


def run(a: argparse.Namespace) -> int:
    """Play until Ctrl-C or SIGTERM; 0 is the normal end."""
    if a.list_devices:
        return list_devices(a)
    check_new(a.save_preset, a)
    say = _Voice(a)
    model, references, preset = sources(a, always_model=True)
    for r in references:
        say(f"Reference  {r.path.name}  {r.seconds:.1f} s  {r.lufs:.1f} LUFS")
    if preset:
        say(f"Preset     {preset.name}")
    settings = preset.settings if preset else Settings.default(model.chain.order if model else ())
    amount = a.amount if a.amount is not None else (preset.amount if preset else 1.0)
    clips = [*a.clips, *(r.path.parent for r in references)]
    with ExitStack() as stack:
        stop = stack.enter_context(_stopping())
        engine = stack.enter_context(
            LiveEngine(
                settings.at_amount(amount),
                input_device=a.input_device, output_device=a.output_device,
                input_channels=a.input_channels, output_channels=a.output_channels,
                sample_rate=a.samplerate, block_size=a.blocksize, latency=a.latency,
                on_event=lambda kind, text: say(f"{kind}: {text}" if kind != "running" else text),
            )
        )  # fmt: skip
        session = Session(
            engine, model, settings, references, amount, preset.target_lufs if preset else None, clips,
            preset.name if preset else "",
        )  # fmt: skip
        if a.osc:
            server = stack.enter_context(_server(session, a))
            say(f"OSC        udp {server.address[0]}:{server.address[1]}   addresses: afx-live osc")
        session.start()
        stack.callback(session.close)
        _watch(engine, session, say, stop, a.freeze)
        made = session.preset(a.save_preset.stem if a.save_preset else "last")
    presets.save(made, a.save_preset or presets.folder() / "last.json", force=a.force or not a.save_preset)
    say(f"saved {a.save_preset or 'preset last'}; play it again: afx-live --preset {a.save_preset or 'last'}")
    if a.json:
        result(a, plain(made.settings), "")
    return 0


def _server(session: Session, a: argparse.Namespace) -> OscServer:
    try:
        return OscServer(session, *a.osc, allow=a.osc_allow)
    except ValueError as error:  # no such host, or one that the network reaches and nobody named in --osc-allow
        raise UsageError(f"{error}: --osc HOST:PORT --osc-allow IP") from None


class _Voice:
    """Say things on standard error; on a terminal a status line stays at the bottom."""

    def __init__(self, a: argparse.Namespace) -> None:
        self._quiet, self._line = a.quiet, ""
        self._live = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        if not self._quiet:
            print(f"\r\x1b[K{text}" if self._live else text, file=sys.stderr, flush=True)

    def status(self, text: str) -> None:
        if self._live and not self._quiet:
            print(f"\r\x1b[K{text[:110]}", end="", file=sys.stderr, flush=True)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, so that the end is a fade and not a click."""
    stop = threading.Event()
    old = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _watch(engine: LiveEngine, session: Session, say: _Voice, stop: threading.Event, freeze: bool) -> None:
    """Tell what is chosen and how it goes, until asked to stop."""
    told, seen, drops, first, error = [], [], 0, monotonic(), ""
    while not stop.wait(0.25):
        m = engine.meters()
        if session.chosen:
            *chain, level = sentences(session.playing)
            if chain != told and chain == seen:  # told when it rests, and not for the level alone
                say("\n           ".join((f"Chain      {chain[0]}", *chain[1:], level)))
                told = chain
            seen = chain
        if freeze and session.prediction is not None:
            session.apply({"/afx/freeze": 1.0})
            freeze = False
        if session.error != error:
            error = session.error
            if error:
                say(f"warning: {error}")
        now = m["input_overflows"] + m["output_underflows"] + m["late"]
        if now >= drops + 3 and monotonic() - first > 3.0:
            say(f"{now} drop-outs so far (load {100 * m['load_max']:.0f} %); a larger --blocksize is safer")
            drops = now
        say.status(
            f"in {m['in_lufs']:6.1f} LUFS  out {m['out_lufs']:6.1f} LUFS  reduction "
            f"{min(m['gain_reduction_db']):5.1f} dB  load {100 * m['load']:3.0f} %  drop-outs {now}"
        )
