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
from ...matching.explain import Explanation, explain
from ...matching.level import MAX_LUFS
from ...matching.match import Match
from ...matching.match import given_settings as given_settings
from ...matching.match import match_clip as match_clip
from ...matching.words import sentences
from ..audio.render import render as render_file
from .errors import ExitCode, UsageError
from .files import check_preset_path, refuse_existing, save_preset, settings_data
from .printer import Printer
from .sources import Sources, load_sources
from .wishes import NO_WISHES, Wishes


@dataclass(frozen=True)
class Rendered:
    """One file as it was rendered: loudness in LUFS before, after and aimed at; probabilities by effect, if matched."""

    input: Path
    output: Path | None
    seconds: float
    x_real_time: float | None
    lufs_before: float
    lufs_after: float | None
    target_lufs: float | None
    probability: dict[str, float] | None
    reached: bool
    settings: ChainSettings
    true_peak_db: float | None
    notes: tuple[str, ...] = ()
    explanation: Explanation | None = None

    def data(self) -> dict[str, Any]:
        """Give it as plain data, for JSON."""
        paths = {"input": str(self.input), "output": None if self.output is None else str(self.output)}
        told = self.explanation.data() if self.explanation else None
        return {**vars(self), **paths, "settings": settings_data(self.settings), "explanation": told}

    def __str__(self) -> str:
        if self.lufs_after is None:
            aim = "" if self.target_lufs is None else f" → {self.target_lufs:.1f} LUFS"
            lines = [f"{self.input}, not rendered", f"  loudness   {self.lufs_before:.1f}{aim}"]
        else:
            loudness = f"{self.lufs_before:.1f} → {self.lufs_after:.1f} LUFS   {self.x_real_time:g} × real time"
            lines = [f"{self.input} → {self.output}", f"  loudness   {loudness}"]
        *chain, level = sentences(self.settings)
        told = self.explanation
        lines += [f"  {line}" for line in (map(str, told.effects) if told else chain)]
        lines += [f"  {level}", *([f"  {told.verdict}"] if told and told.verdict else [])]
        return "\n".join(lines)


def render(
    inputs: Sequence[Path],
    output: Path | None = None,
    reference: Sequence[Path] = (),
    preset: str | None = None,
    amount: float | None = None,
    wishes: Wishes = NO_WISHES,
    model: Path | None = None,
    dry_run: bool = False,
    save_preset: Path | None = None,
    force: bool = False,
    printer: Printer | None = None,
) -> int:
    """Render one file, or several into a folder; returns 0. Raises UsageError, ClipError, PresetError or ModelError.

    reference: recordings to match, or else `preset`, a name or file. amount: 0 to 1. wishes: what is asked of the
    matching. model: a folder, the shipped one if None. dry_run: say what would be set, and write no sound.
    save_preset: where to keep the last file's settings. force: replace files that exist.
    """
    printer = printer or Printer()
    outputs: list[Path | None] = [None] * len(inputs) if dry_run else [*_outputs(inputs, output)]
    check_preset_path(save_preset, force)
    for out in filter(None, outputs):
        refuse_existing(out, force)
    sources = load_sources(reference, preset, model, printer, wishes=wishes)
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


def _outputs(inputs: Sequence[Path], output: Path | None) -> list[Path]:
    if output is None:
        raise UsageError("give -o OUT, a file or a folder; or --dry-run, which writes no sound")
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
    if (preset := sources.preset) is not None and not sources.references:
        share = preset.amount if amount is None else amount
        target = clip.lufs if preset.target_lufs is None else clip.lufs + share * (preset.target_lufs - clip.lufs)
        return given_settings(clip, preset.settings.scaled(share), target)
    assert sources.model is not None
    return match_clip(clip, sources.model, sources.references, 1.0 if amount is None else amount, sources.choices)


def _explained(clip: Clip, sources: Sources, found: Match) -> Explanation | None:
    if found.prediction is None or sources.model is None:
        return None
    x, rate, near = clip.excerpts, clip.sample_rate, found.in_range
    return explain(sources.model, found.prediction, found.settings, sources.choices, x, rate, near)


def _render_one(
    path: Path,
    out: Path | None,
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
    done = render_file(clip, found, out, on, force) if out else None
    took = perf_counter() - begin
    return Rendered(
        path,
        out,
        seconds=round(clip.seconds, 3),
        x_real_time=round(clip.seconds / took, 1) if out else None,
        lufs_before=round(clip.lufs, 2),
        lufs_after=None if done is None else round(done.lufs, 2),
        target_lufs=None if found.target_lufs is None else round(found.target_lufs, 2),
        probability={e: round(p, 3) for e, p in found.probabilities.items()} or None,
        reached=found.in_range,
        settings=found.settings if done is None else done.settings,
        true_peak_db=None if done is None else round(done.true_peak_db, 2),
        notes=(*filter(None, [clip.note]), *(f"not kept: {what}" for what in (done.lost if done else ()))),
        explanation=_explained(clip, sources, found),
    )


def _save(row: Rendered, sources: Sources, path: Path, force: bool) -> None:
    model = sources.model.name if sources.model else ""
    c = sources.choices
    choices = presets.choices_data(c.boldness, c.only or (), c.without, c.locked)
    source = presets.provenance(sources.references, model, choices=choices) if sources.references else {}
    target = None if row.target_lufs is None else min(row.target_lufs, MAX_LUFS)
    save_preset(presets.Preset(path.stem, row.settings, 1.0, target, source), path, force)
