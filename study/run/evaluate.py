"""Run the study: every system of the plan on every pair, rows to disk as they come, through Lightning.

`Trainer.predict` spreads the pairs over processes and nodes as training does. Each process writes
`rows-<rank>.jsonl`; at a run's start and end these are merged into `rows.jsonl`. A row that exists is not computed
again, so an interrupted run continues, and the number of processes changes nothing in a row but its `seconds`.
"""

import json
import logging
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import lightning
import numba
import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from ...training.recordings import Recording
from ..metrics.score import score
from ..pairs import generators
from ..pairs.condition import Pair, System
from ..pairs.sources import kind_of
from ..systems import registry
from . import plan, rows
from .provenance import Hashes, machine, model_hash, versions

BARRIER_TIMEOUT = timedelta(days=7)
"""How long a process waits for the others at the end; Lightning's default of 30 minutes is too short."""
DDP = {"ddp": "popen", "ddp_spawn": "spawn"}
PROGRESS_S = 30.0


@dataclass
class Study:
    """What to run: test recordings, folder of trainings, folder of rows, cells.

    retry: compute failed rows again; metrics: only these, or all if empty.
    """

    recordings: list[Recording]
    models: Path
    out: Path
    cells: plan.Cells
    seed: int = 7
    retry: bool = False
    metrics: tuple[str, ...] = ()

    def missing(self, found: dict[rows.Key, rows.Row]) -> list[plan.Task]:
        """List what is left to do, including rows of models that have been trained again since."""
        now = {name: self._hash(name) for name in {row["system"] for row in found.values() if row["model"]}}
        stale = {k for k, row in found.items() if row["model"] and now[row["system"]] not in (None, row["model"])}
        done = {k for k, row in found.items() if not (self.retry and row["failed"])} - stale
        return plan.tasks(self.cells, self.seed, done)

    def _hash(self, system: str) -> str | None:
        try:
            return model_hash(system, self.models)
        except (FileNotFoundError, ValueError):  # a training, or a system, that no longer exists
            return None

    def header(self) -> dict[str, Any]:
        """Describe the run: when, where, on which recordings."""
        hashes = Hashes(self.recordings)
        return {
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "command": sys.argv,
            "seed": self.seed,
            "machine": machine(),
            "versions": versions(),
            "cells": [{**asdict(condition), "systems": counts} for condition, counts in self.cells.items()],
            "recordings": hashes.all_files(),
            "recordings_sha256": hashes.whole,
        }


class PairDataset(lightning.LightningDataModule):
    """The pairs that are left to do; every process sees the same list."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study, self.prepare_data_per_node = study, False
        self.tasks: list[plan.Task] = []

    def prepare_data(self) -> None:
        """Merge what an earlier run left, and describe this one; in one process, before the others read it."""
        self.study.out.mkdir(parents=True, exist_ok=True)
        rows.merge(self.study.out)
        (self.study.out / "run.json").write_text(json.dumps(self.study.header(), indent=1) + "\n")

    def setup(self, stage: str) -> None:
        """List what is left. Lightning lets no process continue before all have done so."""
        self.tasks = self.study.missing(rows.read_folder(self.study.out))

    def predict_dataloader(self) -> DataLoader:
        return DataLoader(range(len(self.tasks)), batch_size=1)  # pyright: ignore[reportArgumentType]


class StudyModule(lightning.LightningModule):
    """Answers and scores in one process; a batch is one pair."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study

    def on_predict_start(self) -> None:
        """Prepare this process: one thread, quiet, ended by SIGTERM; `close` undoes it."""
        self.undo = ExitStack()
        self.undo.enter_context(_quiet())
        self.undo.callback(torch.set_num_threads, torch.get_num_threads())
        self.undo.callback(numba.set_num_threads, numba.get_num_threads())
        torch.set_num_threads(1)
        numba.set_num_threads(1)
        if threading.current_thread() is threading.main_thread():
            self.undo.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, self._end))
        self.evaluator = Evaluator(self.study)
        self.progress = Progress(self.study.out, self.global_rank, self.trainer.world_size)
        self.file = self.undo.enter_context(open(self.study.out / f"rows-{self.global_rank}.jsonl", "a"))

    def predict_step(self, batch: torch.Tensor) -> None:
        task = self.trainer.datamodule.tasks[int(batch)]  # pyright: ignore[reportAttributeAccessIssue]
        with torch.enable_grad():  # some systems fit a chain
            for row in self.evaluator.evaluate(task):
                self.file.write(rows.line(row))
                self.file.flush()
                self.progress.failed += row["failed"] is not None
        self.progress.step(int(self.trainer.num_predict_batches[0]))

    def _end(self, number: int, frame: object) -> None:
        """End all processes at once.

        Lightning's handler would raise in the middle of an answer; if another process has already ended, that would
        look like a system that fails.
        """
        if self.trainer.strategy.launcher is not None:
            self.trainer.strategy.launcher.kill(signal.Signals(number))
        raise SystemExit(128 + number)

    def on_predict_end(self) -> None:
        """Merge once all processes are done."""
        self.file.close()
        self.trainer.strategy.barrier()
        if self.trainer.is_global_zero:
            rows.merge(self.study.out)
        self.progress.end()
        for why in dict.fromkeys(self.evaluator.absent.values()):
            names = [name for name, reason in self.evaluator.absent.items() if reason == why]
            self.progress.log(f"left out {', '.join(names)}: {why}")
        self.close()

    def close(self) -> None:
        """Leave the process as it was found."""
        if hasattr(self, "undo"):
            self.undo.close()


