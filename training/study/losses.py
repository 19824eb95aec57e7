"""What DeepAFx-ST's trainings minimise: spectra at six resolutions, and the waveform."""

from collections.abc import Sequence

import torch
from torch import nn

WINDOWS = (32, 128, 512, 2048, 8192, 32768)
"""Window sizes in frames; hops are half of them."""
_POWER_FLOOR = 1e-8  # no bin's magnitude is under 1e-4, as in auraloss
_QUIET = 1e-4  # RMS under which a clip is as good as silent: -80 dBFS


def at_level_of(result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Bring each clip (batch, frames) to its target's RMS, differentiably: level is solved, not learned."""
    return result * (target.square().mean(1, keepdim=True).sqrt() / _rms(result))


def at_one_level(result: torch.Tensor, target: torch.Tensor, rms: float = 0.07) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring targets (batch, frames) to one RMS, about that of -23 LUFS, and results by the same gain."""
    gain = rms / (target.square().mean(1, keepdim=True).sqrt() + _QUIET)
    return result * gain, target * gain


def _rms(x: torch.Tensor) -> torch.Tensor:
    return (x.square().mean(1, keepdim=True) + _QUIET**2).sqrt()


class AudioLoss(nn.Module):
    """MR-STFT error plus `l1` times the mean absolute difference; clips (batch, frames) to a number.

    The first part is `study.metrics.stft_error`, which is auraloss' MultiResolutionSTFTLoss with log and
    linear magnitudes. Raises ValueError for 16384 frames or less, too short for the largest window.
    C. J. Steinmetz, N. J. Bryan, J. D. Reiss, Style Transfer of Audio Effects with Differentiable Signal
    Processing, JAES 70(9), 2022.
    """

    def __init__(self, l1: float = 100.0, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        self.l1, self.windows = l1, tuple(windows)

    def forward(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = self.stft(result, target)
        return loss + self.l1 * (result - target).abs().mean() if self.l1 else loss

    def stft(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Give the MR-STFT error alone."""
        if result.shape[-1] <= max(self.windows) // 2:
            raise ValueError(f"{result.shape[-1]} frames are too few for a window of {max(self.windows)}")
        return torch.stack([self._one(result, target, size) for size in self.windows]).mean()

    @staticmethod
    def _one(result: torch.Tensor, target: torch.Tensor, size: int) -> torch.Tensor:
        window = torch.hann_window(size, dtype=result.dtype, device=result.device)
        with torch.no_grad():
            there = _spectrum(target.to(result), window)
        return _Distance.apply(_spectrum(result, window), there)  # pyright: ignore[reportReturnType]


def _spectrum(x: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    size = len(window)
    x = nn.functional.pad(x[:, None], (size // 2, size // 2), "reflect")[:, 0]
    return torch.view_as_real(torch.fft.rfft(x.unfold(1, size, size // 2) * window))


class _Distance(torch.autograd.Function):
    """Mean |ln of the magnitudes' ratio| + mean |their difference|, of spectra (…, 2) of parts.

    By hand, because autograd would keep ten arrays of the spectrum's size and take three times as long.
    """

    @staticmethod
    def forward(ctx, ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        p, q = (s.square().sum(-1).clamp_(min=_POWER_FLOOR) for s in (ours, theirs))
        ctx.save_for_backward(ours, p, q)
        return 0.5 * torch.log(p / q).abs().mean() + (p.sqrt() - q.sqrt()).abs().mean()

    @staticmethod
    def backward(ctx, *grads: torch.Tensor):
        ours, p, q = ctx.saved_tensors
        # d/dp of both parts is sign(p - q) / 2 times (1 / p + 1 / sqrt p); dp/d(part) is twice the part
        slope = torch.sign(p - q) * (1.0 / p + p.rsqrt()) * (p > _POWER_FLOOR) * (grads[0] / p.numel())
        return ours * slope[..., None], None
