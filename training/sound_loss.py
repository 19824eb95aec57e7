"""The sound as the loss: settings play an input through the very kernels that play live, and the result is compared.

What is compared is the multi-resolution STFT after both sounds are brought to one loudness, as the study
does; see `study.metrics`. Gradients go back through the kernels' exact adjoints.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from ..chain import ChainParameters
from ..dsp.loudness import OFFSET, k_weighting_response
from ..matching.decision import REACH
from .audio_losses import spectral_distance, spectrum, square, transform
from .features import BANDS, LUFS, SAMPLE_RATE, band_centres
from .network import Answer, amounts
from .response_losses import louder_by
from .shards import Batch

WINDOWS = (512, 2048, 8192)
"""Of the study's six windows those that tell most; a step costs as much as its FFTs."""
LOUDNESS = 10 ** ((LUFS - OFFSET) / 10)
"""Power after K-weighting at the loudness of training."""
SETTLED = 0.15
"""An error that is added to doing nothing's before errors are divided by it: else a pair without f would weigh all."""
HARM = 1.0
"""How much more an error counts beyond that of doing nothing."""
EXPLORED = 0.12
"""How often an effect is tried at an amount that chance draws: what is off would never learn to be on."""
SHAKEN = 0.5
"""Standard deviation of the noise on amounts' logits in training: what is nearly off or on is heard at both."""


class Heard(NamedTuple):
    """Errors (batch,) of what was played, and of only setting the loudness."""

    error: torch.Tensor
    nothing: torch.Tensor

    @property
    def loss(self) -> torch.Tensor:
        """The error as a part of doing nothing's, harm counted more: (batch,)."""
        worse = (self.error - self.nothing).clamp(min=0.0)
        return (self.error + HARM * worse) / (self.nothing + SETTLED)


def compared(result: torch.Tensor, batch: Batch) -> Heard:
    """Compare results (batch, frames) with the answers."""
    with torch.no_grad():
        theirs = _spectra(batch.answer)
        nothing = _errors(_spectra(batch.given), theirs)
    return Heard(_errors(_spectra(result), theirs), nothing)


def _spectra(x: torch.Tensor) -> list[torch.Tensor]:
    x = levelled(x)
    return [spectrum(x, size) for size in WINDOWS]


