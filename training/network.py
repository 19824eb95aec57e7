"""The network: statistics → embedding; two of each → parameters of the chain, and how much of each effect to use.

`Encoder` becomes encoder.onnx and `Controller` becomes controller.onnx: features live inside the
graph, so nothing on the live side can fall out of step with training.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from ..matching.decision import REACH
from .features import BANDS, SPECTRA, WINDOW, FeatureExtractor, condense


@dataclass(frozen=True)
class Size:
    """How wide the network is; the defaults make about 1.9 M parameters."""

    embedding: int = 128
    encoder: int = 256
    controller: int = 384
    tone: int = 64
    dropout: float = 0.2
    noise: float = 0.15  # on the normalised statistics, in training only


class Answer(NamedTuple):
    """What the network says of an input and a reference; batches of rows.

    unit (batch, params): parameters in (0, 1). on (batch, effects): log-odds that the reference has each
    effect. amount (batch, effects): how much of it to use, before `amounts`. curve (batch, bands): the
    equaliser's in dB. same_source (batch, 1): log-odds that both clips are of one source.
    """

    unit: torch.Tensor
    on: torch.Tensor
    amount: torch.Tensor
    curve: torch.Tensor
    same_source: torch.Tensor


def amounts(logits: torch.Tensor) -> torch.Tensor:
    """Map logits to amounts in [0, 1]; under about -2.4 they are 0, over 2.4 they are 1.

    The hard concrete gate of C. Louizos, M. Welling, D. P. Kingma, Learning Sparse Neural Networks through
    L0 Regularization, ICLR 2018, without its noise.
    """
    return ((1.0 + 2.0 * REACH) * torch.sigmoid(logits) - REACH).clamp(0.0, 1.0)


class Noise(nn.Module):
    """Shake normalised statistics in training, as another take of the same sound would."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.amount * torch.randn_like(x) if self.training else x


