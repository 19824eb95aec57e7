"""What DeepAFx-ST's trainings minimise: spectra at six resolutions, and the waveform."""

from collections.abc import Sequence

import torch
from torch import nn

from ...training.by_sound.torch_chain import WINDOWS, stft_errors

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
        return torch.stack([stft_errors(result, target.to(result), size) for size in self.windows]).mean()
