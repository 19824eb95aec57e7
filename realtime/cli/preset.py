"""`afx-live preset`: list, show, check and export presets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ... import presets
from ...files.distinct import Named, check_distinct
from ...files.streams import shown
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
    """List presets, or show, check or export those of these names or files; returns 0, or 5 if a check fails.

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
        source = Path(names[0]) if Path(names[0]).is_file() else None
        if output and source:
            check_distinct([Named("the preset", source), Named("the output", output, True)])
        files, lines = other_programs.write(
            presets.load(names[0]), to, output, sample_rate=samplerate, pipeline=pipeline, plugin=plugin,
            install=install, force=force, source=source,
        )  # fmt: skip
        told = [{"effect": line.effect, "fidelity": line.grade, "note": line.note} for line in lines]
        printer.result({"files": [str(file) for file in files], "effects": told}, "\n".join(map(str, [*files, *lines])))
        return ExitCode.DONE
    if action == "check":
        return _check(names, printer)
    texts = {name: presets.to_json(presets.load(name)).rstrip() for name in names}
    printer.result([json.loads(text) for text in texts.values()], "\n".join(texts.values()))
    return ExitCode.DONE


def _check(names: Sequence[str], printer: Printer) -> int:
    """Check every preset, whatever is wrong with the others."""
    found = {name: _trouble(name) for name in names}
    bad = sum(map(bool, found.values()))
    lines = [
        f"{shown(name)}: {f'does not fit: {_without(name, why)}' if why else 'fits'}" for name, why in found.items()
    ]
    if bad and len(found) > 1:
        lines.append(f"{len(found)} presets: {len(found) - bad} fit, {bad} do not")
    printer.result({name: why or "fits" for name, why in found.items()}, "\n".join(lines))
    return ExitCode.PRESET if bad else ExitCode.DONE


def _trouble(name: str) -> str:
    try:
        presets.load(name)
    except presets.PresetError as error:
        return str(error)
    return ""


def _without(name: str, why: str) -> str:
    return why.removeprefix(f"{name}: ")
