"""`afx-live render`: play files through the engine into files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from ... import presets
from ...chain import ChainSettings
from ...matching.clips import Clip as Clip
from ...matching.clips import read_clip as read_clip
from ...matching.level import MAX_LUFS
from ...matching.match import Match
from ...matching.match import given_settings as given_settings
from ...matching.match import match_clip as match_clip
from ...matching.words import OUT_OF_RANGE, sentences
from ..audio.render import render as render_file
from .errors import ExitCode, UsageError
from .files import check_preset_path, refuse_existing, save_preset, settings_data
from .printer import Printer
from .sources import Sources, load_sources


@dataclass(frozen=True)
class Rendered:
    """One file as it was rendered: loudness in LUFS before, after and aimed at; probabilities by effect, if matched."""

    input: Path
    output: Path
    seconds: float
    x_real_time: float
    lufs_before: float
    lufs_after: float
    target_lufs: float | None
    probability: dict[str, float] | None
    reached: bool
    settings: ChainSettings
    true_peak_db: float
    notes: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """Give it as plain data, for JSON."""
        paths = {"input": str(self.input), "output": str(self.output)}
        return {**vars(self), **paths, "settings": settings_data(self.settings)}

    def __str__(self) -> str:
        loudness = f"{self.lufs_before:.1f} → {self.lufs_after:.1f} LUFS   {self.x_real_time:g} × real time"
        lines = [f"{self.input} → {self.output}", f"  loudness   {loudness}"]
        lines += [f"  {line}" for line in sentences(self.settings)]
        if self.probability is not None:
            heard = ", ".join(f"{effect} {p:.0%}" for effect, p in self.probability.items())
            lines += [f"  heard      {heard}", *([] if self.reached else [f"  {OUT_OF_RANGE}"])]
        return "\n".join(lines)


def render(
    inputs: Sequence[Path],
    output: Path,
    reference: Sequence[Path] = (),
    preset: str | None = None,
    amount: float | None = None,
    model: Path | None = None,
    save_preset: Path | None = None,
    force: bool = False,
    printer: Printer | None = None,
) -> int:
    """Render one file, or several into a folder; returns 0. Raises UsageError, ClipError, PresetError or ModelError.

    reference: recordings to match, or else `preset`, a name or file. amount: 0 to 1. model: a folder, the shipped one
    if None. save_preset: where to keep the last file's settings. force: replace files that exist.
    """
    printer = printer or Printer()
    outputs = _outputs(inputs, output)
    check_preset_path(save_preset, force)
    for out in outputs:
        refuse_existing(out, force)
    sources = load_sources(reference, preset, model, printer)
    rows: list[Rendered] = []
    try:
        for path, out in zip(inputs, outputs, strict=True):
            with printer.bar(path.name) as step:
                rows.append(_render_one(path, out, sources, amount, force, step))
            for note in rows[-1].notes:
                printer.note(f"{path}: {note}")
    finally:  # what is done is reported, even if the next one fails
        if rows:
            printer.result([row.data() for row in rows], "\n".join(map(str, rows)))
    if save_preset:
        _save(rows[-1], sources, save_preset, force)
    return ExitCode.DONE


def _outputs(inputs: Sequence[Path], output: Path) -> list[Path]:
    if len(inputs) == 1 and not output.is_dir():
        output.parent.mkdir(parents=True, exist_ok=True)
        return [output]
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; several inputs need a folder as OUT")
    output.mkdir(parents=True, exist_ok=True)
    outputs = [output / f"{p.stem}.wav" for p in inputs]
    if len(set(outputs)) < len(outputs):
        raise UsageError("two inputs have the same name; render them one at a time")
    return outputs


def _match(clip: Clip, sources: Sources, amount: float | None) -> Match:
    """Match a clip to references, or put a preset on it."""
    if (preset := sources.preset) is not None:
        share = preset.amount if amount is None else amount
        target = clip.lufs if preset.target_lufs is None else clip.lufs + share * (preset.target_lufs - clip.lufs)
        return given_settings(clip, preset.settings.scaled(share), target)
    assert sources.model is not None
    return match_clip(clip, sources.model, sources.references, 1.0 if amount is None else amount)


def _render_one(
    path: Path,
    out: Path,
    sources: Sources,
    amount: float | None,
    force: bool,
    step: Callable[[float, float | None], None],
) -> Rendered:
    frames_done = 0

    def on(frames: int) -> None:
        nonlocal frames_done
        frames_done += frames
        step(min(frames_done, clip.frames), clip.frames)

    clip = read_clip(path)
    begin = perf_counter()
    found = _match(clip, sources, amount)
    done = render_file(clip, found, out, on, force)
    took = perf_counter() - begin
    return Rendered(
        path,
        out,
        seconds=round(clip.seconds, 3),
        x_real_time=round(clip.seconds / took, 1),
        lufs_before=round(clip.lufs, 2),
        lufs_after=round(done.lufs, 2),
        target_lufs=None if found.target_lufs is None else round(found.target_lufs, 2),
        probability={e: round(p, 3) for e, p in found.probabilities.items()} or None,
        reached=found.in_range,
        settings=done.settings,
        true_peak_db=round(done.true_peak_db, 2),
        notes=(*filter(None, [clip.note]), *(f"not kept: {what}" for what in done.lost)),
    )


def _save(row: Rendered, sources: Sources, path: Path, force: bool) -> None:
    model = sources.model.name if sources.model else ""
    source = presets.provenance(sources.references, model) if sources.references else {}
    target = None if row.target_lufs is None else min(row.target_lufs, MAX_LUFS)
    save_preset(presets.Preset(path.stem, row.settings, 1.0, target, source), path, force)
