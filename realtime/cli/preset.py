"""`afx-live preset`: list, show, check and export presets."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ... import presets
from ...presets import other_programs
from .errors import ExitCode, UsageError, message
from .printer import Printer


def preset(
    action: Literal["list", "show", "check", "export"],
    names: Sequence[str] = (),
    to: str | None = None,
    output: Path | None = None,
    samplerate: float = 48000.0,
    microphone: bool = False,
    install: bool = False,
    plugin: str = other_programs.PLAYER,
    force: bool = False,
    printer: Printer | None = None,
) -> int:
    """List presets, or show, check or export those of these names or files; returns 0, or 5 if one of
    several does not fit.

    The other arguments are for the export, to a program of `other_programs.TARGETS`: see its `write`. Raises
    UsageError, PresetError, ExportError, FileExistsError without `force`, OSError.
    """
    printer = printer or Printer()
    if action == "list":
        every = {name: presets.load(name) for name in presets.names()}
        printer.result(sorted(every), "\n".join(f"{n:<16}{p.notes}" for n, p in every.items()))
        return ExitCode.DONE
    if not names:
        raise UsageError(f"preset {action} needs a name or a file; there are {', '.join(presets.names())}")
    if action == "export":
        if not to or len(names) > 1:
            raise UsageError("preset export takes one preset and --to PROGRAM; see afx-live preset --help")
        pipeline = "input" if microphone else "output"
        files, lines = other_programs.write(
            presets.load(names[0]), to, output, sample_rate=samplerate, pipeline=pipeline, plugin=plugin,
            install=install, force=force,
        )  # fmt: skip
        told = [{"effect": line.effect, "fidelity": line.grade, "note": line.note} for line in lines]
        printer.result({"files": [str(file) for file in files], "effects": told}, "\n".join(map(str, [*files, *lines])))
        return ExitCode.DONE
    if action == "show":
        texts = [presets.to_json(presets.load(name)).rstrip() for name in names]
        printer.result([json.loads(text) for text in texts], "\n".join(texts))
        return ExitCode.DONE
    found = {name: _check(name, alone=len(names) == 1) for name in names}
    lines = [f"{name}: fits" for name, wrong in found.items() if not wrong]
    printer.result({name: wrong or "fits" for name, wrong in found.items()}, "\n".join(lines))
    for wrong in filter(None, found.values()):
        print(f"afx-live: {wrong}", file=sys.stderr)
    return ExitCode.PRESET if any(found.values()) else ExitCode.DONE


def _check(name: str, alone: bool) -> str:
    """Say what is wrong with a preset, "" if nothing; a single one raises."""
    try:
        presets.load(name)
    except presets.PresetError as error:
        if alone:
            raise
        return message(error)
    return ""
