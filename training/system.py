"""The LightningModule: what a step is, what is measured, how it is optimised.

Two phases share it. On *responses*, settings are judged by what they do (curves in dB, decay times)
against f's, where f is known; nothing is rendered. On *sound*, they play an input through the chain's
kernels and are judged against the answer, and the responses are kept in mind with less weight.
"""

import math
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import nn

from ..chain import CANONICAL, ChainParameters
from .features import BANDS
from .network import Answer, SettingsNetwork, Size, amounts
from .priors import is_learned
from .response_losses import NEARER, curve_error, errors, gains, serves
from .shards import Batch
from .sound_loss import by_sound, compared, played
from .weights import load_weights

CURVE_WEIGHT = 2.0
EQUALISER_WEIGHT = 0.3  # its curve counts; live, the bands are fitted to it
MOST_AT_STAKE = 3.0
"""A gain or loss counts up to this, in units of about 3 dB."""
HARM = 0.01
"""A pair is harmed if it is so much worse than with the loudness set only."""
AUDIBLE = 0.02
"""Where f leaves less error than this, it did nothing that is heard."""


class SettingsSystem(lightning.LightningModule):
    """Learns the chain's settings from input and reference.

    Each effect's parameters are trained only where the effect is on; that it is on, and would serve as
    it is predicted, is learned as a probability of its own. What the data do not vouch for (`confidence`,
    `on_certain`) is not trained.

    responses: weight of the responses' loss where sound is heard too. most: a pair's gradient of the sound is
    held under this norm. start: a checkpoint or a model folder, the shipped one for example, to take the weights
    from. chain: effects in playing order.
    """

    fixed: torch.Tensor
    defaults: torch.Tensor

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 5e-2,
        embedding: int = 128,
        encoder: int = 256,
        controller: int = 384,
        tone: int = 64,
        dropout: float = 0.2,
        noise: float = 0.15,
        responses: float = 0.1,
        most: float = 1.0,
        start: str | None = None,
        chain: Sequence[str] = CANONICAL,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["start"])
        self.chain = ChainParameters(tuple(chain))
        self.equaliser = self.chain.order.index("equaliser") if "equaliser" in self.chain.order else None
        self.learning_rate, self.weight_decay, self.responses, self.most = learning_rate, weight_decay, responses, most
        spans = [len(e.params) for e in self.chain.effects]
        size = Size(embedding, encoder, controller, tone, dropout, noise)
        self.predictor = SettingsNetwork(spans, size, self.equaliser)
        fixed = [not is_learned(e, p.name) for e, p in self.chain.params]
        self.register_buffer("fixed", torch.tensor(fixed), persistent=False)
        defaults = [p.default for _, p in self.chain.params]
        self.register_buffer("defaults", torch.tensor(defaults), persistent=False)
        if start:
            load_weights(self, start)

    def values(self, unit: torch.Tensor) -> torch.Tensor:
        """Map unit parameters (batch, params) to values in the parameters' own units."""
        columns = [p.value(unit[:, i]) for i, (_, p) in enumerate(self.chain.params)]
        return torch.where(self.fixed, self.defaults, torch.stack(columns, 1))

    def on_fit_start(self) -> None:
        """Take the normalisation from the data, unless a checkpoint brought it; ValueError for another chain's data."""
        data: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        if data.chain != self.chain:
            raise ValueError(f"the data are of the chain {data.chain.order}, the model is of {self.chain.order}")
        if not bool((self.predictor.encoder.scale != 1.0).any()):
            self.predictor.encoder.normalise_by(data.statistics())

    # --- responses

    def _losses(self, answer: Answer, batch: Batch) -> dict[str, torch.Tensor]:
        values = self.values(answer.unit)
        each = self.response_errors(values, batch.values, batch.on, batch.curve, batch.confidence)
        known = self._known(batch.on, batch.confidence)
        losses = dict(zip(self.chain.order, each, strict=True))
        losses["curve"], right = each.new_zeros(()), serves(self.chain, values.detach(), batch.values)
        if self.equaliser is not None:
            # Only where it is on: averaged with silence, the likeliest curve would be none at all.
            missed, tells = curve_error(answer.curve - batch.curve), known[:, self.equaliser]
            losses["curve"] = (tells * missed).sum() / tells.sum().clamp(min=1.0)
            right[:, self.equaliser] = (missed < NEARER * curve_error(batch.curve)).float()
        with torch.no_grad():  # an effect that would be set wrongly had better be left out
            right = batch.on * torch.where(known > 0.5, right, 1.0)
        doubt = nn.functional.binary_cross_entropy_with_logits(answer.on, right, reduction="none")
        losses["on"] = ((doubt * batch.on_certain).sum(0) / batch.on_certain.sum(0).clamp(min=1.0)).sum()
        losses["amount"] = self._amount_loss(answer, values.detach(), batch, known)
        told = answer.same_source[:, 0]
        losses["same_source"] = nn.functional.binary_cross_entropy_with_logits(told, batch.same_source)
        weights = torch.tensor([EQUALISER_WEIGHT if e == "equaliser" else 1.0 for e in self.chain.order]).to(each)
        losses["settings"] = (weights * each).sum() + CURVE_WEIGHT * losses["curve"] + losses["on"]
        losses["settings"] = losses["settings"] + losses["amount"]
        losses["loss"] = losses["settings"] + losses["same_source"]
        return losses

    def _amount_loss(self, answer: Answer, values: torch.Tensor, batch: Batch, known: torch.Tensor) -> torch.Tensor:
        """Weigh each decision by what is at stake: what the effect as predicted would gain, or spoil.

        So an amount says whether an effect is worth while, where `on` says whether it is there: C. Elkan, The
        Foundations of Cost-Sensitive Learning, IJCAI 2001.
        """
        with torch.no_grad():
            gain = gains(self.chain, values, batch.values, batch.on, answer.curve, batch.curve)
            judged = batch.on_certain * torch.where(batch.on > 0.0, (known > 0.5).float(), 1.0)
            stake = judged * gain.abs().clamp(max=MOST_AT_STAKE)
            stake = stake / stake.mean(0).clamp(min=1e-3)
        logits = answer.amount - answer.on + answer.on.detach()
        doubt = nn.functional.binary_cross_entropy_with_logits(logits, (gain > 0.0).float(), reduction="none")
        return (stake * doubt).mean(0).sum()

    def _known(self, on: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
        """Tell where an effect is on and its values are to be believed: (batch, effects)."""
        return on * torch.stack([confidence[:, self.chain.columns(e)].amax(1) for e in self.chain.order], 1)

    def response_errors(
        self, values: torch.Tensor, true: torch.Tensor, on: torch.Tensor, wanted: torch.Tensor, confidence: torch.Tensor
    ) -> torch.Tensor:
        """Give each effect's mean error (effects,) over the pairs that tell of it; see `response_losses.errors`."""
        known = self._known(on, confidence)
        return (errors(self.chain, values, true, confidence, wanted) * known).sum(0) / known.sum(0).clamp(min=1.0)

    # --- steps

    def _answer(self, batch: Batch) -> Answer:
        return self.predictor(batch.input, batch.reference, batch.allowed, batch.heard)

    def training_step(self, batch: dict[str, Batch], index: int) -> torch.Tensor:
        losses = self._losses(self._answer(batch["responses"]), batch["responses"])
        self.log_dict({f"train/{k}": v for k, v in losses.items()}, prog_bar=False)
        total = losses["loss"]
        if "sound" in batch:
            answer = self._answer(batch["sound"])
            heard, figures = by_sound(answer, self.chain, self.values, batch["sound"], self.most)
            self.log_dict({f"sound/{k}": v for k, v in figures.items()}, prog_bar=False)
            total = heard + self.responses * total
        # DDP waits for a gradient of every parameter, also of those that this phase or batch leaves out.
        return total + 0.0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()

    def validation_step(self, batch: Batch, index: int, dataloader_idx: int = 0) -> None:
        answer = self._answer(batch)
        losses = self._losses(answer, batch)
        size = len(batch.input)
        self.log_dict({f"validation/{k}": v for k, v in losses.items()}, sync_dist=True, batch_size=size)
        self.log_dict(self._by_sound(answer, batch), sync_dist=True, batch_size=size)

    def _by_sound(self, answer: Answer, batch: Batch) -> dict[str, torch.Tensor]:
        """Play a batch as it would be played live, and say how near it comes, how often it does harm or nothing."""
        amount, values = batch.allowed * amounts(answer.amount), self.values(answer.unit)
        heard = compared(played(self.chain, batch.given, batch.input[:, :BANDS], answer.curve, values, amount), batch)
        audible = (heard.nothing > AUDIBLE).float()
        harmed = (heard.error > heard.nothing + HARM * heard.nothing.clamp(min=0.05)).float()
        idle = (amount == 0.0).all(1).float()

        def among(x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
            return (x * which).sum() / which.sum().clamp(min=1.0)

        parts = {
            "share": heard.loss.mean(), "left": heard.error.mean() / heard.nothing.mean(),
            "harmed": among(harmed, audible), "spoiled": among(harmed, 1.0 - audible), "idle": among(idle, audible),
        }  # fmt: skip
        return {f"sound/{k}": v for k, v in parts.items()}

    def configure_optimizers(self):
        optimiser = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        steps = max(2, int(self.trainer.estimated_stepping_batches))
        warm = max(1, min(500, steps // 10))

        def rate(step: int) -> float:  # rises, falls as a cosine; resumed with more steps, it is longer
            return min(
                (step + 1) / warm,
                0.02 + 0.49 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, (step - warm) / (steps - warm))))),
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
