"""The trainings of the study: one network, seven ways to get a gradient to its outputs."""

from collections.abc import Sequence
from typing import Literal, get_args

import lightning
import torch
from torch import nn

from ...chain import CANONICAL, ChainParameters
from ...dsp.loudness import integrated_loudness
from ...training.features import LUFS, SAMPLE_RATE
from ...training.response_losses import errors
from .losses import AudioLoss, at_level_of
from .network import Network
from .proxy import PROXIED, trained_proxy
from .tcn import Tcn
from .unit_parameters import UnitParameters, draw_masks, learned

Method = Literal["ad", "spsa", "np", "np_fh", "ctcn1", "ctcn2", "response"]
CONDITIONS = {"ctcn1": (24,), "ctcn2": (18, 6)}
"""Sizes of the conditions of black boxes: as many numbers as equaliser and compressor have parameters."""
EQUALISER_RESPONSE_WEIGHT = 2.0
"""Weight of the equaliser's curve in the response loss; the other effects' is 1."""


class MethodSystem(lightning.LightningModule):
    """Learns from renders to set a chain, or a black box, so that the input sounds like the reference.

    method: how the gradient gets from the sound to the parameters.
      ad: through the kernels' exact adjoints. spsa: from `spsa_pairs` pairs of renders with parameters
      perturbed by `spsa_epsilon`. np: through frozen neural proxies of the effects, which also make the sound.
      np_fh: through proxies, while the kernels make the sound. ctcn1, ctcn2: no chain; the network conditions
      one convolutional network, or two in a row. response: no audio; the loss is `response_losses.errors`.
    effects: those that the chain may hold. other: probability of a mask that has nothing to do with f.
    l1: weight of the waveform's error beside the MR-STFT's. proxies: checkpoints of trained proxies.
    channels: of the convolutional networks.
    """

    def __init__(
        self,
        method: Method = "ad",
        effects: Sequence[str] = CANONICAL,
        learning_rate: float = 5e-4,
        hidden: int = 576,
        dropout: float = 0.1,
        noise: float = 0.15,
        other: float = 0.3,
        l1: float = 100.0,
        spsa_pairs: int = 1,
        spsa_epsilon: float = 5e-4,
        proxies: dict[str, str] | None = None,
        channels: int = 8,
        seed: int = 1,
    ) -> None:
        super().__init__()
        if method not in get_args(Method):
            raise ValueError(f"method: {method!r} is none of {', '.join(get_args(Method))}")
        effects = list(effects)
        self.save_hyperparameters()
        self.method, self.learning_rate, self.other, self.seed = method, learning_rate, other, seed
        self.spsa_pairs, self.spsa_epsilon = spsa_pairs, spsa_epsilon
        self.unit_parameters, self.loss = UnitParameters(effects), AudioLoss(l1)
        self.tcns, self.proxies = nn.ModuleList(Tcn(n, channels) for n in CONDITIONS.get(method, ())), nn.ModuleDict()
        self._proxies, self._channels = proxies or {}, channels
        if method in ("np", "np_fh"):
            if without := [e for e in self.chain.order if e not in PROXIED]:
                raise ValueError(f"effects: {without[0]} has no proxy; {method} can have {', '.join(PROXIED)}")
            for e in self.chain.effects:
                self.proxies[e.name] = Tcn(len(learned(e)), channels).requires_grad_(False)
        begin = torch.full((sum(CONDITIONS[method]),), 0.5) if method in CONDITIONS else self.unit_parameters.begin
        self.network = Network(len(self.chain.order), begin, hidden, dropout, noise)

    @property
    def chain(self) -> ChainParameters:
        """The effects that the model may use."""
        return self.unit_parameters.chain

    def setup(self, stage: str) -> None:
        """Read the proxies, unless a checkpoint is resumed: it holds them."""
        if stage != "fit" or not len(self.proxies) or self.trainer.ckpt_path:
            return
        if missing := [e for e in self.proxies if e not in self._proxies]:
            raise FileNotFoundError(f"{self.method} needs --model.init_args.proxies.{missing[0]} CHECKPOINT")
        for effect, proxy in self.proxies.items():
            proxy.load_state_dict(trained_proxy(self._proxies[effect], effect, self._channels))

    def on_fit_start(self) -> None:
        """Take the normalisation from the data, unless a checkpoint held it."""
        if not bool((self.network.encoder.scale != 1.0).any()):
            rows = self.trainer.datamodule.statistics  # pyright: ignore[reportAttributeAccessIssue]
            self.network.encoder.normalise_by(rows.to(self.device))

    # --- sound -------------------------------------------------------------------------------------

    def sound(self, x: torch.Tensor, unit: torch.Tensor, mask: torch.Tensor, step: int = 0) -> torch.Tensor:
        """Play clips (batch, frames) as in training, with the method's own gradient for `unit`."""
        if self.method in CONDITIONS:
            for tcn, condition in zip(self.tcns, unit.split(CONDITIONS[self.method], 1), strict=True):
                x = tcn(x, condition)
            return x
        if self.method == "spsa":
            return self.unit_parameters.perturbed(
                x, unit, mask, self.spsa_pairs, self.spsa_epsilon, self.seed * 1_000_003 + step
            )
        if self.method == "np":
            return self.by_proxies(x, unit, mask)
        if self.method == "np_fh":
            soft = self.by_proxies(x, unit, mask)
            return soft + (self.unit_parameters.play(x, unit.detach(), mask) - soft).detach()
        return self.unit_parameters.play(x, unit, mask)

    def by_proxies(self, x: torch.Tensor, unit: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Play the proxies of the effects that the mask allows."""
        for i, effect in enumerate(self.chain.order):
            rows = (mask[:, i] > 0.5).nonzero()[:, 0]
            if len(rows):
                x = x.index_copy(0, rows, self.proxies[effect](x[rows], self.unit_parameters.of(effect, unit)[rows]))
        return x

    def play_levelled(self, x: torch.Tensor, unit: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Play as `response` is trained: the equaliser's output is at -23 LUFS (see `shards.level_normalised`)."""
        first = torch.tensor([e == "equaliser" for e in self.chain.order]).to(mask)
        x = self.unit_parameters.play(x, unit, mask * first)
        loudness = torch.tensor([integrated_loudness(c.double().cpu().numpy(), SAMPLE_RATE) for c in x])
        gain_db = torch.where(torch.isfinite(loudness), LUFS - loudness, 0.0)
        return self.unit_parameters.play(x * 10 ** (gain_db / 20).to(x)[:, None], unit, mask * (1.0 - first))

    # --- steps -------------------------------------------------------------------------------------

    def _on(self, on: torch.Tensor) -> torch.Tensor:
        """Pick this chain's effects from flags (batch, effects) of all effects."""
        return on[:, [CANONICAL.index(e) for e in self.chain.order]]

    def masks(self, on: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draw the allowed effects of each pair; for a black box, which has no effects, always all."""
        mine = self._on(on)
        return torch.ones_like(mine) if self.method in CONDITIONS else draw_masks(mine, self.other, generator)

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        raw_input, raw_reference, true, on, x, target = batch
        mask = self.masks(on)
        unit, logits = self.network(raw_input, raw_reference, mask)
        if self.method == "response":
            loss = self._response_loss(unit, logits, true, on, mask)
        else:
            loss = self.loss(at_level_of(self.sound(x, unit, mask, self.global_step), target), target)
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, ...], index: int) -> None:
        raw_input, raw_reference, true, on, x, target = batch
        mask = self.masks(on, torch.Generator().manual_seed(index))
        unit, logits = self.network(raw_input, raw_reference, mask)
        if self.method == "response":
            y = self.play_levelled(x, unit, mask * (logits > 0))
        else:
            y = self.sound(x, unit, mask)
        y = at_level_of(y, target)
        found = {"stft": self.loss.stft(y, target), "untouched": self.loss.stft(at_level_of(x, target), target)}
        response = self.method == "response"
        found["loss"] = self._response_loss(unit, logits, true, on, mask) if response else self.loss(y, target)
        if self.method == "np":  # NP-HH: the same parameters, played by the effects themselves
            found["stft_hh"] = self.loss.stft(at_level_of(self.unit_parameters.play(x, unit, mask), target), target)
        self.log_dict({f"validation/{k}": v for k, v in found.items()}, batch_size=len(x))

    def _response_loss(
        self, unit: torch.Tensor, logits: torch.Tensor, true: torch.Tensor, on: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Compare the responses of effects that f has and the mask allows, and which of the allowed are enabled."""
        whole, wanted = ChainParameters(CANONICAL), self._on(on) * mask
        true = torch.cat([true[:, whole.columns(e)] for e in self.chain.order], 1)
        each = (errors(self.chain, self.unit_parameters.values(unit), true) * wanted).sum(0) / wanted.sum(0).clamp(
            min=1.0
        )
        weights = torch.tensor([EQUALISER_RESPONSE_WEIGHT if e == "equaliser" else 1.0 for e in self.chain.order]).to(
            each
        )
        flags = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * mask
        return (weights * each).sum() + flags.sum(1).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam([p for p in self.parameters() if p.requires_grad], self.learning_rate)
