"""Training by ear: every step draws and plays new pairs, and what the chain makes of the input is compared with f's.

First the responses are learned, as `system` learns them from renders on disk; then, most of the time, the
settings are moved by the error of the sound itself. Its expectation is least where a doubtful effect is set
timidly, so caution is learned with the rest. Whether an effect is on at all is learned from what it does:
each pair is played twice, with one effect switched, and the nearer of the two says what was right.
"""

import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from ...chain import CANONICAL
from .. import priors, render_cache
from ..datamodules import RecordingsDataModule
from ..other_effects import compressors, distortions, outcome, reverbs
from ..other_effects import filters as law_filters
from ..recordings.recordings import Recording
from ..response_losses import equaliser_error
from ..response_system import ResponseSystem
from .bank import Bank, make_bank
from .pair_sampler import Batch, Drawer
from .torch_chain import Distance, Player

MEL_WEIGHT = 0.5
"""Of the log-mel error beside the STFT error."""
LEAST_GAIN = 0.005
"""An effect must be worth so much of the error of doing nothing."""
RESPONSES = 0.1
"""Weight of the responses' losses once the sound is heard."""
REMEMBERED = 3
"""Earlier batches that come with each new one while only responses are learned: statistics are cheap, sound is not."""


class Endless(IterableDataset):
    """Numbers of steps: what a step works on is drawn where it works."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(1 << 62))


class OnTheFlyData(RecordingsDataModule):
    """Recordings, filters and rooms to draw pairs from; made once, kept on disk, held in the device's memory.

    batch_size: pairs a step. filters, rooms, amplifiers: see `bank.make_bank`. All else: see `FromRecordings`.
    """

    KEPT = "banks"
    train: Bank
    validation: Bank

    def __init__(
        self,
        folder: str,
        *,
        batch_size: int = 128,
        filters: int = 6000,
        rooms: int = 1500,
        amplifiers: int = 600,
        **kwargs: Any,
    ) -> None:
        super().__init__(folder, **kwargs)
        self.save_hyperparameters()
        self.batch_size, self.sizes = batch_size, (filters, rooms, amplifiers)

    def prepare_data(self) -> None:
        """Make the banks that the cache lacks."""
        train, validation = self.recordings()
        self._homes = (
            self._made(train, self.sizes, self.seed),
            self._made(validation, [n // 6 for n in self.sizes], self.seed + 1),
        )

    def _made(self, recordings: list[Recording], sizes: Sequence[int], seed: int) -> Path:
        parts = outcome, law_filters, compressors, distortions, reverbs, priors, make_bank
        home = self.cache / render_cache.made_of(recordings, parts, seed, True, sizes=list(sizes))
        if not (home / "own.npy").exists():
            home.mkdir(parents=True, exist_ok=True)
            bank = make_bank(recordings, seed, self.workers, *sizes)
            for name in (*(n for n in Bank.__dataclass_fields__ if n != "own"), "own"):
                np.save(home / f"{name}.npy", getattr(bank, name))
        return home

    def setup(self, stage: str | None = None) -> None:
        """Open the banks on every process."""
        self.prepare_data()
        self.train, self.validation = (
            Bank(**{n: np.load(home / f"{n}.npy", "c" if n == "sound" else None) for n in Bank.__dataclass_fields__})
            for home in self._homes
        )

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Endless(), batch_size=None)


class SoundSystem(ResponseSystem):
    """`System`, trained by ear for so many minutes; `share` of them by responses only.

    pairs: of each validation, which comes every `every` steps. All else: see `System`.
    """

    def __init__(
        self,
        minutes: float = 60.0,
        share: float = 0.2,
        pairs: int = 256,
        every: int = 500,
        seed: int = 1,
        dropout: float = 0.1,
        noise: float = 0.1,
        controller: int = 448,
        **kwargs: Any,
    ) -> None:
        super().__init__(dropout=dropout, noise=noise, controller=controller, **kwargs)
        self.minutes, self.share, self.pairs, self.every, self.seed = minutes, share, pairs, every, seed
        self.used_s = 0.0
        self._player, self._distance, self._drawers = [Player()], [Distance()], []  # in lists: not part of the model
        self._earlier: list[tuple[torch.Tensor, ...]] = []

    # --- time ---------------------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """How much of the time is used, 0 to 1."""
        return min(1.0, self.used_s / (60.0 * self.minutes))

    def on_fit_start(self) -> None:
        """Bring everything to the device; take the normalisation from what is drawn, unless a checkpoint brought it."""
        data: OnTheFlyData = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        for part in (*self._player, *self._distance):
            part.to(self.device)
        banks = (data.train, self.seed + 1000 * self.global_rank), (data.validation, self.seed + 1)
        self._drawers = [Drawer(bank, seed).to(self.device) for bank, seed in banks]
        self._batch_size = data.batch_size
        if not bool((self.predictor.encoder.scale != 1.0).any()):
            drawn = [self._drawers[0].draw(self._batch_size) for _ in range(6)]
            with torch.no_grad():
                rows = [self.predictor.encoder.front_end(x) for b in drawn for x in (b.input, b.reference)]
            self.predictor.encoder.normalise_by(torch.cat(rows))
        self._since = time.monotonic()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["used_s"] = self.used_s

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.used_s = checkpoint.get("used_s", 0.0)

    def on_train_batch_start(self, batch: Any, index: int) -> int | None:
        """Set the learning rate, which rises for a moment and falls as a cosine of the time used; end in time."""
        now = time.monotonic()
        self.used_s, self._since = self.used_s + now - self._since, now
        if self.progress >= 1.0:
            self.trainer.should_stop = True
            return -1
        rate = min(1.0, (self.global_step + 1) / 200.0) * 0.5 * (1.0 + math.cos(math.pi * self.progress))
        for group in self.optimizers().optimizer.param_groups:  # pyright: ignore
            group["lr"] = self.learning_rate * max(rate, 1e-3)
        return None

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=self.hparams["weight_decay"])

    # --- steps --------------------------------------------------------------------------------------

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        drawn = self._drawers[0].next(self._batch_size)
        if self.progress < self.share:
            losses = self._losses(self._with_earlier(self._rows(drawn)))
        else:
            losses = self._by_ear(drawn)
        self.log_dict({f"train/{k}": v for k, v in losses.items()}, batch_size=len(drawn.input))
        return losses["loss"]

    def on_after_backward(self) -> None:
        """Leave out a step whose gradient is no number: one pair in a million must not end a training."""
        grads = [p.grad for p in self.parameters() if p.grad is not None]
        if not bool(torch.stack([g.isfinite().all() for g in grads]).all()):
            for g in grads:
                g.zero_()

    def _rows(self, b: Batch) -> tuple[torch.Tensor, ...]:
        """Write a batch as `System` reads it; a pair with a silent clip tells nothing."""
        with torch.no_grad():
            raw = [self.predictor.encoder.front_end(x) for x in (b.input, b.reference)]
        heard = b.heard[:, None]
        raw = [torch.where(heard > 0.5, r, self.predictor.encoder.mean) for r in raw]
        return *raw, b.values, b.on, b.tone, b.kin, b.curve, b.trust * heard, b.sure * heard

    def _with_earlier(self, rows: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        picked = random.choices(self._earlier, k=REMEMBERED) if self._earlier else []
        self._earlier.append(rows)
        return tuple(torch.cat(parts) for parts in zip(rows, *picked, strict=True))

    def _by_ear(self, b: Batch) -> dict[str, torch.Tensor]:
        rows = self._rows(b)
        unit, logits, curve, kin = self.predictor(*rows[:2])
        values = self.values(unit)
        losses = self._responses(values, curve, rows)
        on = torch.bernoulli(torch.sigmoid(2.0 * logits.detach()))
        which = torch.randint(len(CANONICAL), (len(on),), device=on.device)
        switched = torch.where(nn.functional.one_hot(which, len(CANONICAL)) > 0, 1.0 - on, on)
        errors = self._errors(b, curve, values, [on, switched])
        with torch.no_grad():
            nothing = self._measured(b.input, b.answer)
        weight = b.heard / (0.3 + nothing)
        losses["sound"] = (weight * torch.stack(errors).mean(0)).sum() / b.heard.sum().clamp(min=1.0)
        before, after = errors[0].detach(), errors[1].detach()
        was_on = on.gather(1, which[:, None])[:, 0]
        gain = torch.where(was_on > 0.5, after - before, before - after)  # of the effect that was switched
        right = (gain > LEAST_GAIN * (nothing + 0.1)).float()
        matter = b.heard * (gain.abs() / (0.05 * (0.3 + nothing))).clamp(0.3, 2.0)
        doubt = nn.functional.binary_cross_entropy_with_logits(
            logits.gather(1, which[:, None])[:, 0], right, reduction="none"
        )
        losses["on"] = (matter * doubt).sum() / matter.sum().clamp(min=1.0)
        losses["kin"] = nn.functional.binary_cross_entropy_with_logits(kin[:, 0], b.kin)
        losses["loss"] = losses["sound"] + RESPONSES * losses["response"] + 0.5 * losses["on"] + 0.2 * losses["kin"]
        return losses

    def _responses(self, values: torch.Tensor, curve: torch.Tensor, rows: tuple[torch.Tensor, ...]) -> dict[str, Any]:
        """Judge our own effects by what they do, and the equaliser's bands by the curve that they stand for."""
        _, _, true, on, _, _, wanted, trust, _ = rows
        each = self.response_errors(values, true, on, wanted, trust)[1:]
        bands = equaliser_error(values[:, self.chain.columns("equaliser")], curve.detach()).mean()
        return {"response": each.sum() + bands}

    def _errors(
        self, b: Batch, curve: torch.Tensor, values: torch.Tensor, shares: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        n = len(shares)
        played = self._player[0](b.input.repeat(n, 1), curve.repeat(n, 1), values.repeat(n, 1), torch.cat([*shares]))
        return list(self._measured(played, b.answer.repeat(n, 1)).chunk(n))

    def _measured(self, result: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        spectral, mel = self._distance[0](result, truth)
        return spectral + MEL_WEIGHT * mel

    # --- what is held out -----------------------------------------------------------------------------

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        if index % self.every == 0 and self.progress > self.share:
            found = self.judge(self.pairs)
            self.log_dict({f"validation/{k}": v for k, v in found.items()}, batch_size=1)
            said = ", ".join(f"{k} {v:.3f}" for k, v in found.items())
            print(f"{self.used_s / 60:.1f} min, step {self.global_step}: {said}", flush=True)

    @torch.no_grad()
    def judge(self, pairs: int) -> dict[str, float]:
        """Measure new pairs of the validation recordings: doing nothing, and what is more likely than not."""
        self.eval()
        none, done = [], []
        for _ in range(max(1, pairs // self._batch_size)):
            b = self._drawers[1].draw(self._batch_size)
            unit, logits, curve, _ = self.predictor(*self._rows(b)[:2])
            error = self._errors(b, curve, self.values(unit), [(logits > 0).float()])[0]
            none.append(self._measured(b.input, b.answer) * b.heard)
            done.append(error * b.heard)
        self.train()
        none, done = torch.cat(none), torch.cat(done)
        worse = (done > 1.01 * none + 1e-3).float().mean()
        return {"nothing": float(none.mean()), "error": float(done.mean()), "harmed": float(worse)}

    @torch.no_grad()
    def table(self, pairs: int) -> dict[str, np.ndarray]:
        """Play pairs of the validation recordings with every subset of the effects, for calibration.

        probability (pairs, effects), kin (pairs,): what the model says; same, on: what is so; spectral and
        mel (pairs, 16): errors, of subset i by the bits of i, the equaliser's the lowest; nothing (pairs, 2).
        """
        self.eval()
        rows: dict[str, list[np.ndarray]] = {}
        for _ in range(max(1, pairs // self._batch_size)):
            b = self._drawers[1].draw(self._batch_size)
            unit, logits, curve, kin = self.predictor(*self._rows(b)[:2])
            values = self.values(unit)
            errors = []
            for i in range(1 << len(CANONICAL)):
                share = torch.tensor([float(i >> e & 1) for e in range(len(CANONICAL))], device=self.device)
                played = self._player[0](b.input, curve, values, share.expand(len(b.input), -1))
                errors.append(torch.stack(self._distance[0](played, b.answer)))
            both = torch.stack(errors, 2)
            found = {
                "probability": torch.sigmoid(logits),
                "kin": torch.sigmoid(kin[:, 0]),
                "same": b.kin,
                "on": b.on,
                "heard": b.heard,
                "spectral": both[0],
                "mel": both[1],
                "nothing": torch.stack(self._distance[0](b.input, b.answer), 1),
            }
            for key, value in found.items():
                rows.setdefault(key, []).append(value.cpu().numpy())
        self.train()
        return {key: np.concatenate(value) for key, value in rows.items()}