def _errors(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([spectral_distance(p, q) for p, q in zip(ours, theirs, strict=True)]).mean(0)


def levelled(x: torch.Tensor) -> torch.Tensor:
    """Bring sounds (batch, frames) to -23 LUFS (BS.1770); ungated, for a second of sound that plays."""
    return x * (LOUDNESS / (power(x) + 1e-9)).sqrt()[:, None]


def power(x: torch.Tensor) -> torch.Tensor:
    """Give the power of sounds (batch, frames) after K-weighting: (batch,)."""
    return (square(transform(x)) * _k_weighting(x.shape[1])).sum(-1)


@cache
def _k_weighting(frames: int) -> torch.Tensor:
    """Say how much each bin's squared magnitude counts for loudness."""
    gain = k_weighting_response(np.linspace(0.0, SAMPLE_RATE / 2, frames // 2 + 1), SAMPLE_RATE)
    return torch.from_numpy(gain**2 * 2.0 / frames**2).float()


def interpolated(curve_db: torch.Tensor, hz: torch.Tensor) -> torch.Tensor:
    """Draw straight lines over mel between the bands: curves (…, bands) to (…, bins); level beyond the ends."""
    mel, bands = (torch.log10(1.0 + f / 700.0) for f in (hz, band_centres()))
    place = (torch.searchsorted(bands, mel.contiguous()) - 1).clamp(0, BANDS - 2)
    part = ((mel - bands[place]) / (bands[place + 1] - bands[place])).clamp(0.0, 1.0)
    return curve_db[..., place] * (1.0 - part) + curve_db[..., place + 1] * part


def equalised(x: torch.Tensor, curve_db: torch.Tensor) -> torch.Tensor:
    """Filter sounds (batch, frames) by curves (batch, bands), without phase."""
    size = 2 * x.shape[1]
    hz = torch.linspace(0.0, SAMPLE_RATE / 2, x.shape[1] + 1)
    gain = torch.exp(interpolated(curve_db, hz) * (2.302585 / 20.0))
    return torch.fft.irfft(torch.fft.rfft(x, size) * gain, size)[:, : x.shape[1]]


def played(
    chain: ChainParameters, x: torch.Tensor, average_db: torch.Tensor, curve_db: torch.Tensor, values: torch.Tensor,
    amount: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Play sounds (batch, frames) through the chain, each effect by its amount (batch, effects); 0 leaves it out.

    The equaliser is its curve (live, its bands are fitted to it). What the linear effects in front add in loudness is
    taken off, as the live side solves it; average_db (batch, bands) is the whole clip's spectrum.
    """
    y, in_front = x, torch.ones(len(x))
    for i, effect in enumerate(chain.effects):
        rows = (amount[:, i] > 0.0).nonzero()[:, 0]
        if effect.name == "equaliser":
            curve = amount[:, i, None] * curve_db
            y = equalised(y, curve - (in_front * louder_by(average_db, curve))[:, None])
        if effect.name == "equaliser" or not len(rows):
            continue
        a, mine = amount[rows, i], values[rows][:, chain.columns(effect.name)].unbind(1)
        settings = [p.at_amount(v, a) for p, v in zip(effect.params, mine, strict=True)]
        wet = effect.process(y[rows, None], SAMPLE_RATE, *settings)[:, 0].to(y)
        if not effect.linear:
            in_front = in_front.index_fill(0, rows, 0.0)
        elif any(not e.linear for e in chain.effects[i + 1 :]):
            louder = ((power(wet) + 1e-9) / (power(y[rows]) + 1e-9)).sqrt()
            wet = wet / louder.pow(in_front[rows])[:, None]
        y = y.index_copy(0, rows, wet)
    return y


def explored(logits: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Give amounts for training: shaken, now and then drawn by chance.

    The gradient is that of the gate without its ends: an amount held at 0 or 1 may still learn to leave it.
    """
    soft = (1.0 + 2.0 * REACH) * torch.sigmoid(logits) - REACH
    amount = amounts(logits + SHAKEN * torch.randn_like(logits))
    amount = torch.where(torch.rand_like(logits) < EXPLORED, torch.rand_like(logits), amount)
    return allowed * (amount.detach() + soft - soft.detach())


def clipped(gradients: list[torch.Tensor], most: float) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Hold each pair's gradient (batch, …) under a norm, one that is not finite at zero; gives norms (batch,) too."""
    norm = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    scale = torch.where(norm.isfinite(), (most / norm.clamp(min=1e-9)).clamp(max=1.0), 0.0)
    rows = [torch.where(g.isfinite(), g, 0.0) * scale.view(-1, *[1] * (g.ndim - 1)) for g in gradients]
    return rows, norm


def by_sound(
    answer: Answer, chain: ChainParameters, values: Callable[[torch.Tensor], torch.Tensor], batch: Batch, most: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Give a loss whose gradient is the sound's, each pair's held under `most`, and figures to log.

    values maps unit parameters (batch, params) to the parameters' own units. The gradient is taken up to the
    network's outputs, held there, and handed on as that of a sum of products: so the rest is as in any step.
    """
    outputs = answer.unit, answer.amount, answer.curve
    unit, logits, curve = leaves = [p.detach().requires_grad_() for p in outputs]
    amount = explored(logits, batch.allowed)
    heard = compared(played(chain, batch.given, batch.input[:, :BANDS], curve, values(unit), amount), batch)
    found = torch.autograd.grad(heard.loss.sum(), leaves, allow_unused=True)
    gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(leaves, found, strict=True)]
    rows, norm = clipped(gradients, most)
    total = torch.stack([(p * g).sum() for p, g in zip(outputs, rows, strict=True)]).sum() / len(amount)
    figures = {
        "share": heard.loss, "error": heard.error, "nothing": heard.nothing, "norm": norm.nan_to_num(), "amount": amount
    }  # fmt: skip
    return total, {k: v.detach().mean() for k, v in figures.items()}
