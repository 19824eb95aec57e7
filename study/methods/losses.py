"""What DeepAFx-ST's trainings minimise: the MR-STFT error, and the error of the waveform."""

from collections.abc import Sequence

import torch
from torch import nn

from ...training.audio_losses import spectral_distance, spectrum
from ..metrics.audio import WINDOWS

_QUIET = 1e-4  # RMS of a clip that is as good as silent: -80 dBFS


def at_level_of(result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Bring each clip (batch, frames) to its target's RMS, differentiably: level is solved, not learned."""
    return result * (target.square().mean(1, keepdim=True).sqrt() / _rms(result))


def at_one_level(result: torch.Tensor, target: torch.Tensor, rms: float = 0.07) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring targets (batch, frames) to one RMS, about that of -23 LUFS, and results by the same gain."""
    gain = rms / (target.square().mean(1, keepdim=True).sqrt() + _QUIET)
    return result * gain, target * gain


def _rms(x: torch.Tensor) -> torch.Tensor:
    return (x.square().mean(1, keepdim=True) + _QUIET**2).sqrt()


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


class AudioLoss(nn.Module):
    """MR-STFT error plus `l1` times the mean absolute difference; clips (batch, frames) to a number.

    Raises ValueError for clips that are too short for the largest window (16384 frames by default).
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
        """Return the MR-STFT error alone, the mean over the batch."""
        return mr_stft_error(result, target, self.windows).mean()
