"""The network: statistics → embedding; two of each → parameters of the chain.

`Encoder` becomes encoder.onnx and `Controller` becomes controller.onnx: features live inside the
graph, so nothing on the live side can fall out of step with training.
"""

from dataclasses import dataclass

import torch
from torch import nn

from .features import BANDS, SPECTRA, WINDOW, FeatureExtractor, condense


@dataclass(frozen=True)
class Size:
    """How wide the network is; the defaults make about 1.2 M parameters."""

    embedding: int = 128
    encoder: int = 256
    controller: int = 384
    tone: int = 64
    dropout: float = 0.3
    noise: float = 0.15  # on the normalised statistics, in training only


class Noise(nn.Module):
    """Shake normalised statistics in training, as another take of the same sound would."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.amount * torch.randn_like(x) if self.training else x


class Encoder(nn.Module):
    """A clip as numbers: `FrontEnd` statistics, normalised, and a learned embedding of them."""

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
            nn.Linear(self.condensed, size.encoder),
            nn.GELU(),
            nn.Dropout(size.dropout),
            nn.Linear(size.encoder, size.embedding),
            nn.GELU(),
        )

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
        """Give the five spectra of `FrontEnd` in dB, from normalised statistics: (batch, 5, 64)."""
        size = SPECTRA * BANDS
        return (statistics[:, :size] * self.scale[:size] + self.mean[:size]).unflatten(1, (SPECTRA, BANDS))


class Tone(nn.Module):
    """The equaliser's curve, from the spectra of input and reference laid over each other.

    Convolutions along the bands: how much of a difference is tone, and how much only other notes and
    another voice, is asked in the same way at 200 Hz and at 2 kHz, so it is learned once and not 64
    times. Three differences speak for the tone, and each band weighs them: of the average levels, of
    the typical ones and of the noise floors, which stay the same when the notes do not.
    """

    WIDTHS = (1, 2, 4, 8)  # dilations: 7 bands see 1.5 octaves, all four layers the whole spectrum
    HEARD = 13
    PLACE = 8

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.place = nn.Parameter(0.3 * torch.randn(self.PLACE, BANDS))
        self.enter = nn.Conv1d(self.HEARD + self.PLACE, channels, 1)
        self.along = nn.ModuleList(
            nn.Conv1d(channels, channels, 7, padding="same", dilation=d, padding_mode="replicate") for d in self.WIDTHS
        )
        self.norm = nn.ModuleList(nn.GroupNorm(4, channels) for _ in self.WIDTHS)
        self.across = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in self.WIDTHS)
        self.steer = nn.Linear(context, 2 * channels * len(self.WIDTHS))
        self.leave = nn.Conv1d(channels, 4, 1)

    def forward(self, here: torch.Tensor, there: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map two clips' spectra (batch, 5, 64) to the curve in dB (batch, 64) and a summary (batch, 2 * channels)."""
        average, typical, _, floor, _ = (there - here).unbind(1)
        differences = torch.stack([average, average + typical, floor], 1)
        x = torch.cat([differences / 6.0, self._of_one(here), self._of_one(there)], 1).clamp(-4.0, 4.0)
        x = self.enter(torch.cat([x, self.place.expand(len(x), -1, -1)], 1))
        steer = 0.3 * self.steer(context).unflatten(1, (len(self.WIDTHS), 2, -1, 1))
        for i, (along, norm, across) in enumerate(zip(self.along, self.norm, self.across, strict=True)):
            y = norm(along(x)) * (1.0 + steer[:, i, 0]) + steer[:, i, 1]
            x = x + across(nn.functional.gelu(y))
        out = self.leave(nn.functional.gelu(x))
        curve = (torch.sigmoid(out[:, :3] - 1.0) * differences).sum(1) + 3.0 * out[:, 3]
        return curve, torch.cat([x.mean(2), x.abs().amax(2)], 1)

    @staticmethod
    def _of_one(spectra: torch.Tensor) -> torch.Tensor:
        """What is seen of each clip alone, brought to about one."""
        average, typical, spread, floor, flat = spectra.unbind(1)
        seen = [(average + 20.0) / 15.0, (floor - average + 15.0) / 10.0, (spread - 8.0) / 4.0, typical / 4.0]
        return torch.stack([*seen, (flat + 3.0) / 2.0], 1)


class Controller(nn.Module):
    """Input and reference → how the chain must be set.

    Outputs: unit parameters (batch, params) in (0, 1); logits that each effect is on (batch,
    effects); the equaliser's curve in dB at `band_centres` (batch, 64); the logit that both clips are
    of one source (batch, 1), for the more they have in common, the less a difference needs to mean.
    """

    def __init__(self, statistics: int, spans: list[int], size: Size) -> None:
        super().__init__()
        self.spans = spans  # parameters of each effect, the equaliser first
        self.noise = Noise(size.noise)
        self.trunk = nn.Sequential(
            nn.Linear(3 * statistics + 2 * size.embedding, size.controller),
            nn.GELU(),
            nn.Dropout(size.dropout),
            nn.Linear(size.controller, size.controller),
            nn.GELU(),
            nn.Dropout(size.dropout),
        )
        self.tone = Tone(size.tone, size.controller)
        self.head = nn.Sequential(
            nn.Linear(size.controller + 2 * size.tone, size.controller), nn.GELU(), nn.Dropout(size.dropout)
        )
        self.on = nn.Linear(size.controller, len(spans))
        self.kin = nn.Linear(size.controller, 1)
        self.bands = nn.Sequential(nn.Linear(BANDS + size.controller, 128), nn.GELU(), nn.Linear(128, spans[0]))
        self.rest = nn.Sequential(nn.Linear(size.controller, 256), nn.GELU(), nn.Linear(256, sum(spans[1:])))

    def forward(
        self,
        input_statistics: torch.Tensor,
        input_embedding: torch.Tensor,
        reference_statistics: torch.Tensor,
        reference_embedding: torch.Tensor,
        input_spectra: torch.Tensor,
        reference_spectra: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        here, there = (condense(self.noise(s)) for s in (input_statistics, reference_statistics))
        context = self.trunk(torch.cat([here, there, there - here, input_embedding, reference_embedding], 1))
        curve, summary = self.tone(input_spectra, reference_spectra, context)
        hidden = self.head(torch.cat([context, summary], 1))
        bands = self.bands(torch.cat([curve / 6.0, hidden], 1))
        unit = torch.sigmoid(torch.cat([bands, self.rest(hidden)], 1))
        return unit, self.on(hidden), curve, self.kin(hidden)


class SettingsNetwork(nn.Module):
    """Encoder and controller together, on raw statistics."""

    def __init__(self, spans: list[int], size: Size | None = None) -> None:
        super().__init__()
        size = size or Size()
        self.encoder = Encoder(size)
        self.controller = Controller(self.encoder.condensed, spans, size)

    def forward(self, raw_input: torch.Tensor, raw_reference: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ins, ine = self.encoder.analyse(raw_input)
        refs, refe = self.encoder.analyse(raw_reference)
        return self.control(ins, ine, refs, refe)

    def control(
        self, ins: torch.Tensor, ine: torch.Tensor, refs: torch.Tensor, refe: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Predict from described clips; what controller.onnx does."""
        return self.controller(ins, ine, refs, refe, self.encoder.spectra(ins), self.encoder.spectra(refs))
