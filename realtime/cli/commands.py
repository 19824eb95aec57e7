"""What every command but `run` does. Results go to standard output, progress to standard error."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from ... import effects, presets
from ...chain import ChainSettings
from ...dsp.compile_cache import first_start
from ...matching import (
    OUT_OF_RANGE,
    Clip,
    Match,
    MatchModel,
    ReferenceClip,
    given_settings,
    match_clip,
    read_clip,
    read_reference,
    sentences,
)
from ...matching.level import MAX_LUFS
from ...presets import other_programs
from .. import audio
from ..audio.render import render as play_file
from .main import UsageError, result

SHIPPED = Path(presets.__file__).parent / "models" / "afx-1"


def load_model(a: argparse.Namespace) -> MatchModel:
    """Load the model that was asked for, or the shipped one."""
    return MatchModel(a.model or SHIPPED)


def prepare(a: argparse.Namespace) -> None:
    """Say, once on a machine, why the first sound takes a while."""
    compiled = [*Path(effects.__file__).parent.glob("*.py"), Path(audio.__file__).with_name("callback.py")]
    if first_start(compiled) and not a.quiet:
        print("First start: compiling the effects, which takes about 25 s and happens once.", file=sys.stderr)


def check_new(path: Path | None, a: argparse.Namespace) -> None:
    """Refuse a preset file that exists or cannot be called so, before any work is done for it."""
    if path is None:
        return
    if path.exists() and not a.force:
        raise UsageError(f"{path} exists; add --force to replace it, or choose another name")
    presets.Preset(path.stem, ChainSettings())


def keep(preset: presets.Preset, path: Path, force: bool) -> None:
    """Save a preset; what the system says against it becomes a PresetError, for its exit code is 5."""
    try:
        if path.suffix in other_programs.SAVED_AS:
            other_programs.write(preset, other_programs.SAVED_AS[path.suffix], path, force=force)
        else:
            presets.save(preset, path, force=force)
    except FileExistsError:
        raise
    except OSError as error:
        why = error.strerror or error
        raise presets.PresetError(f"{path} cannot be written: {why}; free some room or name another place") from None


def sources(
    a: argparse.Namespace, always_model: bool = False
) -> tuple[MatchModel | None, list[ReferenceClip], presets.Preset | None]:
    """Load what a sound is made from: references with a model, or a preset; exactly one of the two.

    `always_model` loads a model beside a preset, too: a reference may be asked for later.
    """
    if bool(a.reference) == bool(a.preset):
        raise UsageError("give --reference FILE (one or more) or --preset NAME")
    prepare(a)
    preset = presets.load(a.preset) if a.preset else None
    model = load_model(a) if a.reference or always_model else None
    return model, [read_reference(path, model) for path in a.reference if model], preset


def found_for(
    clip: Clip,
    model: MatchModel | None,
    references: list[ReferenceClip],
    preset: presets.Preset | None,
    amount: float | None,
) -> Match:
    """Match a file to references, or put a preset on it."""
    if preset is not None:
        share = preset.amount if amount is None else amount
        goal = clip.lufs if preset.target_lufs is None else clip.lufs + share * (preset.target_lufs - clip.lufs)
        return given_settings(clip, preset.settings.scaled(share), goal)
    assert model is not None
    return match_clip(clip, model, references, 1.0 if amount is None else amount)


def render(a: argparse.Namespace) -> int:
    """Render one file or several."""
    outs = _outputs(a)
    check_new(a.save_preset, a)
    for out in outs:
        if out.exists() and not a.force:
            raise UsageError(f"{out} exists; add --force to replace it, or choose another name")
    model, references, preset = sources(a)
    rows = []
    try:
        for path, out in zip(a.input, outs, strict=True):
            with progress(a, path) as step:
                rows.append(_render_one(path, out, model, references, preset, a, step))
    finally:  # what is done is told, even if the next one fails
        if rows:
            shown = [{**row, "settings": plain(row["settings"])} for row in rows]
            result(a, shown, "\n".join(_said(row) for row in rows))
    if a.save_preset:
        name, settings, goal = a.save_preset.stem, rows[-1]["settings"], rows[-1]["target_lufs"]
        made = presets.provenance(references, model.name if model else "") if references else {}
        keep(presets.Preset(name, settings, 1.0, min(goal, MAX_LUFS), made), a.save_preset, a.force)
    return 0


def _outputs(a: argparse.Namespace) -> list[Path]:
    if len(a.input) == 1 and not a.output.is_dir():
        a.output.parent.mkdir(parents=True, exist_ok=True)
        return [a.output]
    if a.output.exists() and not a.output.is_dir():
        raise UsageError(f"{a.output} is a file; several inputs need a folder as OUT")
    a.output.mkdir(parents=True, exist_ok=True)
    outs = [a.output / f"{p.stem}.wav" for p in a.input]
    if len(set(outs)) < len(outs):
        raise UsageError("two inputs have the same name; render them one at a time")
    return outs


def _render_one(
    path: Path,
    out: Path,
    model: MatchModel | None,
    references: list[ReferenceClip],
    preset: presets.Preset | None,
    a: argparse.Namespace,
    step: Callable[[int, int], None],
) -> dict[str, Any]:
    done = 0

    def on(frames: int) -> None:
        nonlocal done
        done += frames
        step(min(done, clip.frames), 0)

    clip = read_clip(path)
    step(0, clip.frames)
    begin = perf_counter()
    found = found_for(clip, model, references, preset, a.amount)
    settings, lufs = play_file(clip, found, out, on, a.force)
    took = perf_counter() - begin
    return {
        "input": str(path),
        "output": str(out),
        "seconds": round(clip.seconds, 3),
        "x_real_time": round(clip.seconds / took, 1),
        "lufs_before": round(clip.lufs, 2),
        "lufs_after": round(lufs, 2),
        "target_lufs": None if found.target_lufs is None else round(found.target_lufs, 2),
        "probability": _probabilities(found),
        "reached": found.in_range,
        "settings": settings,
    }


def _probabilities(found: Match) -> dict[str, float] | None:
    return {effect: round(p, 3) for effect, p in found.probabilities.items()} or None


def plain(settings: ChainSettings) -> dict[str, Any]:
    """Write settings as plain data, units in the key names."""
    chain = [
        {"effect": s.effect, "on": s.enabled, **{k: round(v, 4) for k, v in s.values.items()}} for s in settings.effects
    ]
    gains = {"input_gain_db": round(settings.input_gain_db, 2), "output_gain_db": round(settings.output_gain_db, 2)}
    return {**gains, "chain": chain}


def _said(row: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"{row['input']} → {row['output']}",
            f"  loudness   {row['lufs_before']:.1f} → {row['lufs_after']:.1f} LUFS"
            f"   {row['x_real_time']:g} × real time",
            *(f"  {line}" for line in sentences(row["settings"])),
            *_doubts(row),
        ]
    )


def _doubts(row: dict[str, Any]) -> list[str]:
    """Say how sure the model is that the reference has each effect, and if it is beyond the chain."""
    if row["probability"] is None:
        return []
    sure = ", ".join(f"{effect} {p:.0%}" for effect, p in row["probability"].items())
    return [f"  heard      {sure}", *([] if row["reached"] else [f"  {OUT_OF_RANGE}"])]


@contextmanager
def progress(a: argparse.Namespace, path: Path) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, unless it is not a terminal or words are unwanted."""
    if a.quiet or a.json or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console  # 0.1 s that nobody else need wait for
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(path.name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def demo(a: argparse.Namespace) -> int:
    """Render a bundled clip towards a bundled reference; write sound and preset."""
    prepare(a)
    model = load_model(a)
    a.folder.mkdir(parents=True, exist_ok=True)
    source = presets.clip(a.clip)
    ref = read_reference(presets.clip("guitar_reference" if a.clip == "guitar" else "voice_reference"), model)
    clip = read_clip(source)
    found = match_clip(clip, model, [ref])
    begin = perf_counter()
    out = a.folder / "out.wav"
    settings, lufs = play_file(clip, found, out, lambda frames: None, force=True)
    took = perf_counter() - begin
    made = presets.provenance([ref], model.name)
    presets.save(presets.Preset("demo", settings, 1.0, found.target_lufs, made), a.folder / "preset.json", force=True)
    files = [str(a.folder / name) for name in ("out.wav", "preset.json")]
    text = "\n".join(
        [
            f"Reference  {ref.path.name}  {ref.seconds:.1f} s  {ref.lufs:.1f} LUFS",
            f"Input      {source.name}  {clip.seconds:.1f} s  {clip.lufs:.1f} LUFS",
            *(f"{'Chain' if i == 0 else '':<11}{line}" for i, line in enumerate(sentences(settings))),
            f"Loudness   {clip.lufs:.1f} → {lufs:.1f} LUFS   rendered at {clip.seconds / took:.0f} × real time",
            f"Wrote      {'  '.join(files)}",
            "Next       afx-live devices      then      afx-live --reference YOUR.wav",
        ]
    )
    data = {
        "files": files,
        "lufs_before": clip.lufs,
        "lufs_after": lufs,
        "reference_lufs": ref.lufs,
        "settings": plain(settings),
    }
    result(a, data, text)
    return 0


def devices(a: argparse.Namespace) -> int:
    """List audio devices."""
    from dataclasses import asdict

    from ..audio.devices import query, table

    found = query(rates=True)
    result(a, [asdict(d) for d in found.devices], table(found))
    return 0


def preset(a: argparse.Namespace) -> int:
    """List, show, check or export presets."""
    if a.action == "list":
        all_of_them = {name: presets.load(name) for name in presets.names()}
        result(a, sorted(all_of_them), "\n".join(f"{n:<16}{p.notes}" for n, p in all_of_them.items()))
        return 0
    if not a.name:
        raise UsageError(f"preset {a.action} needs a name or a file; there are {', '.join(presets.names())}")
    if a.action == "export":
        return _export(a)
    texts = {name: presets.to_json(presets.load(name)).rstrip() for name in a.name}
    if a.action == "show":
        result(a, [json.loads(text) for text in texts.values()], "\n".join(texts.values()))
    else:
        result(a, dict.fromkeys(texts, "fits"), "\n".join(f"{name}: fits" for name in texts))
    return 0


def _export(a: argparse.Namespace) -> int:
    """Write a preset for another program, and tell what became of each effect."""
    if not a.to:
        raise UsageError("preset export needs --to PROGRAM; see afx-live preset --help")
    if len(a.name) > 1:
        raise UsageError("preset export takes one preset at a time")
    files, lines = other_programs.write(
        presets.load(a.name[0]), a.to, a.output, sample_rate=a.samplerate, install=a.install, force=a.force,
        pipeline="input" if a.microphone else "output", plugin=a.plugin,
    )  # fmt: skip
    told = [{"effect": line.effect, "fidelity": line.grade, "note": line.note} for line in lines]
    result(a, {"files": [str(path) for path in files], "effects": told}, "\n".join(map(str, [*files, *lines])))
    return 0


def _write_layouts(files: list[tuple[Path, Callable[[], str]]], force: bool) -> int:
    """Write each file, or print it for the path `-`."""
    if len({path for path, _ in files}) < len(files):
        raise UsageError("several files of one name, or to standard output; give each a name of its own")
    for path, _ in files:
        if str(path) != "-" and path.exists() and not force:
            raise UsageError(f"{path} exists; add --force to replace it, or choose another name")
    for path, make in files:
        if str(path) == "-":
            print(make(), end="")
            continue
        try:
            path.write_text(make(), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}; name another place") from None
        print(f"wrote {path}", file=sys.stderr)
    return 0


def osc(a: argparse.Namespace) -> int:
    """Print the OSC addresses, or write them as files for other programs."""
    from ..osc.addresses import addresses, table, table_markdown
    from ..osc.layouts import open_stage_control, reaper_effect, reaper_osc

    files = [(a.reaper, reaper_osc), (a.reaper_effect, reaper_effect), (a.open_stage_control, open_stage_control)]
    if asked := [(path, make) for path, make in files if path]:
        return _write_layouts(asked, a.force)
    data = [
        {"path": x.path, "kind": x.kind, "low": x.low, "high": x.high, "unit": x.unit, "doc": x.doc}
        for x in addresses()
    ]
    result(a, data, (table_markdown() if a.markdown else table()).rstrip())
    return 0
