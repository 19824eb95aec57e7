"""`afx-live`: the command line. It only parses here; numba, onnxruntime and devices load when used."""

import argparse
import errno
import gc
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

EXIT = {"done": 0, "bug": 1, "usage": 2, "device": 3, "clip": 4, "preset": 5, "port": 6}

EPILOG = """\
exit codes: 0 done · 1 a bug · 2 usage · 3 audio device · 4 audio file · 5 preset or model · 6 port
more: afx-live COMMAND --help, with COMMAND one of run, watch, render, demo, devices, doctor, preset, osc"""

EXAMPLES = """\
  afx-live --reference ref.wav                          live: the input sounds like ref.wav
  afx-live render in.wav --reference ref.wav -o out.wav the same for a file
  afx-live demo                                         no sound card needed"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT["usage"], f"{self.prog}: {message}\nTry: {self.prog} --help\n")


class _Version(argparse.Action):
    """Look the version up when it is asked for: reading a package's metadata takes longer than all the rest here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            parser.exit(message=f"afx-live {version('afx-live')}\n")
        except PackageNotFoundError:
            parser.exit(message="afx-live (not installed)\n")


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not in 0..1")
    return value


def _above(low: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above {low:g}")
        return value

    return number


def _frames(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames")
    return int(text)


def _latency(text: str) -> float | str:
    return text if text in ("low", "high") else _above(0.0)(text)


def _device(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _channels(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) not in (1, 2) or min(found, default=0) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one or two channel numbers, counted from 1: 2 or 1,2")
    return found


def _host_port(text: str) -> tuple[str, int] | None:
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT or off")
    return host or "127.0.0.1", int(port)


def _place(text: str) -> tuple[str, int]:
    found = _host_port(text)
    if found is None or ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, like 127.0.0.1:9000")
    return found


def _parsers() -> tuple[_Parser, ...]:
    sound = _Parser(add_help=False, allow_abbrev=False)
    g = sound.add_argument_group("sound")
    g.add_argument(
        "-r",
        "--reference",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="recording to sound like; give several to blend them",
    )
    g.add_argument("--preset", metavar="NAME", help="play this preset (name or file) instead of matching")
    g.add_argument("--amount", type=_amount, default=None, metavar="0..1", help="how far to go (default: 1)")
    g.add_argument("--model", type=Path, metavar="FOLDER", help="model folder (default: the one that is shipped)")

    words = _Parser(add_help=False, allow_abbrev=False)
    words.add_argument("-q", "--quiet", action="store_true", help="only results and errors")
    words.add_argument("-v", "--verbose", action="store_true", help="say more; tracebacks for bugs")
    words.add_argument("--json", action="store_true", help="results as JSON on standard output")
    return sound, words


def _devices(command: argparse.ArgumentParser) -> Any:
    """Add the flags that say on what to play, in a group of their own, which is returned."""
    g = command.add_argument_group("devices")
    g.add_argument("-i", "--input-device", type=_device, metavar="DEV", help="number or part of the name")
    g.add_argument("-o", "--output-device", type=_device, metavar="DEV", help="number or part of the name")
    g.add_argument(
        "-c", "--input-channels", type=_channels, metavar="N[,M]", help="which inputs (one goes to both ears)"
    )
    g.add_argument("--output-channels", type=_channels, metavar="N[,M]", help="which outputs")
    g.add_argument("--samplerate", type=_above(0.0), metavar="HZ", help="default: the device's")
    g.add_argument(
        "--blocksize", type=_frames, default=128, metavar="FRAMES", help="default: 128; 0 leaves it to the host"
    )
    g.add_argument("--latency", type=_latency, default="low", metavar="S", help="low, high, or seconds (default: low)")
    return g


def parser() -> argparse.ArgumentParser:
    """Describe the whole command line."""
    sound, words = _parsers()
    root = _Parser(
        prog="afx-live",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="afx-live [--reference FILE …] [options]\n       afx-live COMMAND …",
        description="Make a live signal sound like a reference recording.\n\n" + EXAMPLES,
        epilog=EPILOG,
    )
    root.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = root.add_subparsers(prog="afx-live", dest="command", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, help: str, *parents: _Parser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, parents=parents, allow_abbrev=False)

    run = add("run", "play live (the default command)", sound, words)
    run.add_argument("--freeze", action="store_true", help="match once, on the first seconds, and keep it")
    run.add_argument("--resume", action="store_true", help="play on from what was played last, however that ended")
    g = _devices(run)
    g.add_argument("-l", "--list-devices", action="store_true", help="list devices and exit")
    g = run.add_argument_group("control")
    g.add_argument(
        "--osc",
        type=_host_port,
        default=("127.0.0.1", 9123),
        metavar="HOST:PORT",
        help="where OSC is heard, or off (default: 127.0.0.1:9123)",
    )
    g.add_argument("--osc-allow", action="append", default=[], metavar="IP", help="peer that may send, for other hosts")
    g.add_argument(
        "--osc-feedback",
        action="append",
        default=[],
        type=_place,
        metavar="HOST:PORT",
        help="where changes and meters are sent, without being asked for; may be given several times",
    )
    g.add_argument(
        "--osc-range",
        type=_above(0.0),
        default=1.0,
        metavar="N",
        help="integers for addresses of 0 to 1 are divided by this: 127 for senders that speak MIDI (default: 1)",
    )
    g.add_argument(
        "--clips",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="folder whose clips OSC may choose as references, beside those of the references given here",
    )
    g.add_argument("--no-screen", action="store_true", help="plain lines instead of the status view")
    g.add_argument("--save-preset", type=Path, metavar="FILE", help="write the settings here at the end")
    g.add_argument("--force", action="store_true", help="replace a file that exists")

    render = add("render", "play files through the engine into files", sound, words)
    render.add_argument("input", nargs="+", type=Path, metavar="IN")
    render.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="file, or folder for several inputs"
    )
    render.add_argument("--save-preset", type=Path, metavar="FILE", help="write the settings as a preset")
    render.add_argument("--force", action="store_true", help="replace files that exist")

    demo = add("demo", "render a bundled clip towards a bundled reference; no sound card needed", words)
    demo.add_argument(
        "--clip", choices=("guitar", "voice", "drums"), default="guitar", help="what is played (default: guitar)"
    )
    demo.add_argument("--folder", type=Path, default=Path("afx-demo"), help="where to write (default: %(default)s)")
    demo.add_argument("--model", type=Path, metavar="FOLDER", help="model folder (default: the one that is shipped)")

    add("watch", "see a running afx-live from a second terminal", words)
    add("devices", "list audio devices", words)

    doctor = add("doctor", "find out which block size is safe here, and what stands in the way", words)
    doctor.add_argument("--loopback", action="store_true", help="measure the round trip through a cable instead")
    doctor.add_argument(
        "--seconds",
        type=_above(0.0),
        default=10.0,
        metavar="S",
        help="to listen for drop-outs, for each of five block sizes (default: 10)",
    )
    _devices(doctor)  # --blocksize is for --loopback alone

    preset = add("preset", "list, show or check presets", words)
    preset.add_argument("action", choices=("list", "show", "check"))
    preset.add_argument("name", nargs="*", help="name or file")

    osc = add("osc", "the OSC addresses, made from the effects' own specs", words)
    osc.add_argument("--list", action="store_true", help="print the table (as does afx-live osc alone)")
    osc.add_argument("--markdown", action="store_true", help="as Markdown")
    g = osc.add_argument_group("files for other programs (to standard output without a name)")
    for flag, what in (
        ("--reaper", "REAPER's patterns, a .ReaperOSC file"),
        ("--reaper-effect", "an effect for REAPER with a slider for everything, a .jsfx file"),
        ("--open-stage-control", "an Open Stage Control session, a .json file"),
    ):
        g.add_argument(flag, nargs="?", const=Path("-"), type=Path, metavar="FILE", help=what)
    g.add_argument("--force", action="store_true", help="replace files that exist")
    return root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run afx-live. Every failure has a message and a documented exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        words = ["--help"]
    elif words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        words.insert(0, "run")
    a = parser().parse_args(words)
    try:
        sys.exit(_run(a))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` has gone: nobody to tell
        sys.exit(0)
    except Exception as error:
        code = _code(error)
        if code == EXIT["bug"] and a.verbose:
            raise
        print(f"afx-live: {_text(error, code)}", file=sys.stderr)
        sys.exit(code)


def _run(a: argparse.Namespace) -> int:
    if a.command == "run":
        from .run import run

        return run(a)
    if a.command == "watch":
        from ..view.terminal import attach

        return attach(a)
    if a.command == "doctor":
        from ..doctor.doctor import doctor

        return doctor(a)
    gc.set_threshold(100_000, 50, 50)  # numba's loading makes much, and no garbage: 0.1 s
    from . import commands

    return getattr(commands, a.command)(a)


def _code(error: Exception) -> int:
    """Give the exit code of an error, by its kind; the kinds are loaded already if they were raised."""
    kinds = {
        "DeviceError": "device",
        "ClipError": "clip",
        "PresetError": "preset",
        "ModelError": "preset",
        "PortError": "port",
        "PortBusy": "port",
        "UsageError": "usage",
        "FileExistsError": "usage",
    }
    for kind in type(error).__mro__:
        if kind.__name__ in kinds:
            return EXIT[kinds[kind.__name__]]
    return EXIT["clip"] if isinstance(error, OSError) else EXIT["bug"]


def _text(error: Exception, code: int) -> str:
    if code == EXIT["bug"]:
        return f"a bug: {error!r}. Run again with -v and report it, please."
    if isinstance(error, OSError) and error.strerror:  # the system's own words, which are made for programmers
        room = {errno.ENOSPC: "free some room, or name another place", errno.EDQUOT: "free some room"}
        advice = room.get(error.errno or 0, "name another place")
        return f"{error.filename or 'a file'}: {error.strerror}; {advice}"
    return str(error)


class UsageError(ValueError):
    """Words that do not fit together (exit code 2)."""


def result(a: argparse.Namespace, data: Any, text: str) -> None:
    """Print a result on standard output: text for people, JSON for programs."""
    print(json.dumps(data, indent=2) if a.json else text, flush=True)


if __name__ == "__main__":
    main()
