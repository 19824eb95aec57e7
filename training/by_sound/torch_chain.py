"""Our chain in torch, for batches on any device: what the audio loss of `fresh` listens to.

The live kernels are exact and stay on the CPU. Here whole clips go through spectra instead, so that a
GPU plays some hundreds at a time: the equaliser is its curve, without a phase; the distortion twice
oversampled without an edge; the reverb its exact response, 11 s long. `tests/test_playing.py` holds each
against its kernel. Clips are mono (batch, frames) at 48 kHz.
"""

from functools import cache

import numpy as np
import torch
from torch import nn

from ...chain import CANONICAL, ChainParameters
from ...dsp.loudness import ABSOLUTE_GATE, OFFSET, RELATIVE_GATE, k_weighting
from ...effects import load
from ...effects import reverb as reverb_effect
from ...effects._torch import coefficients
from ..audio_losses import mr_stft_error
from ..features import LUFS, SAMPLE_RATE, band_centres
from .recursive_kernels import DB, pole_of, smooth

SIZE = 1 << 18
"""Frames of a transform that filters a clip of 5 s: so much longer that what goes round is short."""
ROOM = 1 << 19
"""Frames of a reverb's transform: what rings longer than 10.9 s comes round, 60 dB down or more."""
SILENCE = 1e-6
UNITY = 0.1  # effects.distortion's
HOP = SAMPLE_RATE // 10


def _grid(size: int) -> torch.Tensor:
    return torch.fft.rfftfreq(size, 1.0 / SAMPLE_RATE, dtype=torch.float64)


# --- filters --------------------------------------------------------------------------------------


