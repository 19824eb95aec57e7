"""Waveform → power spectra: by torch where a network is trained, by two products of matrices where it is exported.

onnxruntime's STFT runs a plain radix-2 transform of complex numbers, six times slower than the products
(26 and 4.3 ms for 5 s of audio on one core), and was half the cost of an inference.
"""

import math

import torch
from torch import nn
from torch.nn import functional

INNER = 32
"""The transform of N samples is N / INNER transforms of INNER numbers, after INNER ones of N / INNER."""


class PowerSpectra(nn.Module):
    """Hann windows, no padding: audio (batch, frames) → power (batch, size // 2 + 1, windows).

    Power is a share of the window's: white noise has its own variance in every bin. size and hop are multiples of
    INNER, and size of 2 * INNER.
    """

    window: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    bins: torch.Tensor

    def __init__(self, size: int, hop: int) -> None:
        super().__init__()
        self.size, self.hop, self.outer = size, hop, size // INNER
        window = torch.hann_window(size)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        first, second, bins = self._factors()
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        self.register_buffer("bins", bins, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            return self.by_products(x)
        spectrum = torch.stft(x, self.size, self.hop, self.size, self.window, center=False, return_complex=True)
        return torch.view_as_real(spectrum).square().sum(-1)

    def by_products(self, x: torch.Tensor) -> torch.Tensor:
        """Do the same without an FFT. Sample INNER * a + b of a window meets bin c + outer * d in two steps.

        The first sums over a, for each b (a group of channels) and c; window and twiddle factors are in its matrix.
        The second sums over b for each d, as c goes along. A real signal's bins c + outer * d with c up to half of
        outer hold all others, mirrored. J. W. Cooley, J. W. Tukey, An Algorithm for the Machine Calculation of
        Complex Fourier Series, Math. Comp. 19, 1965.
        """
        rows = x[:, : x.shape[1] // INNER * INNER].unflatten(1, (-1, INNER)).transpose(1, 2)  # (batch, b, rows)
        inner = functional.conv1d(rows, self.first, stride=self.hop // INNER, groups=INNER)
        inner = inner.unflatten(1, (INNER, self.outer // 2 + 1, 2)).transpose(1, 2).flatten(2, 3)
        parts = (self.second @ inner).unflatten(2, (2, INNER))  # (batch, c, parts, d, windows)
        return parts.square().sum(2).flatten(1, 2)[:, self.bins]

    def _factors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Make the two matrices, and say where in (c, d) each bin lies."""
        a, b = torch.arange(self.outer, dtype=torch.float64), torch.arange(INNER, dtype=torch.float64)
        c = torch.arange(self.outer // 2 + 1, dtype=torch.float64)
        angle = -2.0 * math.pi / self.size * c[None, :, None] * (INNER * a + b[:, None, None])
        window = self.window.double().unflatten(0, (self.outer, INNER)).T[:, None]
        first = torch.stack([angle.cos() * window, angle.sin() * window], 2)  # (b, c, parts, a)
        cos, sin = (f(-2.0 * math.pi / INNER * b[:, None] * b) for f in (torch.cos, torch.sin))
        second = torch.stack([torch.stack([cos, -sin], 2), torch.stack([sin, cos], 2)])  # (parts, d, b, parts)
        bins = torch.arange(self.size // 2 + 1)
        mirrored = torch.where(bins % self.outer <= self.outer // 2, bins, self.size - bins)
        place = mirrored % self.outer * INNER + mirrored // self.outer
        return first.flatten(0, 2)[:, None].float(), second.flatten(2, 3).flatten(0, 1).float(), place
