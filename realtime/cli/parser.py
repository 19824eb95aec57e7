"""The command line's grammar and help. A value's name here is the name of a parameter of the command's function."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ...files.encodings import ENCODINGS, SUBTYPES
from .. import osc, web
from . import values
from .errors import ExitCode

CLIPS = ("guitar", "voice", "drums")
"""Those of `presets.DEMO_REFERENCES`, which would load numpy."""

EPILOG = """\
exit codes: 0 done · 1 a bug · 2 usage · 3 audio device · 4 audio file · 5 preset, model or tool · 6 port
            130 interrupted by Ctrl-C
more: afx-live COMMAND --help"""

EXAMPLES = """\
  afx-live --reference ref.wav                          live: the input sounds like ref.wav
  afx-live render in.wav --reference ref.wav -o out.wav the same for a file
  afx-live --web                                        the same with a page in the browser
  afx-live studio                                       files with that page; no sound card needed
  afx-live demo                                         no sound card, no browser"""


RENDER_EXAMPLES = """\
examples:
  afx-live render in.wav -r ref.wav -o out.wav             in.wav as ref.wav sounds
  afx-live render talks/ --preset voice.json -o done/      a folder, the same tree out
  afx-live render talks/ -r ref.wav -o done/ --lufs -16 --resume
  ffmpeg -i in.mp3 -f wav - | afx-live render - --preset warm -o - | ffmpeg -i - out.m4a"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\nTry: {self.prog} --help\n")


