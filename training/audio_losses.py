"""Losses that compare sounds."""

from functools import cache

import torch
from torch import nn

from ..dsp.spectrum import STFT_FLOOR


def spectrum(x: torch.Tensor, size: int) -> torch.Tensor:
    """Transform clips (batch, frames), Hann, edges reflected, hops of half a window: (batch, frames, bins, 2)."""
    x = nn.functional.pad(x[:, None], (size // 2, size // 2), "reflect")[:, 0]
    return transform(x.unfold(1, size, size // 2) * _hann(size, x.dtype, x.device))


@cache
def _hann(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.hann_window(size, dtype=dtype, device=device)


def transform(x: torch.Tensor) -> torch.Tensor:
    """Give the Fourier transform of real numbers (…, frames), real and imaginary parts: (…, frames // 2 + 1, 2)."""
    return _Transform.apply(x)  # pyright: ignore[reportReturnType]


def square(spectrum: torch.Tensor) -> torch.Tensor:
    """Give squared magnitudes of spectra (…, 2): (…,). A sum over so short an axis takes torch four times as long."""
    real, imaginary = spectrum.unbind(-1)
    return torch.addcmul(real.square(), imaginary, imaginary)


class _Transform(torch.autograd.Function):
    """The real transform; its transpose is the inverse real one, where autograd takes a complex one of all bins."""

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        ctx.size = x.shape[-1]
        return torch.view_as_real(torch.fft.rfft(x))

    @staticmethod
    def backward(ctx, *grads: torch.Tensor):
        weight = grads[0].new_full((grads[0].shape[-2], 1), 0.5)  # the inverse counts all bins twice but the ends
        weight[0] = 1.0
        weight[ctx.size // 2 :] = 1.0 if ctx.size % 2 == 0 else 0.5
        spectrum = torch.view_as_complex(grads[0] * weight)
        return torch.fft.irfft(spectrum, ctx.size, norm="forward")


def spectral_distance(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the STFT error of each clip from spectra (batch, …, 2): (batch,)."""
    return _Distance.apply(y, target)  # pyright: ignore[reportReturnType]


class _Distance(torch.autograd.Function):
    """For each clip mean |ln(|Y|/|T|)| + mean ||Y| - |T||, from spectra (batch, …, 2) of real and imaginary parts.

    Its gradient is written out: autograd would keep ten arrays of the spectrum's size and take three times as long.
    """

    @staticmethod
    def forward(ctx, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        p, q = (square(s).clamp_(min=STFT_FLOOR) for s in (y, target))
        ctx.save_for_backward(y, p, q)
        return (0.5 * torch.log(p / q).abs() + (p.sqrt() - q.sqrt()).abs()).flatten(1).mean(1)

    @staticmethod
    def backward(ctx, *grads: torch.Tensor):
        y, p, q = ctx.saved_tensors
        # d/dp of both parts is sign(p - q) / 2 times (1 / p + 1 / sqrt p); dp/d(part) is twice the part
        each = (grads[0] / p[0].numel()).reshape(-1, *[1] * (p.ndim - 1))
        slope = torch.sign(p - q) * (1.0 / p + p.rsqrt()) * (p > STFT_FLOOR) * each
        return y * slope[..., None], None
