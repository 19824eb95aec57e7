"""`afx-live render`: play files through the engine into files: one, a folder of thousands, or a pipe."""

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from ...files.distinct import Named, check_distinct
from ...files.pipe import is_stream
from ...files.streams import shown
from ..batch import Item, Manifest, cores, run, work_list
from ..batch.cluster import run_on_ray
from .errors import ExitCode, UsageError
from .printer import Printer
from .render_job import Rendered, RenderJob, failed
from .render_pipe import Raw, input_of, render_pipe
from .saving import check_preset_path, model_files, refuse_existing
from .saving import save_preset as write_preset
from .sources import load_sources
from .stopping import term_interrupts
from .wishes import NO_WISHES, Wishes

LISTEN_S = 30.0
NOWHERE = "afx-live-dry-run/"
"""What a dry run calls the folder that it does not write to."""


def render(
    inputs: Sequence[str],
    output: str | None = None,
    reference: Sequence[Path] = (),
    preset: str | None = None,
    amount: float | None = None,
    wishes: Wishes = NO_WISHES,
    model: Path | None = None,
    dry_run: bool = False,
    lufs: float | None = None,
    channels: Sequence[int] = (),
    subtype: str = "",
    save_preset: Path | None = None,
    force: bool = False,
    jobs: int | None = None,
    resume: bool = False,
    manifest: Path | None = None,
    shard: tuple[int, int] = (1, 1),
    ray: str | None = None,
    encoding: str = "",
    rate: int = 0,
    listen: float = LISTEN_S,
    printer: Printer | None = None,
) -> int:
    """Render files, folders and globs into a file or folder, or `-`, a pipe, into another; returns 0, or 4.

    It is 4 if one of several files failed, which stops none of the others; what is wrong with a single file is raised:
    UsageError, ClipError, PresetError or ModelError. The parameters are the command's: see afx-live render --help.
    """
    printer = printer or Printer()
    if dry_run:
        if any(map(is_stream, inputs)) or resume or manifest or ray is not None:
            raise UsageError("--dry-run hears files and writes none: leave out pipes, --resume, --manifest and --ray")
        output = NOWHERE
    elif output is None:
        raise UsageError("give -o OUT, a file or a folder; or --dry-run, which writes no sound")
    if input_of(inputs[0]) and len(inputs) == 1 and not encoding:
        inputs = [str(input_of(inputs[0]))]
    piped = [text for text in [*inputs, output] if is_stream(text)]
    items = [Item(Path(inputs[0]), Path(output))] if piped else work_list(inputs, output, shard)
    if piped and (len(inputs) > 1 or resume or manifest or ray is not None or shard != (1, 1)):
        raise UsageError(f"{shown(piped[0])} is a pipe: it goes alone, without --resume, --manifest, --shard and --ray")
    from_stdin = [*map(str, reference), *inputs].count("-")
    if from_stdin > 1:
        raise UsageError("standard input can be read once: only one of IN and --reference can be -")
    if (encoding or rate) and not piped:
        raise UsageError("--format and --rate are for raw samples in a pipe: give - as IN or as OUT")
    if encoding and is_stream(inputs[0]) and (not rate or len(channels) != 1):
        raise UsageError("raw samples do not say how they are to be read: give --rate HZ and --channels COUNT, too")
    ledger = manifest or (_manifest_path(output, shard) if resume else None)
    _check([] if dry_run else items, reference, preset, model, save_preset, ledger, force or resume, force)
    if output == "-":
        printer = replace(printer, sound_out=True)
    sources = load_sources(reference, preset, model, printer, wishes=wishes)
    job = RenderJob(sources, amount, lufs, subtype, tuple(channels), force, dry_run)
    raw = Raw(encoding, rate, channels[0] if encoding and channels else 0)
    with term_interrupts():
        if dry_run:
            rows = [job.render(item) for item in items]
            printer.result([row.data() for row in rows], "\n".join(map(str, rows)))
            last = rows[-1]
        elif piped:
            last = _report(render_pipe(job, items[0], listen, raw), printer)
        elif len(items) == 1 and ledger is None and ray is None:
            with printer.bar(items[0].source.name) as step:
                last = job.render(items[0], step)
            _report(last, printer)
        else:
            book = Manifest(ledger, job.key()) if ledger else None
            last, code = _Batch(items, job, book, resume, force, printer).run(jobs, ray)
            if last is None or code:
                return code
    if save_preset and last:
        _save(last, job, save_preset, force)
    return ExitCode.DONE


def _manifest_path(output: str, shard: tuple[int, int]) -> Path:
    name = "afx-live.jsonl" if shard == (1, 1) else f"afx-live-{shard[0]}-of-{shard[1]}.jsonl"
    folder = output.endswith("/") or not Path(output).suffix
    return Path(output) / name if folder else Path(output).with_suffix(".jsonl")


