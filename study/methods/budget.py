"""Equal budgets: a training ends when it has used its minutes of processor time."""

import csv
import time
from pathlib import Path
from typing import Any

import lightning
import numba
import torch

COLUMNS = ("cpu_minutes", "step", "epoch", "train_loss")


class Budget(lightning.Callback):
    """Stop after `minutes` of this process' own CPU time, spent on training steps; write the learning curve.

    Validation and checkpoints do not count, nor do other processes. The time used is kept in checkpoints, so a
    resumed training has the rest, or more minutes. The learning rate rises during the first 100 steps and
    falls tenfold at 80 % and at 95 % of the budget, as DeepAFx-ST's did. `curve.csv` in the trainer's root
    folder gets a row at each validation: minutes, steps, the mean training loss since the last row, and
    the validation metrics. threads: of torch and of numba, while the training runs.
    """

    WARM_UP_STEPS = 100

    def __init__(self, minutes: float = 60.0, threads: int = 1) -> None:
        if minutes <= 0:
            raise ValueError(f"minutes: {minutes:g} is not above 0")
        self.minutes, self.threads, self.used_s, self.rows = minutes, threads, 0.0, []
        self._losses: list[float] = []
        self._since = 0.0
        self._threads_before: tuple[int, int] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"used_s": self.used_s, "rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.used_s, self.rows = state_dict["used_s"], list(state_dict["rows"])

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._threads_before = numba.get_num_threads(), torch.get_num_threads()
        self._limit_threads()

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        self._restore_threads()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        self._restore_threads()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._since = time.process_time()
        if self.used_s >= 60.0 * self.minutes:
            trainer.should_stop = True

    def _limit_threads(self) -> None:
        numba.set_num_threads(min(self.threads, numba.config.NUMBA_NUM_THREADS))  # pyright: ignore
        # After numba: its pool, when it starts, sets OpenMP's threads for torch, too, and idle ones cost CPU time.
        torch.set_num_threads(self.threads)

    def _restore_threads(self) -> None:
        if self._threads_before:
            numba.set_num_threads(self._threads_before[0])
            torch.set_num_threads(self._threads_before[1])
            self._threads_before = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._limit_threads()
        share = self.used_s / (60.0 * self.minutes)
        factor = min(1.0, (trainer.global_step + 1) / self.WARM_UP_STEPS) * (
            1.0 if share < 0.8 else 0.1 if share < 0.95 else 0.01
        )
        for optimiser in trainer.optimizers:
            for group in optimiser.param_groups:
                group["lr"] = factor * group.setdefault("initial_lr", group["lr"])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._losses.append(float(outputs["loss"]))
        now = time.process_time()
        self.used_s, self._since = self.used_s + now - self._since, now
        if self.used_s >= 60.0 * self.minutes:
            trainer.should_stop = True

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.sanity_checking or not self._losses:
            return
        row = {"cpu_minutes": round(self.used_s / 60.0, 4), "step": trainer.global_step, "epoch": trainer.current_epoch}
        row["train_loss"] = sum(self._losses) / len(self._losses)
        found = {k.replace("/", "_"): float(v) for k, v in trainer.callback_metrics.items() if "/" in k}
        self.rows.append({**row, **found})
        self._losses.clear()
        self._write(Path(trainer.default_root_dir) / "curve.csv")
        self._since = time.process_time()

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [*COLUMNS, *sorted({k for row in self.rows for k in row} - set(COLUMNS))]
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