@dataclass
class Evaluator:
    """One process' systems, each made once, and the provenance of its rows."""

    study: Study
    made: dict[str, System] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hashes, self.versions = Hashes(self.study.recordings), versions()

    def evaluate(self, task: plan.Task) -> Iterator[rows.Row]:
        """Yield a row for each system of a task that exists; a pair that cannot be drawn fails all of them."""
        names = [name for name in task.systems if self._exists(name)]
        if not names:
            return
        try:
            pair = generators.draw_pair(task.condition, self.study.recordings, task.index, self.study.seed)
        except Exception as error:  # recorded: another draw may work
            for name in names:
                yield self._row(task, name) | {"failed": f"no pair: {_reason(error)}"}
            return
        for name in names:
            yield self._scored(task, name, pair)

    def _exists(self, name: str) -> bool:
        """Make a system; one without a checkpoint gets no rows, so that it can still get them later."""
        if name not in self.made and name not in self.absent:
            try:
                self.made[name] = registry.system(name, self.study.models)
            except FileNotFoundError as error:
                self.absent[name] = str(error)
            except Exception as error:
                failed = error
                self.made[name] = lambda pair: _raise(failed)
        return name in self.made

    def _scored(self, task: plan.Task, name: str, pair: Pair) -> rows.Row:
        group = [r for r in self.study.recordings if r.group == pair.recording]
        row = self._row(task, name) | {
            "audio_s": len(pair.input) / pair.sample_rate,
            "recording": pair.recording,
            "about": pair.about,
            "recordings": self.hashes.of(group) | {"all": self.hashes.whole},
        }
        began = time.process_time()  # not affected by other processes
        try:
            result = self.made[name](pair)
            row["seconds"] = round(time.process_time() - began, 4)
            if result.audio.shape != pair.input.shape or not np.isfinite(result.audio).all():
                raise ArithmeticError(f"audio of shape {result.audio.shape} for {pair.input.shape}, or NaN or Inf")
            row["model"] = model_hash(name, self.study.models)
            speech = bool(group) and kind_of(group[0]) == "speech"
            row["scores"] = _finite(score(result, pair, speech, row["unmeasured"], self.study.metrics))
        except registry.NotApplicable as error:
            row["not_applicable"] = str(error)
        except Exception as error:  # a system that fails is a result, and no reason to stop
            row["failed"] = _reason(error)
        return row

    def _row(self, task: plan.Task, name: str) -> rows.Row:
        return {
            "condition": asdict(task.condition),
            "index": task.index,
            "seed": self.study.seed,
            "system": name,
            "scores": {},
            "failed": None,
            "unmeasured": {},
            "seconds": None,
            "audio_s": None,
            "recording": None,
            "about": "",
            "versions": self.versions,
            "recordings": {"all": self.hashes.whole},
            "model": None,
        }


def _raise(error: Exception) -> Any:
    raise error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _finite(scores: dict[str, float | None]) -> dict[str, float | None]:
    return {k: round(float(v), 6) if v is not None and np.isfinite(v) else None for k, v in scores.items()}


class Progress:
    """Progress of the first process on stderr, with the time that is left."""

    def __init__(self, out: Path, rank: int, world: int) -> None:
        self.out, self.rank, self.world = out, rank, world
        self.began = self.logged = time.monotonic()
        self.done = self.failed = 0

    def step(self, total: int) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.logged >= PROGRESS_S or self.done == total:
            self.logged, left_min = now, (now - self.began) / self.done * (total - self.done) / 60
            of = f" (one of {self.world} processes)" if self.world > 1 else ""
            self.log(f"{self.done} of {total} pairs{of}, {self.failed} rows failed, about {left_min:.0f} min left")

    def end(self) -> None:
        self.log(f"rows in {self.out / rows.ROWS}")

    def log(self, text: str) -> None:
        if self.rank == 0:
            print(f"afx-study: {text}", file=sys.stderr, flush=True)


def run(
    study: Study, devices: int | str = 1, num_nodes: int = 1, strategy: str = "auto", accelerator: str = "cpu"
) -> dict[rows.Key, rows.Row]:
    """Compute what is missing and return all rows; the flags are those of Lightning's Trainer."""
    left = len(study.missing(rows.read_folder(study.out)))
    if not left:
        return rows.merge(study.out)
    if isinstance(devices, int) or devices.isdigit():
        devices = max(1, min(int(devices), left // num_nodes))  # no process without a pair
    if strategy == "auto" and (devices != 1 or num_nodes > 1):
        strategy = "ddp"
    module = StudyModule(study)
    with _quiet():
        trainer = lightning.Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            inference_mode=False,
            barebones=False,
            strategy=DDPStrategy(start_method=DDP[strategy], timeout=BARRIER_TIMEOUT) if strategy in DDP else strategy,  # pyright: ignore
        )
        try:
            trainer.predict(module, PairDataset(study), return_predictions=False)
        finally:
            module.close()
    return rows.read_folder(study.out)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice off stderr, which is for progress."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    with warnings.catch_warnings():
        log.setLevel(logging.WARNING)
        for words in (".*predict returned None.*", ".*does not have many workers.*", ".*LeafSpec.*"):
            warnings.filterwarnings("ignore", words)
        try:
            yield
        finally:
            log.setLevel(level)


def check_systems(names: Sequence[str]) -> None:
    """Check names given on the command line; ValueError, by name, for unknown ones."""
    for name in names:
        registry.parse(name)