def _check(
    items: Sequence[Item],
    references: Sequence[Path],
    preset: str | None,
    model: Path | None,
    saved: Path | None,
    manifest: Path | None,
    may_be_there: bool,
    force: bool,
) -> None:
    """Compare all files of the command with each other, and refuse those that are there, before any work."""
    named = [Named("an input", item.source) for item in items if not is_stream(item.source)]
    named += [Named("a reference", path) for path in references if not is_stream(path)]
    named += [Named("the preset", Path(preset))] if preset and Path(preset).is_file() else []
    named += model_files(model)
    named += [Named("an output", item.target, True) for item in items if not is_stream(item.target)]
    named += [Named("the preset to be saved", saved, True)] if saved else []
    named += [Named("the manifest", manifest, True)] if manifest else []
    check_distinct(named)
    check_preset_path(saved, force)
    for item in items:
        if not is_stream(item.target):
            refuse_existing(item.target, may_be_there)


def _report(done: Rendered, printer: Printer) -> Rendered:
    for note in done.notes:
        printer.note(f"{shown(done.input)}: {note}")
    printer.result([done.data()], str(done))
    return done


def _save(last: Rendered, job: RenderJob, path: Path, force: bool) -> None:
    write_preset(last.preset(path.stem, job.sources), path, force)


class _Batch:
    """Many files: each is told when it is done, and what went wrong with one stops no other."""

    def __init__(
        self, items: Sequence[Item], job: RenderJob, book: Manifest | None, resume: bool, force: bool, printer: Printer
    ) -> None:
        self.items = [replace(item, ours=bool(book and resume and book.made(item))) for item in items]
        self.job, self.book, self.printer = job, book, printer
        self.resume, self.force = resume, force
        self.rows: dict[Item, dict[str, Any]] = {}
        self.rendered: dict[Item, Rendered] = {}

    def run(self, jobs: int | None, ray: str | None) -> tuple[Rendered | None, int]:
        """Do it all; gives the last file's rendering, in the order of the list, and the exit code."""
        begin, total = perf_counter(), sum(map(_size, self.items))
        left = [item for item in self.items if not self._is_done(item)]
        jobs = jobs or cores()
        done = total - sum(map(_size, left))
        try:
            with self.printer.bar(f"{len(left)} files", total) as step:
                step(done, total)
                with closing(self._rows(left, jobs, ray)) as rows:
                    for item, row in rows:
                        self._take(item, row)
                        done += _size(item)
                        step(done, total)
        except BaseException as error:  # what is done is told, however it ends
            error.files = self._told()  # pyright: ignore[reportAttributeAccessIssue]
            raise
        if self.printer.as_json:
            self.printer.result(self._told(), "")
        code = ExitCode.CLIP if any(row["status"] == "failed" for row in self.rows.values()) else ExitCode.DONE
        self.printer.note(self._summary(perf_counter() - begin))
        last = [self.rendered[item] for item in self.items if item in self.rendered]
        return (last[-1] if last else None), code

    def _told(self) -> list[dict[str, Any]]:
        return [self.rows[item] for item in self.items if item in self.rows]

    def _rows(
        self, left: Sequence[Item], jobs: int, ray: str | None
    ) -> Generator[tuple[Item, dict[str, Any]], None, None]:
        if ray is not None:
            if os.path.exists(ray):
                raise UsageError(f"--ray {ray}: that is a file; write --ray= for a cluster on this machine")
            return run_on_ray(left, self.job, ray, failed)
        return run(left, self.job, jobs, failed)

    def _is_done(self, item: Item) -> bool:
        """Tell whether an item is to be left alone, and why."""
        row = self.book.done(item) if self.book and self.resume else None
        if row is not None:
            self.rows[item] = {**row, "status": "left alone", "why": "the manifest says that it is done"}
            return True
        if item.target.exists() and not self.force and not item.ours:
            why = "it exists, and is not as the manifest knows it; --force replaces it"
            self.rows[item] = {**_paths(item), "status": "left alone", "why": why}
            self.printer.note(f"{shown(item.target)}: left alone: {why}")
            return True
        return False

    def _take(self, item: Item, row: dict[str, Any]) -> None:
        """Tell of an item that has been worked on."""
        rendered = row.pop("rendered", None)
        if rendered is not None:
            self.rendered[item] = rendered
            self.printer.text(str(rendered) if self.printer.verbose else rendered.line())
            for note in rendered.notes:
                self.printer.note(f"{shown(item.source)}: {note}")
        elif row["status"] == "failed":
            print(f"afx-live: {_about(item, row['message'])}", file=sys.stderr, flush=True)
        self.rows[item] = {**row, **(rendered.data() if rendered else {}), **_paths(item)}
        if self.book:
            self.book.add(item, self.rows[item])

    def _summary(self, took_s: float) -> str:
        counts = {
            status: sum(row["status"] == status for row in self.rows.values())
            for status in ("done", "left alone", "failed")
        }
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        sound_s = sum(each.seconds for each in self.rendered.values())
        return f"{len(self.items)} files: {said or 'nothing to do'}; {sound_s / 60:.1f} min of sound in {_time(took_s)}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _paths(item: Item) -> dict[str, str]:
    return {"input": str(item.source), "output": str(item.target)}


def _about(item: Item, text: str) -> str:
    name = shown(item.source)
    return text if name in text else f"{name}: {text}"


def _size(item: Item) -> int:
    with suppress(OSError):
        return item.source.stat().st_size
    return 0