class Encoder(nn.Module):
    """A clip as numbers: `FeatureExtractor` statistics, normalised, and a learned embedding of them."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.front_end = FeatureExtractor()
        with torch.no_grad():
            example = self.front_end(torch.randn(1, WINDOW) * 0.1)
        self.statistics, self.condensed = example.shape[1], condense(example).shape[1]
        self.register_buffer("mean", torch.zeros(self.statistics))
        self.register_buffer("scale", torch.ones(self.statistics))
        self.embedding = size.embedding
        self.noise = Noise(size.noise)
        self.embed = nn.Sequential(
            nn.Linear(self.condensed, size.encoder), nn.GELU(), nn.Dropout(size.dropout),
            nn.Linear(size.encoder, size.embedding), nn.GELU(),
        )  # fmt: skip

    def normalise_by(self, statistics: torch.Tensor) -> None:
        """Set the normalisation from many raw statistics (clips, size)."""
        self.mean.copy_(statistics.mean(0))
        self.scale.copy_(statistics.std(0) + 1e-3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map clips (batch, 240000) to normalised statistics (batch, size) and embeddings."""
        return self.analyse(self.front_end(x))

    def analyse(self, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Do the same from raw statistics, which training keeps on disk."""
        statistics = ((raw - self.mean) / self.scale).clamp(-6.0, 6.0)
        return statistics, self.embed(condense(self.noise(statistics)))

    def spectra(self, statistics: torch.Tensor) -> torch.Tensor:
        """Give the spectra of `FeatureExtractor` in dB, from normalised statistics: (batch, SPECTRA, 64)."""
        size = SPECTRA * BANDS
        return (statistics[:, :size] * self.scale[:size] + self.mean[:size]).unflatten(1, (SPECTRA, BANDS))


class Tone(nn.Module):
    """The equaliser's curve, from the spectra of input and reference laid over each other.

    Convolutions along the bands: how much of a difference is tone, and how much only other notes and
    another voice, is asked in the same way at 200 Hz and at 2 kHz, so it is learned once and not 64
    times. Nine differences speak for the tone, and each band weighs them: of the average levels, of the
    typical ones, of the noise floors, which stay the same when the notes do not, and of six quantiles.
    """

    WIDTHS = (1, 2, 4, 8)  # dilations: 7 bands see 1.5 octaves, all four layers the whole spectrum
    SPOKEN = 9  # differences
    SEEN = 8  # of each clip alone
    PLACE = 8

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.place = nn.Parameter(0.3 * torch.randn(self.PLACE, BANDS))
        self.enter = nn.Conv1d(self.SPOKEN + 2 * self.SEEN + self.PLACE, channels, 1)
        self.along = nn.ModuleList(
            nn.Conv1d(channels, channels, 7, padding="same", dilation=d, padding_mode="replicate") for d in self.WIDTHS
        )
        self.norm = nn.ModuleList(nn.GroupNorm(4, channels) for _ in self.WIDTHS)
        self.across = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in self.WIDTHS)
        self.steer = nn.Linear(context, 2 * channels * len(self.WIDTHS))
        self.leave = nn.Conv1d(channels, self.SPOKEN + 1, 1)

    def forward(self, here: torch.Tensor, there: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map two clips' spectra (batch, SPECTRA, 64) to a curve in dB (batch, 64) and a summary."""
        average, typical, _, floor, _, *quantiles, _ = (there - here).unbind(1)
        differences = torch.stack([average, average + typical, floor, *(average + q for q in quantiles)], 1)
        x = torch.cat([differences / 6.0, self._of_one(here), self._of_one(there)], 1).clamp(-4.0, 4.0)
        x = self.enter(torch.cat([x, self.place.expand(len(x), -1, -1)], 1))
        steer = 0.3 * self.steer(context).unflatten(1, (len(self.WIDTHS), 2, -1, 1))
        for i, (along, norm, across) in enumerate(zip(self.along, self.norm, self.across, strict=True)):
            y = norm(along(x)) * (1.0 + steer[:, i, 0]) + steer[:, i, 1]
            x = x + across(nn.functional.gelu(y))
        out = self.leave(nn.functional.gelu(x))
        weights = torch.sigmoid(out[:, :-1] - 2.5)
        curve = (weights * differences.clamp(-40.0, 40.0)).sum(1) + 3.0 * out[:, -1]
        return curve, torch.cat([x.mean(2), x.abs().amax(2)], 1)

    @staticmethod
    def _of_one(spectra: torch.Tensor) -> torch.Tensor:
        """What is seen of each clip alone, brought to about one."""
        average, typical, spread, floor, flat, lowest, _, middle, _, high, _, wobble = spectra.unbind(1)
        seen = [(average + 20.0) / 15.0, (floor - average + 15.0) / 10.0, (spread - 8.0) / 4.0, typical / 4.0]
        seen += [(flat + 3.0) / 2.0, (wobble - 3.0) / 2.0, (high - middle - 8.0) / 5.0, (middle - lowest - 8.0) / 5.0]
        return torch.stack(seen, 1)


class Controller(nn.Module):
    """Input and reference → how the chain must be set; see `Answer`.

    allowed (batch, effects) is 1 for effects that may be used. heard (batch, 2): how many windows of 5 s
    the input's and the reference's description were pooled from, for chance differs less in longer clips.
    """

    def __init__(self, statistics: int, spans: list[int], size: Size, equaliser: int | None = 0) -> None:
        super().__init__()
        self.spans, self.equaliser = spans, equaliser  # parameters of each effect, and which effect has bands
        self.noise = Noise(size.noise)
        more = len(spans) + 2
        self.trunk = nn.Sequential(
            nn.Linear(3 * statistics + 2 * size.embedding + more, size.controller), nn.GELU(), nn.Dropout(size.dropout),
            nn.Linear(size.controller, size.controller), nn.GELU(), nn.Dropout(size.dropout),
        )  # fmt: skip
        self.tone = Tone(size.tone, size.controller)
        self.head = nn.Sequential(
            nn.Linear(size.controller + 2 * size.tone, size.controller), nn.GELU(), nn.Dropout(size.dropout)
        )
        self.on = nn.Linear(size.controller, len(spans))
        self.amount = nn.Linear(size.controller, len(spans))
        nn.init.zeros_(self.amount.weight)
        nn.init.zeros_(self.amount.bias)
        self.same_source = nn.Linear(size.controller, 1)
        bands = 0 if equaliser is None else spans[equaliser]
        if bands:
            self.bands = nn.Sequential(nn.Linear(BANDS + size.controller, 128), nn.GELU(), nn.Linear(128, bands))
        self.rest = nn.Sequential(nn.Linear(size.controller, 256), nn.GELU(), nn.Linear(256, sum(spans) - bands))

    def forward(
        self,
        input_statistics: torch.Tensor,
        input_embedding: torch.Tensor,
        reference_statistics: torch.Tensor,
        reference_embedding: torch.Tensor,
        input_spectra: torch.Tensor,
        reference_spectra: torch.Tensor,
        allowed: torch.Tensor,
        heard: torch.Tensor,
    ) -> Answer:
        here, there = (condense(self.noise(s)) for s in (input_statistics, reference_statistics))
        more = torch.cat([2.0 * allowed - 1.0, heard.clamp(1.0, 12.0).log()], 1)
        context = self.trunk(torch.cat([here, there, there - here, input_embedding, reference_embedding, more], 1))
        curve, summary = self.tone(input_spectra, reference_spectra, context)
        hidden = self.head(torch.cat([context, summary], 1))
        unit = self.rest(hidden)
        if self.equaliser is not None:
            bands, before = self.bands(torch.cat([curve / 6.0, hidden], 1)), sum(self.spans[: self.equaliser])
            unit = torch.cat([unit[:, :before], bands, unit[:, before:]], 1)
        on = self.on(hidden)
        return Answer(torch.sigmoid(unit), on, on + self.amount(hidden), curve, self.same_source(hidden))


class SettingsNetwork(nn.Module):
    """Encoder and controller together, on raw statistics.

    spans: how many parameters each effect has; equaliser: which effect's bands the curve is of, None without one.
    """

    def __init__(self, spans: list[int], size: Size | None = None, equaliser: int | None = 0) -> None:
        super().__init__()
        size = size or Size()
        self.encoder = Encoder(size)
        self.controller = Controller(self.encoder.condensed, spans, size, equaliser)

    def forward(
        self, raw_input: torch.Tensor, raw_reference: torch.Tensor, allowed: torch.Tensor | None = None,
        heard: torch.Tensor | None = None,
    ) -> Answer:  # fmt: skip
        """Predict from raw statistics; without `allowed` every effect may be used, without `heard` it was 5 s each."""
        ins, ine = self.encoder.analyse(raw_input)
        refs, refe = self.encoder.analyse(raw_reference)
        allowed = raw_input.new_ones(len(ins), len(self.controller.spans)) if allowed is None else allowed
        heard = raw_input.new_ones(len(ins), 2) if heard is None else heard
        return self.control(ins, ine, refs, refe, allowed, heard)

    def control(
        self, ins: torch.Tensor, ine: torch.Tensor, refs: torch.Tensor, refe: torch.Tensor, allowed: torch.Tensor,
        heard: torch.Tensor,
    ) -> Answer:  # fmt: skip
        """Predict from described clips; what controller.onnx does."""
        spectra = (self.encoder.spectra(s) for s in (ins, refs))
        return self.controller(ins, ine, refs, refe, *spectra, allowed, heard)
