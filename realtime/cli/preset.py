"""`afx-live preset`: list, show, check and export presets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ... import presets
from ...presets import other_programs
from .errors import ExitCode, UsageError
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
    """List presets, or show, check or export those of these names or files; returns 0.

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
    texts = {name: presets.to_json(presets.load(name)).rstrip() for name in names}
    if action == "show":
        printer.result([json.loads(text) for text in texts.values()], "\n".join(texts.values()))
    else:
        printer.result(dict.fromkeys(texts, "fits"), "\n".join(f"{name}: fits" for name in texts))
    return ExitCode.DONE
