"""`afx-live`: parse the command line, call the command, turn failures into messages and exit codes.

numba, onnxruntime and devices are loaded only by the commands that use them.
"""

import argparse
import gc
import io
import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib import import_module
from typing import NoReturn

from ...files.json_checks import finite
from ...files.streams import make_safe
from .errors import INTERRUPTED, ExitCode, as_data, exit_code, message
from .parser import parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run afx-live. Every failure has a message and a documented exit code; with --json also an object on stdout."""
    if arguments is None:
        make_safe()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        words = ["--help"]
    elif words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        words.insert(0, "run")
    parsed = _parsed(words)
    verbose = parsed.verbose
    try:
        sys.exit(call(parsed))
    except KeyboardInterrupt as error:
        _end(INTERRUPTED, "interrupted", parsed, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` has ended: nobody to tell
        sys.exit(ExitCode.DONE)
    except Exception as error:
        if exit_code(error) == ExitCode.BUG and verbose:
            raise
        text = message(error)
        print(f"afx-live: {text}", file=sys.stderr)
        _end(exit_code(error), text, parsed, error)


def _parsed(words: list[str]) -> argparse.Namespace:
    """Parse the words; what is wrong with them goes to standard error, and to those who asked for JSON."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return parser().parse_args(words)
    except SystemExit as end:
        text = said.getvalue()
        if dashed := [word for word in words if word.startswith("-") and os.path.exists(word)]:
            text += f"{dashed[0]} is a file: write ./{dashed[0]}, as what begins with a dash is an option\n"
        print(text, end="", file=sys.stderr)
        if end.code and "--json" in words:
            files = [word for word in words if os.path.exists(word)]
            print(json.dumps(as_data(int(end.code), text.partition("\nTry: ")[0].partition(": ")[2], files)))
        raise


def _end(code: int, text: str, parsed: argparse.Namespace, error: BaseException) -> NoReturn:
    """End with an exit code, its reason as JSON if that is asked for, with the `files` that were done until then."""
    if parsed.json:
        told = sys.stderr if getattr(parsed, "output", None) == "-" else sys.stdout  # which is for the sound, then
        files = getattr(error, "files", None)
        data = as_data(code, text, vars(parsed).values()) | ({"files": finite(files)} if files else {})
        print(json.dumps(data, allow_nan=False), file=told, flush=True)
    sys.exit(code)


def call(parsed: argparse.Namespace) -> int:
    """Call the function of a command, `cli.COMMAND.COMMAND`, with the arguments of the same names; its exit code."""
    from dataclasses import fields  # not for --help: it would take a tenth longer

    from .printer import Printer

    given = vars(parsed).copy()
    command = given.pop("command")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more would spin for a while after each product of ours
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