class Curves(nn.Module):
    """Curves in dB at the model's bands to magnitudes: straight lines in between, level beyond the ends."""

    COARSE = 8193
    between: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        hz, centres = torch.linspace(0.0, SAMPLE_RATE / 2, self.COARSE, dtype=torch.float64), band_centres().double()
        mel, marks = (torch.log10(1.0 + v / 700.0) for v in (hz, centres))
        at = torch.searchsorted(marks, mel).clamp(1, len(marks) - 1)
        share = ((mel - marks[at - 1]) / (marks[at] - marks[at - 1])).clamp(0.0, 1.0)
        table = torch.zeros(len(marks), self.COARSE, dtype=torch.float64)
        table[at - 1, torch.arange(self.COARSE)] += 1.0 - share
        table[at, torch.arange(self.COARSE)] += share
        self.register_buffer("between", table.float(), persistent=False)

    def forward(self, curve_db: torch.Tensor) -> torch.Tensor:
        """Map (batch, bands) to magnitudes (batch, SIZE / 2 + 1)."""
        coarse = curve_db @ self.between
        fine = nn.functional.interpolate(coarse[:, None], SIZE // 2 + 1, mode="linear", align_corners=True)[:, 0]
        return torch.exp(fine / DB)


def filtered(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Play clips (batch, frames) through responses or magnitudes (batch, SIZE / 2 + 1)."""
    return torch.fft.irfft(torch.fft.rfft(x, SIZE) * h, SIZE)[:, : x.shape[1]]


class Level(nn.Module):
    """Bring clips to -23 LUFS (ITU-R BS.1770-4, both gates), differentiable; the gates stay where they are."""

    k: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        b0, b1, b2, a1, a2, b, c1, c2 = k_weighting(float(SAMPLE_RATE))
        z = torch.exp(-2j * torch.pi * _grid(SIZE) / SAMPLE_RATE)
        h = (b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z) * b * (1 - z) ** 2 / (1 + c1 * z + c2 * z * z)
        self.register_buffer("k", h.abs().float(), persistent=False)

    def loudness(self, x: torch.Tensor) -> torch.Tensor:
        """Measure clips (batch, frames): LUFS (batch,); -100 or so for silence."""
        heard = filtered(x, self.k[None])
        hops = heard[:, : x.shape[1] // HOP * HOP].unflatten(1, (-1, HOP)).square().mean(2)
        blocks = hops.unfold(1, 4, 1).mean(2)
        with torch.no_grad():
            level = OFFSET + 10.0 * torch.log10(blocks + 1e-12)
            loud = (level > ABSOLUTE_GATE).float()
            mean = (blocks * loud).sum(1) / loud.sum(1).clamp(min=1.0)
            gate = OFFSET + RELATIVE_GATE + 10.0 * torch.log10(mean + 1e-12)
            counted = loud * (level > gate[:, None])
            weight = counted / counted.sum(1, keepdim=True).clamp(min=1.0)
        return OFFSET + 10.0 * torch.log10((blocks * weight).sum(1) + 1e-10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.exp((LUFS - self.loudness(x)) / DB)[:, None]


# --- effects --------------------------------------------------------------------------------------


def compressed(x: torch.Tensor, values: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Play our compressor; values (batch, params), share (batch,) of its gain in dB that is applied."""
    threshold, ratio, attack, release, knee, _ = (v[:, None] for v in values.unbind(1))
    over = DB * torch.log(x.abs().clamp(min=SILENCE)) - threshold
    inside = (over + 0.5 * knee).clamp(min=0.0).minimum(knee)
    aim = (1.0 / ratio - 1.0) * (inside.square() / (2.0 * knee) + (over - 0.5 * knee).clamp(min=0.0))
    gain = smooth(aim, pole_of(attack[:, 0], SAMPLE_RATE), pole_of(release[:, 0], SAMPLE_RATE))
    return x * torch.exp(gain * share[:, None] / DB)


def raised(x: torch.Tensor) -> torch.Tensor:
    """Double the sample rate, without an edge at the old one's half."""
    return 2.0 * torch.fft.irfft(torch.fft.rfft(x), 2 * x.shape[1])


def lowered(x: torch.Tensor, h: torch.Tensor | None = None) -> torch.Tensor:
    """Halve the sample rate again; h (batch, frames / 4 + 1) filters on the way."""
    spectrum = torch.fft.rfft(x)[:, : x.shape[1] // 4 + 1] * 0.5
    return torch.fft.irfft(spectrum if h is None else spectrum * h, x.shape[1] // 2)


def tone_response(tone_hz: torch.Tensor, frames: int) -> torch.Tensor:
    """Give the distortion's low-pass and DC blocker, poles at four times the rate, at the bins of a clip."""
    hz = torch.fft.rfftfreq(frames, 1.0 / SAMPLE_RATE, device=tone_hz.device)
    pole = torch.exp(-0.5 * torch.pi * tone_hz / SAMPLE_RATE)[:, None]
    z = torch.exp(-0.5j * torch.pi * hz / SAMPLE_RATE)[None]
    return (1.0 - pole) / (1.0 - pole * z) * (hz > 5.0)


def distorted(x: torch.Tensor, values: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Play our distortion; share (batch,) of its mix."""
    drive_db, bias, tone_hz, mix = values.unbind(1)
    drive, bias = torch.exp(drive_db / DB)[:, None], bias[:, None]
    unity = UNITY / torch.tanh(UNITY * drive)
    bent = unity * (torch.tanh(drive * raised(x) + bias) - torch.tanh(bias))
    mix = (mix * share)[:, None]
    return x + mix * (lowered(bent, tone_response(tone_hz, x.shape[1])) - x)


@cache
def _turns(device: torch.device) -> torch.Tensor:
    """Give what each line of the reverb delays a bin by: (lines, bins), without loss in a long product."""
    lengths = coefficients(load("reverb"), torch.tensor([[1.0, 0.5, 0.0, 20.0, 1.0, 1.0]]), SAMPLE_RATE)[0]
    lengths = lengths[reverb_effect.LENGTH : reverb_effect.LENGTH + reverb_effect.LINES].long()
    turns = (torch.arange(ROOM // 2 + 1)[None] * lengths[:, None]) % ROOM
    return torch.exp(-2j * torch.pi * turns.double() / ROOM).to(torch.complex64).to(device)


@torch.no_grad()
def room_response(values: torch.Tensor) -> torch.Tensor:
    """Give the response of our reverb's wet path at a mix of 1: (batch, params) to (batch, ROOM / 2 + 1).

    With D a line's delay and gain, c that and its low-pass, b what enters it: the matrix I - 2/N 11'
    leaves one unknown, T = sum c u, which the Sherman-Morrison formula gives.
    """
    r, device = reverb_effect, values.device
    wet = values.double().clone()
    wet[:, -1] = 1.0
    coef = coefficients(load("reverb"), wet, SAMPLE_RATE).to(device)
    k = torch.arange(ROOM // 2 + 1, device=device, dtype=torch.float32)
    z = torch.exp(-2j * torch.pi * k.double() / ROOM).to(torch.complex64)
    p, q, heard, lost = (torch.zeros(len(values), len(k), dtype=torch.complex64, device=device) for _ in range(4))
    for i, turn in enumerate(_turns(device)):
        gain, pole = (coef[:, at + i, None].float() for at in (r.GAIN, r.POLE))
        delayed = gain * turn
        c = delayed * (1.0 - pole) / (1.0 - pole * z)
        whole = 1.0 / (1.0 - c)
        entered, left = float(r.IN_LEFT[i] + r.IN_RIGHT[i]), float(r.OUT_LEFT[i])
        p += entered * c * whole
        q += c * whole
        heard += (left * entered) * delayed * whole
        lost += left * delayed * whole
    late = heard - (2.0 / r.LINES) * lost * p / (1.0 + (2.0 / r.LINES) * q)
    early = torch.zeros_like(z)
    for tap, seconds in zip(r.TAP, r.LEFT_S, strict=True):
        early += float(tap) * torch.exp(-2j * torch.pi * (k.double() * int(seconds * SAMPLE_RATE) % ROOM) / ROOM).to(z)
    b, a1, a2 = (coef[:, r.LOW_CUT + i, None].float() for i in range(3))
    cut = b * (1.0 - z) ** 2 / (1.0 + a1 * z + a2 * z * z)
    frames = coef[:, r.PREDELAY, None]
    whole, share = frames.floor(), (frames % 1.0).float()
    before = torch.exp(-2j * torch.pi * (k.double()[None] * whole % ROOM) / ROOM).to(torch.complex64)
    before = before * (1.0 - share + share * z)
    level = [coef[:, at, None].float() for at in (r.EARLY, r.LATE)]
    return cut * before * (level[0] * early + level[1] * late)


def reverberated(x: torch.Tensor, h: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
    """Play a room's wet response (batch, ROOM / 2 + 1) beside the dry sound; mix (batch,)."""
    wet = torch.fft.irfft(torch.fft.rfft(x, ROOM) * h, ROOM)[:, : x.shape[1]]
    return x + mix[:, None] * (wet - x)


class Player(nn.Module):
    """The canonical chain as it is played live: clips at -23 LUFS in, what leaves the equaliser and the chain too."""

    def __init__(self) -> None:
        super().__init__()
        self.curves, self.level, self.chain = Curves(), Level(), ChainParameters(CANONICAL)

    def forward(
        self, x: torch.Tensor, curve_db: torch.Tensor, values: torch.Tensor, share: torch.Tensor
    ) -> torch.Tensor:
        """Play clips (batch, frames): curve_db (batch, bands), values (batch, params), share (batch, effects) of each.

        Gradients reach all but the reverb's room, of which only the mix has one.
        """
        of = {effect: values[:, self.chain.columns(effect)] for effect in CANONICAL}
        parts = dict(zip(CANONICAL, share.unbind(1), strict=True))
        y = self.level(filtered(x, self.curves(curve_db * parts["equaliser"][:, None])))
        y = compressed(y, of["compressor"], parts["compressor"])
        y = distorted(y, of["distortion"], parts["distortion"])
        y = reverberated(y, room_response(of["reverb"].detach()), of["reverb"][:, -1] * parts["reverb"])
        return self.level(y)


# --- how far a result is from the answer ------------------------------------------------------------


class Distance(nn.Module):
    """The study's two measures of a levelled result, row by row: MR-STFT error, and log-mel error over it.

    The first is `study.metrics.stft_error`; the second the mean difference of 64 mel bands' levels in
    frames of 100 ms, in nepers, which two rooms of one kind can both meet.
    """

    bands: torch.Tensor
    FRAME = 8192

    def __init__(self) -> None:
        super().__init__()
        hz = torch.fft.rfftfreq(self.FRAME, 1.0 / SAMPLE_RATE)
        mel = torch.log10(1.0 + hz / 700.0)
        edges = torch.linspace(np.log10(1.0 + 30.0 / 700.0), np.log10(1.0 + 16000.0 / 700.0), 66)
        up = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
        down = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
        self.register_buffer("bands", torch.minimum(up, down).clamp(min=0.0), persistent=False)

    def forward(self, result: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map clips (batch, frames) twice to errors (batch,) twice."""
        spectral = mr_stft_error(result, truth)
        ours, theirs = (self._log_mel(x) for x in (result, truth))
        return spectral, (ours - theirs).abs().mean((1, 2))

    def _log_mel(self, x: torch.Tensor) -> torch.Tensor:
        window = torch.hann_window(self.FRAME, device=x.device)
        power = torch.stft(x, self.FRAME, HOP, window=window, return_complex=True).abs().square()
        return 0.5 * torch.log((self.bands.T @ power).clamp(min=1e-4))
