"""Waveform → statistics: what the network is told of a clip. Nothing is learned here.

All clips are mono, 48 kHz, 5 s, and brought to -23 LUFS before they come here.
"""

import math

import numpy as np
import torch
import torchaudio
from torch import nn

from ..dsp.loudness import at_loudness
from .stft import PowerSpectra

SAMPLE_RATE = 48000
WINDOW_S = 5.0
WINDOW = int(SAMPLE_RATE * WINDOW_S)
LUFS = -23.0
BANDS = 64
FFT, HOP = 2048, 512
FINE = SAMPLE_RATE // 200  # 5 ms
FRAME = SAMPLE_RATE // 50  # 20 ms
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
"""Of each band's levels: an equaliser moves all alike, a compressor the upper ones, other notes each as it likes."""
PARTS = 5
"""Stretches of a clip that are compared with each other."""


def band_centres() -> torch.Tensor:
    """Give the centre frequencies of the bands in Hz, mel-spaced from 30 Hz to 20 kHz."""
    mel = torch.linspace(_mel(30.0), _mel(20000.0), BANDS + 2)[1:-1]
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def _mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)


def _db(power: torch.Tensor) -> torch.Tensor:
    # clamped, not "+ 1e-10": the exporter's optimiser takes so small a constant for zero and drops it
    return 10.0 * torch.log10(power.clamp(min=1e-10))


def level(x: np.ndarray) -> np.ndarray:
    """Bring a clip to the loudness that models are trained at; silence stays as it is."""
    return at_loudness(x, SAMPLE_RATE, LUFS)


def window(x: np.ndarray) -> np.ndarray:
    """Make a clip exactly 5 s long: the first 5 s, or itself again and again."""
    return np.resize(x, WINDOW)


