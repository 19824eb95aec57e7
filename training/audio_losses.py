"""Losses that compare sounds."""

from collections.abc import Sequence

import torch
from torch import nn

WINDOWS = (32, 128, 512, 2048, 8192, 32768)
"""Window sizes in frames; hops are half of them."""
POWER_FLOOR = 1e-8  # no bin's magnitude is below 1e-4, as in auraloss


def mr_stft_error(y: torch.Tensor, target: torch.Tensor, windows: Sequence[int] = WINDOWS) -> torch.Tensor:
    """Return the multi-resolution STFT error of each clip: (batch, frames) twice to (batch,), without a unit.

    For each window size mean |ln magnitude ratio| + mean |magnitude difference|, then the mean over sizes:
    auraloss 0.4's MultiResolutionSTFTLoss with w_sc=0, w_log_mag=1, w_lin_mag=1. Differentiable in y; no
    gradient reaches `target`. Raises ValueError if the clips are too short for the largest window.
    C. J. Steinmetz, N. J. Bryan, J. D. Reiss, Style Transfer of Audio Effects with Differentiable Signal
    Processing, JAES 70(9), 2022.
    """
    if y.shape[-1] <= max(windows) // 2:
        raise ValueError(f"{y.shape[-1]} frames are too few for a window of {max(windows)}")
    return torch.stack([_stft_error(y, target.to(y), size) for size in windows]).mean(0)


def _stft_error(y: torch.Tensor, target: torch.Tensor, size: int) -> torch.Tensor:
    with torch.no_grad():
        wanted = spectrum(target, size)
    return spectral_distance(spectrum(y, size), wanted)


def spectrum(x: torch.Tensor, size: int) -> torch.Tensor:
    """Transform clips (batch, frames), Hann, edges reflected, hops of half a window: (batch, frames, bins, 2)."""
    window = torch.hann_window(size, dtype=x.dtype, device=x.device)
    x = nn.functional.pad(x[:, None], (size // 2, size // 2), "reflect")[:, 0]
    return torch.view_as_real(torch.fft.rfft(x.unfold(1, size, size // 2) * window))


def spectral_distance(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the STFT error of each clip from spectra (batch, …, 2): (batch,)."""
    return _Distance.apply(y, target)  # pyright: ignore[reportReturnType]


class _Distance(torch.autograd.Function):
    """For each clip mean |ln(|Y|/|T|)| + mean ||Y| - |T||, from spectra (batch, …, 2) of real and imaginary parts.

    Its gradient is written out: autograd would keep ten arrays of the spectrum's size and take three times as long.
    """

    @staticmethod
    def forward(ctx, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        p, q = (s.square().sum(-1).clamp_(min=POWER_FLOOR) for s in (y, target))
        ctx.save_for_backward(y, p, q)
        return (0.5 * torch.log(p / q).abs() + (p.sqrt() - q.sqrt()).abs()).flatten(1).mean(1)

    @staticmethod
    def backward(ctx, *grads: torch.Tensor):
        y, p, q = ctx.saved_tensors
        # d/dp of both parts is sign(p - q) / 2 times (1 / p + 1 / sqrt p); dp/d(part) is twice the part
        each = (grads[0] / p[0].numel()).reshape(-1, *[1] * (p.ndim - 1))
        slope = torch.sign(p - q) * (1.0 / p + p.rsqrt()) * (p > POWER_FLOOR) * each
        return y * slope[..., None], None
