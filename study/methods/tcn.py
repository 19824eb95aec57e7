"""A conditioned temporal convolutional network: a proxy of one effect, or a black box in place of all."""

import torch
from torch import nn

DILATIONS = (1, 8, 64, 512)
KERNEL = 13


class Block(nn.Module):
    """Causal convolution, scaled and shifted by the condition (FiLM), PReLU, and a residual connection."""

    def __init__(self, inputs: int, channels: int, condition: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.along = nn.Conv1d(inputs, channels, KERNEL, bias=False)
        self.film = nn.Linear(condition, 2 * channels)
        self.bend = nn.PReLU(channels)
        self.around = nn.Conv1d(inputs, channels, 1, bias=False)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(condition)[..., None].chunk(2, 1)
        return self.bend(self._causal(x) * (1.0 + scale) + shift) + self.around(x)

    def _causal(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve with every `dilation`th frame, as that many interleaved signals: faster than dilation."""
        batch, channels, frames = x.shape
        d = self.dilation
        if d == 1:
            return self.along(nn.functional.pad(x, (KERNEL - 1, 0)))
        x = nn.functional.pad(x, ((KERNEL - 1) * d, -frames % d))
        apart = x.view(batch, channels, -1, d).permute(0, 3, 1, 2).reshape(batch * d, channels, -1)
        y = self.along(apart).view(batch, d, -1, apart.shape[-1] - KERNEL + 1)
        return y.permute(0, 2, 3, 1).reshape(batch, y.shape[2], -1)[..., :frames]


class Tcn(nn.Module):
    """Audio (batch, frames) and a condition (batch, conditions) in (0, 1) → audio as long.

    DeepAFx-ST's layout (4 blocks, kernel 13, dilations 1, 8, 64, 512: an output depends on the last 7021 frames,
    146 ms at 48 kHz), with three differences: fewer channels (8 instead of 64: a step takes a
    second on one core, not half a minute); no batch normalisation, because a compressor acts on the level; and
    the input is added to the output, so that an untrained network passes it on unchanged.
    """

    def __init__(self, conditions: int, channels: int = 8, width: int = 32) -> None:
        super().__init__()
        self.condition = nn.Sequential(
            nn.Linear(conditions, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU()
        )
        self.blocks = nn.ModuleList(
            Block(channels if i else 1, channels, width, dilation) for i, dilation in enumerate(DILATIONS)
        )
        self.leave = nn.Conv1d(channels, 1, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        condition = self.condition(2.0 * condition - 1.0)
        y = x[:, None]
        for block in self.blocks:
            y = block(y, condition)
        return x + self.leave(y)[:, 0]