class FeatureExtractor(nn.Module):
    """What a mix engineer's meters would say of a clip, in about 1000 numbers. Nothing is learned here.

    Spectrum (how loud, how steady and how noisy each band is, how its levels are spread), decay (how fast
    bands rise and fall: reverb and release), dynamics (level histogram, crest, rise and fall at lags of 5 to
    160 ms) and the shape of the waveform inside 20-ms frames (clipping and asymmetry).
    Input (batch, 240000) at -23 LUFS; output (batch, size).
    """

    bands: torch.Tensor
    levels: torch.Tensor
    crests: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.spectra = PowerSpectra(FFT, HOP)
        bank = torchaudio.functional.melscale_fbanks(FFT // 2 + 1, 30.0, 20000.0, BANDS, SAMPLE_RATE, norm=None)
        narrow = bank.sum(0) < 1.0  # below 200 Hz a band is narrower than a bin: it takes the nearest bin
        nearest = (band_centres() * FFT / SAMPLE_RATE).round().long()
        bank[nearest[narrow], narrow.nonzero()[:, 0]] = 1.0
        self.register_buffer("bands", (bank / bank.sum(0)).T.contiguous(), persistent=False)
        self.register_buffer("levels", torch.arange(-45.0, 12.0, 3.0), persistent=False)
        self.register_buffer("crests", torch.arange(2.0, 18.0, 2.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([*self._spectrum(x), *self._dynamics(x), *self._shape(x)], dim=1)

    def _spectrum(self, x: torch.Tensor) -> list[torch.Tensor]:
        power = self.spectra(x)  # (batch, bins, frames)
        bands = self.bands @ power
        level = _db(bands)
        whole = _db(power.mean(1))  # (batch, frames)
        mean = _db(power.mean((1, 2)))[:, None]
        active = torch.sigmoid((whole - mean + 15.0) / 2.0)
        active = (active / active.sum(1, keepdim=True))[:, None]
        average = _db((active * bands).sum(2))
        typical = (active * level).sum(2)
        spread = ((active * (level - typical[..., None]).square()).sum(2) + 1e-4).sqrt()
        floor = -20.0 * torch.log10(torch.exp(-0.5 * math.log(10.0) / 10.0 * level.clamp(min=-70.0)).mean(2))
        # Far under the rest, bins hold rounding errors, which differ between torch and onnxruntime.
        audible = power + 1e-7
        flat = (active * (self.bands @ _db(audible) - _db(self.bands @ audible))).sum(2)
        coarse = level.unflatten(1, (16, BANDS // 16)).mean(2)
        slopes = []
        for lag in (2, 4, 8, 16):  # 21 to 171 ms
            step = coarse[..., lag:] - coarse[..., :-lag]
            weight = active[..., :-lag]
            weight = weight / weight.sum(2, keepdim=True)
            fall, rise = torch.relu(-step), torch.relu(step)
            slopes += [(weight * fall).sum(2), (weight * rise).sum(2)]
            slopes += [6.0 * torch.log((weight * torch.exp((fall / 6.0).clamp(max=12.0))).sum(2))]
        ordered = level.clamp(min=-80.0).sort(dim=2).values
        quantiles = [ordered[..., round(q * (level.shape[2] - 1))] - average for q in QUANTILES]
        return [average, typical - average, spread, floor, flat, *quantiles, self._wobble(bands, whole, mean), *slopes]

    @staticmethod
    def _wobble(bands: torch.Tensor, whole: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Give how much a band's average level differs from second to second, in dB: what chance alone may do."""
        size = bands.shape[2] // PARTS
        active = torch.sigmoid((whole - mean + 15.0) / 2.0)[:, : PARTS * size].unflatten(1, (PARTS, size))
        power = bands[..., : PARTS * size].unflatten(2, (PARTS, size))
        there = active.sum(2) + 1e-3  # (batch, parts)
        level = _db((power * active[:, None]).sum(3) / there[:, None])
        share = (there / there.sum(1, keepdim=True))[:, None]
        about = level - (share * level).sum(2, keepdim=True)
        return ((share * about.square()).sum(2) + 1e-4).sqrt()

    def _dynamics(self, x: torch.Tensor) -> list[torch.Tensor]:
        frames = x[:, : x.shape[1] // FINE * FINE].unflatten(1, (-1, FINE))
        level = _db(frames.square().mean(2))
        crest = 20.0 * torch.log10(frames.abs().amax(2) + 1e-6) - level
        mean = _db(x.square().mean(1))[:, None]
        relative = level - mean
        active = torch.sigmoid((relative + 15.0) / 2.0)
        active = active / active.sum(1, keepdim=True)
        histogram = torch.exp(-0.5 * ((relative[..., None] - self.levels) / 3.0).square()).mean(1)
        crests = (active[..., None] * torch.exp(-0.5 * ((crest[..., None] - self.crests) / 2.0).square())).sum(1)
        steps = []
        for lag in (1, 2, 4, 8, 16, 32):
            step = (level[:, lag:] - level[:, :-lag]).clamp(-40.0, 40.0)
            steps += [(torch.relu(step) * active[:, lag:]).sum(1), (torch.relu(-step) * active[:, :-lag]).sum(1)]
            steps += [(step.square() * active[:, lag:]).sum(1).sqrt()]
        peak = 20.0 * torch.log10(x.abs().amax(1) + 1e-6)
        return [histogram, crests, torch.stack([*steps, mean[:, 0], peak], 1)]

    def _shape(self, x: torch.Tensor) -> list[torch.Tensor]:
        frames = x[:, : x.shape[1] // FRAME * FRAME].unflatten(1, (-1, FRAME))
        peak = frames.abs().amax(2, keepdim=True)
        active = torch.sigmoid((_db(frames.square().mean(2)) - _db(x.square().mean(1))[:, None] + 15.0) / 2.0)
        active = active / active.sum(1, keepdim=True)
        u = frames / (peak + 1e-6)
        size = u.abs()
        square = u * u  # products, as onnxruntime takes powers one by one
        fourth = square * square
        moments = [size.mean(2), square.mean(2), fourth.mean(2), (fourth * fourth).mean(2)]
        moments += [torch.sigmoid((size - at) * 40.0).mean(2) for at in (0.5, 0.7, 0.85, 0.95)]
        top, bottom = frames.amax(2), -frames.amin(2)
        moments += [(top - bottom) / (top + bottom + 1e-6), (u * size).mean(2), (u * square).mean(2)]
        table = torch.stack(moments, 2)  # (batch, frames, moments)
        mean = (active[..., None] * table).sum(1)
        spread = (active[..., None] * (table - mean[:, None]).square()).sum(1).clamp(min=1e-8).sqrt()
        whole = x / (x.abs().amax(1, keepdim=True) + 1e-6)
        square = whole * whole
        overall = [whole.abs().mean(1), square.mean(1), (square * square).mean(1)]
        return [mean, spread, torch.stack(overall, 1)]


SPECTRA, SLOPES = 12, 12
"""Statistics of 64 bands, then of 16 coarse bands, at the front of `FeatureExtractor`'s numbers."""
AVERAGE, FLOOR = 0, 3
"""Those of them that are levels: a filter adds its curve to both."""


def condense(statistics: torch.Tensor) -> torch.Tensor:
    """Average bands in fours: fine detail tells recordings apart, not effects, and would be learned by heart."""
    fine, coarse = SPECTRA * BANDS, SLOPES * BANDS // 4
    return torch.cat(
        [
            statistics[:, :fine].unflatten(1, (-1, 4)).mean(2),
            statistics[:, fine : fine + coarse].unflatten(1, (-1, 4)).mean(2),
            statistics[:, fine + coarse :],
        ],
        dim=1,
    )
