"""`afx-live demo`: make a bundled clip sound like a bundled reference; write sound and preset."""

import os
import shutil
import sys
from pathlib import Path
from time import perf_counter

from ... import presets
from ...files.distinct import Named, check_distinct
from ...matching.clips import read_clip
from ...matching.match import match_clip
from ...matching.reference import read_reference
from ...matching.words import sentences
from ..audio.render import render as render_file
from .errors import ExitCode, UsageError
from .printer import Printer
from .saving import settings_data
from .sources import announce_compiling, load_model

NAME = "demo"
"""What its preset is called, by which a folder of a former demo is known."""


def own_name() -> str:
    """Give what to type to run this program: its name, or where it is if that is not on the path."""
    name, program = "afx-live", Path(sys.argv[0])
    return name if program.name != name or shutil.which(name) else os.path.relpath(program)


def _is_ours(saved: Path) -> bool:
    """Tell whether a demo has written here before."""
    try:
        return presets.load(saved).name == NAME
    except presets.PresetError:
        return False


def demo(
    clip: str = "guitar",
    folder: Path = Path("afx-demo"),
    model: Path | None = None,
    printer: Printer | None = None,
) -> int:
    """Render a bundled clip into a folder; returns 0.

    Only a demo's own files are replaced. Raises UsageError for others, ModelError, OSError if nothing can be written.
    """
    printer = printer or Printer()
    out, saved, source = folder / "out.wav", folder / "preset.json", presets.clip(clip)
    check_distinct([Named("the demo's clip", source), Named("the sound", out, True), Named("the preset", saved, True)])
    for path in (out, saved):
        if path.exists() and not _is_ours(saved):
            raise UsageError(f"{path} exists and was not written by the demo; choose another folder with --folder")
    announce_compiling(printer)
    matcher = load_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    reference = read_reference(presets.clip(presets.DEMO_REFERENCES[clip]), matcher)
    heard = read_clip(source)
    found = match_clip(heard, matcher, [reference])
    begin = perf_counter()
    done = render_file(heard, found, out, lambda frames: None, force=True)
    took = perf_counter() - begin
    made = presets.provenance([reference], matcher.name)
    presets.save(presets.Preset(NAME, done.settings, 1.0, found.target_lufs, made), saved, force=True)
    files = [str(out), str(saved)]
    lines = [
        f"Reference  {reference.path.name}  {reference.seconds:.1f} s  {reference.lufs:.1f} LUFS",
        f"Input      {source.name}  {heard.seconds:.1f} s  {heard.lufs:.1f} LUFS",
        *(f"{'Chain' if i == 0 else '':<11}{line}" for i, line in enumerate(sentences(done.settings, found.in_range))),
        f"Loudness   {heard.lufs:.1f} → {done.lufs:.1f} LUFS   rendered at {heard.seconds / took:.0f} × real time",
        f"Wrote      {'  '.join(files)}",
        f"Hear it    {own_name()} studio --demo {clip}   before and after, in a browser",
        "Next       afx-live devices      then      afx-live --reference YOUR.wav",
    ]
    data = {
        "files": files,
        "lufs_before": heard.lufs,
        "lufs_after": done.lufs,
        "reference_lufs": reference.lufs,
        "settings": settings_data(done.settings),
    }
    printer.result(data, "\n".join(lines))
    return ExitCode.DONE