class _Version(argparse.Action):
    """Look the version up when it is asked for: reading a package's metadata takes longer than all the rest here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            parser.exit(message=f"afx-live {version('afx-live')}\n")
        except PackageNotFoundError:
            parser.exit(message="afx-live (not installed)\n")


# --- groups that several commands have ------------------------------------------------------------


def _add_sound(command: argparse.ArgumentParser) -> None:
    g = command.add_argument_group("sound")
    _add_reference(g)
    g.add_argument(
        "--preset",
        metavar="NAME",
        help="play this preset (name or file) instead of matching; with --reference, what --lock keeps",
    )
    g.add_argument(
        "--amount",
        type=values.amount,
        metavar="0..1",
        help="how much of the effects to use (default: the preset's, or 1)",
    )
    _add_choices(g)
    _add_model(g)


def _add_choices(command: Any, lock: bool = True) -> None:
    """Add the flags of `Wishes`; `lock` where there may be a preset to keep a part of."""
    command.add_argument(
        "--boldness",
        type=values.amount,
        metavar="0..1",
        help="0: only effects that are nearly certain; 1: everything the reference suggests, its tone included",
    )
    for flag, metavar, what in (
        ("--only", "EFFECT,…", "effects that the reference has; no others are used"),
        ("--without", "EFFECT,…", "effects that are not used"),
        ("--lock", "EFFECT[/PARAM],…", "keep these parts of --preset and match the rest: reverb, equaliser/peak_1_db"),
    ):
        if lock or flag != "--lock":
            command.add_argument(flag, type=values.names, default=[], action="extend", metavar=metavar, help=what)


def _add_reference(command: Any) -> None:
    command.add_argument(
        "-r",
        "--reference",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="recording to sound like; give several to blend them",
    )


def _add_model(command: Any) -> None:
    command.add_argument("--model", type=Path, metavar="FOLDER", help="model folder (default: the shipped one)")


def _add_saving(command: argparse.ArgumentParser) -> None:
    command.add_argument("--save-preset", type=Path, metavar="FILE", help="save the settings at the end as a preset")
    command.add_argument("--force", action="store_true", help="replace files that exist")


def _add_devices(command: argparse.ArgumentParser) -> Any:
    """Add the flags of `StreamOptions` in a group of their own, which is returned."""
    g = command.add_argument_group("devices")
    g.add_argument("-i", "--input-device", type=values.device, metavar="DEV", help="number or part of the name")
    g.add_argument("-o", "--output-device", type=values.device, metavar="DEV", help="number or part of the name")
    g.add_argument(
        "-c", "--input-channels", type=values.channels, metavar="N[,M]", help="inputs to use (one feeds both outputs)"
    )
    g.add_argument("--output-channels", type=values.channels, metavar="N[,M]", help="which outputs")
    g.add_argument(
        "--samplerate",
        dest="sample_rate",
        type=values.above(0.0),
        metavar="HZ",
        help="sample rate (default: the device's)",
    )
    g.add_argument(
        "--blocksize",
        dest="block_size",
        type=values.frames,
        default=128,
        metavar="FRAMES",
        help="frames per block: less is a shorter delay, more is safer (default: 128; 0 leaves it to the system)",
    )
    g.add_argument(
        "--latency",
        type=values.latency,
        default="low",
        metavar="S",
        help="device latency: low, high, or seconds (default: low)",
    )
    return g


# --- commands -------------------------------------------------------------------------------------


def _run(run: argparse.ArgumentParser) -> None:
    _add_sound(run)
    run.add_argument("--freeze", action="store_true", help="match once, on the first seconds, then keep the settings")
    run.add_argument("--resume", action="store_true", help="continue with what was played last, however that ended")
    _add_devices(run).add_argument("-l", "--list-devices", action="store_true", help="list devices and exit")
    g = run.add_argument_group("control")
    g.add_argument(
        "--osc",
        type=values.host_port,
        default=(osc.HOST, osc.PORT),
        metavar="HOST:PORT",
        help=f"where to receive OSC, or off (default: {osc.HOST}:{osc.PORT})",
    )
    g.add_argument(
        "--osc-allow", action="append", default=[], metavar="IP", help="another machine that may send OSC; repeatable"
    )
    g.add_argument(
        "--osc-feedback",
        action="append",
        default=[],
        type=values.host_port_only,
        metavar="HOST:PORT",
        help="send changes and meters here, without being asked; repeatable",
    )
    g.add_argument(
        "--osc-range",
        type=values.above(0.0),
        default=1.0,
        metavar="N",
        help="divide integers sent to 0..1 addresses by this: 127 for MIDI-like controllers (default: 1)",
    )
    g.add_argument(
        "--clips",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="folder from which OSC may load references, besides those of the references given here; repeatable",
    )
    g.add_argument("--no-screen", action="store_true", help="plain lines instead of the status view")
    g.add_argument(
        "--web",
        nargs="?",
        const=web.PORT,
        type=values.port,
        metavar="PORT",
        help="serve a page to see and control it, and open a browser; alone, devices are chosen there "
        f"(port {web.PORT})",
    )
    _add_page(g)
    g = run.add_argument_group("microphone (Linux, PipeWire)")
    g.add_argument(
        "--virtual-mic",
        nargs="?",
        const="afx-live",
        metavar="NAME",
        help="play into a virtual microphone that OBS, Zoom and browsers list (default name: afx-live)",
    )
    g.add_argument(
        "--virtual-mic-default", action="store_true", help="make it the default microphone while afx-live runs"
    )
    _add_saving(run)


def _studio(studio: argparse.ArgumentParser) -> None:
    studio.add_argument("recording", nargs="?", type=Path, metavar="RECORDING", help="audio file to work on")
    _add_reference(studio)
    studio.add_argument(
        "--demo", nargs="?", const="guitar", choices=CLIPS, help="begin with a bundled clip (default: guitar)"
    )
    _add_choices(studio, lock=False)
    studio.set_defaults(lock=[])
    _add_model(studio)
    studio.add_argument("--port", type=values.port, default=web.PORT, help="the page's port (default: %(default)s)")
    _add_page(studio)


def _add_page(command: Any) -> None:
    command.add_argument(
        "--web-host",
        default=web.HOST,
        metavar="HOST",
        help="address to serve the page on; 0.0.0.0 opens it to the network (default: %(default)s)",
    )
    command.add_argument("--no-browser", action="store_true", help="print the page's link, and open no browser")


def _render(render: argparse.ArgumentParser) -> None:
    render.epilog = RENDER_EXAMPLES
    render.formatter_class = argparse.RawDescriptionHelpFormatter
    render.add_argument("inputs", nargs="+", metavar="IN", help="audio files, folders, globs, or - for standard input")
    render.add_argument(
        "-o", "--output", metavar="OUT",
        help="a file; a folder for several inputs, or if it ends with a slash; - for standard output",
    )  # fmt: skip
    render.add_argument(
        "--dry-run", action="store_true", help="match and say what would be set, and why; write no sound"
    )
    _add_sound(render)
    render.add_argument(
        "--lufs", type=values.lufs, metavar="LUFS", help="output loudness, such as -16; peaks stay below -1 dBFS"
    )
    render.add_argument(
        "--channels",
        type=values.channels,
        default=[],
        metavar="N[,M]",
        help="which channels of the input (default: all)",
    )
    render.add_argument(
        "--subtype", choices=tuple(SUBTYPES), default="",
        help="sample format of the output: bits, or float (default: as the input)",
    )  # fmt: skip
    _add_saving(render)
    g = render.add_argument_group("many files")
    g.add_argument("--jobs", type=values.count, metavar="N", help="how many at a time (default: all cores but one)")
    g.add_argument(
        "--resume", action="store_true",
        help="keep a list of what is done, and leave that alone: the same command goes on where it was cut off",
    )  # fmt: skip
    g.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="where to keep that list: JSON, one line per file (default: OUT/afx-live.jsonl)",
    )
    g.add_argument(
        "--shard",
        type=values.shard,
        default=(1, 1),
        metavar="I/N",
        help="only every N-th file, from the I-th: for array jobs",
    )
    g.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS",
        help="run on a Ray cluster: auto, an address, or nothing to start one here (needs afx-live[cluster])",
    )  # fmt: skip
    g = render.add_argument_group("pipes (- as IN or OUT): WAV, or raw samples with --format")
    g.add_argument(
        "--format",
        dest="encoding",
        choices=tuple(ENCODINGS),
        default="",
        help="format of raw samples; for raw input also give --rate, and the channel count as --channels",
    )
    g.add_argument("--rate", type=values.count, default=0, metavar="HZ", help="sample rate of raw input")
    g.add_argument(
        "--listen", type=values.above(0.0), default=30.0, metavar="S",
        help="how much of a pipe is heard before it plays (default: 30 s)",
    )  # fmt: skip


def _demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--clip", choices=CLIPS, default="guitar", help="which clip to play (default: guitar)")
    demo.add_argument("--folder", type=Path, default=Path("afx-demo"), help="where to write (default: %(default)s)")
    _add_model(demo)


def _doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("--loopback", action="store_true", help="measure the round trip through a cable instead")
    doctor.add_argument(
        "--seconds",
        type=values.above(0.0),
        default=10.0,
        metavar="S",
        help="length of the drop-out test for each of five block sizes (default: 10)",
    )
    _add_devices(doctor)  # --blocksize is for --loopback alone


def _preset(preset: argparse.ArgumentParser) -> None:
    preset.add_argument(
        "action", choices=("list", "show", "check", "export"),
        help="list all presets, show or check some, or export one for another program",
    )  # fmt: skip
    preset.add_argument("names", nargs="*", metavar="NAME", help="name of a preset, or file")
    group = preset.add_argument_group("export: a preset for another program")
    programs = ("camilladsp", "easyeffects", "equalizer-apo", "pipewire", "lv2", "clap")
    group.add_argument("--to", choices=programs, help="the program or plug-in format")
    group.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: NAME with the program's ending")
    group.add_argument(
        "--samplerate", type=values.above(0.0), default=48000.0, metavar="HZ",
        help="sample rate of a reverb's impulse response (default: 48000)",
    )  # fmt: skip
    group.add_argument("--microphone", action="store_true", help="for EasyEffects' input, not its output")
    group.add_argument("--install", action="store_true", help="put it where EasyEffects looks for it")
    group.add_argument(
        "--plugin", metavar="NAME", default="afx-live", help="name of the LV2 plug-in (default: afx-live)"
    )
    group.add_argument("--force", action="store_true", help="replace files that exist")


def _osc(table: argparse.ArgumentParser) -> None:
    table.add_argument(
        "--list", dest="markdown", action="store_false", default=argparse.SUPPRESS, help="print the table (the default)"
    )
    table.add_argument("--markdown", action="store_true", help="print it as Markdown")
    g = table.add_argument_group("files for other programs (to standard output without a name)")
    for flag, what in (
        ("--reaper", "REAPER's patterns, a .ReaperOSC file"),
        ("--reaper-effect", "an effect for REAPER with a slider for everything, a .jsfx file"),
        ("--open-stage-control", "an Open Stage Control session, a .json file"),
    ):
        g.add_argument(flag, nargs="?", const=Path("-"), type=Path, metavar="FILE", help=what)
    g.add_argument("--force", action="store_true", help="replace files that exist")


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "run": ("play live (the default command)", _run),
    "render": ("process files, folders and pipes", _render),
    "studio": ("work on files with a page in the browser; no sound card needed", _studio),
    "demo": ("make a bundled clip sound like a bundled reference; no sound card needed", _demo),
    "watch": ("show a running afx-live in a second terminal", lambda watch: None),
    "devices": ("list audio devices", lambda devices: None),
    "doctor": ("find what limits latency here, and the smallest block size without drop-outs", _doctor),
    "preset": ("list, show, check or export presets", _preset),
    "osc": ("list the OSC addresses, or write control layouts for other programs", _osc),
}


def parser() -> argparse.ArgumentParser:
    """Describe the whole command line."""
    common = _Parser(add_help=False, allow_abbrev=False)
    common.add_argument("-q", "--quiet", action="store_true", help="only results and errors")
    common.add_argument("-v", "--verbose", action="store_true", help="more messages; tracebacks for bugs")
    common.add_argument("--json", action="store_true", help="results as JSON on standard output")
    root = _Parser(
        prog="afx-live",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="afx-live [--reference FILE …] [options]\n       afx-live COMMAND …",
        description="Make a live signal sound like a reference recording.\n\n" + EXAMPLES,
        epilog=EPILOG,
    )
    root.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit"
    )
    commands = root.add_subparsers(prog="afx-live", dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (help, describe) in COMMANDS.items():
        describe(commands.add_parser(name, help=help, description=help, parents=[common], allow_abbrev=False))
    return root
