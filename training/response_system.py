"""The LightningModule: what a step is, what is measured, how it is optimised."""

import math

import lightning
import torch
from torch import nn

from ..chain import CANONICAL, ChainParameters
from .network import SettingsNetwork, Size
from .priors import NOT_LEARNED
from .response_losses import NEARER, curve_error, errors, serves

CURVE_WEIGHT = 2.0
EQUALISER_WEIGHT = 0.3  # its curve counts; live, the bands are fitted to it


class ResponseSystem(lightning.LightningModule):
    """Learns the chain's settings from input and reference, judged by what the settings do.

    Each effect's parameters are trained only where the effect is on; that it is on, and would serve as
    it is predicted, is learned as a probability of its own. What the data do not vouch for (`trust`,
    `sure`) is not trained.
    """

    fixed: torch.Tensor
    defaults: torch.Tensor
    neutral: torch.Tensor
    threshold: torch.Tensor

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 5e-2,
        embedding: int = 128,
        encoder: int = 256,
        controller: int = 384,
        tone: int = 64,
        dropout: float = 0.3,
        noise: float = 0.15,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.chain = ChainParameters(CANONICAL)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        spans = [len(e.params) for e in self.chain.effects]
        self.predictor = SettingsNetwork(spans, Size(embedding, encoder, controller, tone, dropout, noise))
        fixed = [(e, p.name) in NOT_LEARNED for e, p in self.chain.params]
        self.register_buffer("fixed", torch.tensor(fixed), persistent=False)
        defaults = [p.default for _, p in self.chain.params]
        self.register_buffer("defaults", torch.tensor(defaults), persistent=False)

    def values(self, unit: torch.Tensor) -> torch.Tensor:
        """Map unit parameters (batch, params) to values in the parameters' own units."""
        columns = [p.value(unit[:, i]) for i, (_, p) in enumerate(self.chain.params)]
        return torch.where(self.fixed, self.defaults, torch.stack(columns, 1))

    def on_fit_start(self) -> None:
        """Take the normalisation from the data, unless a checkpoint brought it."""
        if not bool((self.predictor.encoder.scale != 1.0).any()):
            statistics = self.trainer.datamodule.statistics  # pyright: ignore[reportAttributeAccessIssue]
            rows = torch.from_numpy(statistics.wet.reshape(-1, statistics.wet.shape[-1]))
            self.predictor.encoder.normalise_by(rows.to(self.device))

    def _losses(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        raw_input, raw_reference, true, on, level, kin, wanted, trust, sure = batch
        unit, logits, curve, kin_logit = self.predictor(raw_input, raw_reference)
        values = self.values(unit)
        each = self.response_errors(values, true, on, wanted, trust)
        known = self._known(on, trust)
        # Only where it is on: averaged with silence, the likeliest curve would be none at all.
        tone = wanted - level[:, None]
        missed, flat = curve_error(curve - tone), curve_error(tone)
        losses = dict(zip(self.chain.order, each, strict=True))
        losses["curve"] = (known[:, 0] * missed).sum() / known[:, 0].sum().clamp(min=1.0)
        with torch.no_grad():  # an effect that would be set wrongly had better be left out
            right = serves(self.chain, values, true)
            right[:, 0] = (missed < NEARER * flat).float()
            right = on * torch.where(known > 0.5, right, 1.0)
        doubt = nn.functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
        losses["on"] = ((doubt * sure).sum(0) / sure.sum(0).clamp(min=1.0)).sum()
        losses["kin"] = nn.functional.binary_cross_entropy_with_logits(kin_logit[:, 0], kin)
        weights = torch.tensor([EQUALISER_WEIGHT if e == "equaliser" else 1.0 for e in self.chain.order]).to(each)
        losses["settings"] = (weights * each).sum() + CURVE_WEIGHT * losses["curve"] + losses["on"]
        losses["loss"] = losses["settings"] + losses["kin"]
        losses["accuracy"] = (((logits > 0) == (right > 0.5)) * sure).sum() / sure.sum().clamp(min=1.0)
        return losses

    def _known(self, on: torch.Tensor, trust: torch.Tensor) -> torch.Tensor:
        """Tell where an effect is on and its values are to be believed: (batch, effects)."""
        return on * torch.stack([trust[:, self.chain.columns(e)].amax(1) for e in self.chain.order], 1)

    def response_errors(
        self, values: torch.Tensor, true: torch.Tensor, on: torch.Tensor, wanted: torch.Tensor, trust: torch.Tensor
    ) -> torch.Tensor:
        """Give each effect's mean error (effects,) over the pairs that tell of it; see `responses.errors`."""
        known = self._known(on, trust)
        return (errors(self.chain, values, true, trust, wanted) * known).sum(0) / known.sum(0).clamp(min=1.0)

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        losses = self._losses(batch)
        self.log_dict({f"train/{k}": v for k, v in losses.items()}, prog_bar=False)
        self.log("loss", losses["loss"], prog_bar=True, logger=False)
        return losses["loss"]

    def validation_step(self, batch: tuple[torch.Tensor, ...], index: int) -> None:
        losses = self._losses(batch)
        self.log_dict({f"validation/{k}": v for k, v in losses.items()}, sync_dist=True, batch_size=len(batch[0]))
        self.log("held-out", losses["loss"], prog_bar=True, logger=False, sync_dist=True, batch_size=len(batch[0]))

    def configure_optimizers(self):
        optimiser = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        steps = max(2, int(self.trainer.estimated_stepping_batches))
        warm = max(1, steps // 10)

        def rate(step: int) -> float:  # rises for a tenth, falls as a cosine; resumed with more epochs, it is longer
            return min(
                (step + 1) / warm, 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, (step - warm) / (steps - warm)))))
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
