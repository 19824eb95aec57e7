"""`afx-live`: parse the command line, call the command, turn failures into messages and exit codes.

numba, onnxruntime and devices are loaded only by the commands that use them.
"""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .errors import INTERRUPTED, ExitCode, exit_code, message
from .parser import parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run afx-live. Every failure has a message and a documented exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        words = ["--help"]
    elif words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        words.insert(0, "run")
    parsed = parser().parse_args(words)
    verbose = parsed.verbose
    try:
        sys.exit(call(parsed))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` has ended: nobody to tell
        sys.exit(ExitCode.DONE)
    except Exception as error:
        if exit_code(error) == ExitCode.BUG and verbose:
            raise
        print(f"afx-live: {message(error)}", file=sys.stderr)
        sys.exit(exit_code(error))


def call(parsed: argparse.Namespace) -> int:
    """Call the function of a command, `cli.COMMAND.COMMAND`, with the arguments of the same names; its exit code."""
    from dataclasses import fields  # not for --help: it would take a tenth longer

    from .printer import Printer

    given = vars(parsed).copy()
    command = given.pop("command")
    given["printer"] = Printer(given.pop("quiet"), given.pop("verbose"), given.pop("json"))
    if "input_device" in given:
        from ..audio.options import StreamOptions

        names = {field.name for field in fields(StreamOptions)} & given.keys()
        given["options"] = StreamOptions(**{name: given.pop(name) for name in names})
    if "boldness" in given:
        from .wishes import Wishes

        given["wishes"] = Wishes(**{field.name: given.pop(field.name) for field in fields(Wishes)})
    if command not in ("run", "watch", "doctor"):
        gc.set_threshold(100_000, 50, 50)  # loading numba allocates much that is no garbage: 0.1 s
    return getattr(import_module(f".{command}", __package__), command)(**given)


if __name__ == "__main__":
    main()
