"""The network that every method trains: features of both clips and the allowed effects → unit parameters."""

import torch
from torch import nn

from ...training.features import FeatureExtractor, condense
from ...training.network import Encoder, Noise, Size


class Network(nn.Module):
    """Statistics of input and reference, and a 0/1 mask of effects → numbers in (0, 1), and logits of enabled.

    With the mask as an input, one network serves every chain that its effects can form. About 1 M parameters
    with the defaults. `begin` (outputs,) is the output of the untrained network.
    """

    def __init__(
        self, effects: int, begin: torch.Tensor, hidden: int = 576, dropout: float = 0.1, noise: float = 0.15
    ) -> None:
        super().__init__()
        size = Size(dropout=dropout, noise=noise)
        self.encoder = Encoder(size)
        self.noise = Noise(noise)
        self.trunk = nn.Sequential(
            nn.Linear(3 * self.encoder.condensed + 2 * size.embedding + effects, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.leave = nn.Linear(hidden, len(begin))
        self.on = nn.Linear(hidden, effects)
        with torch.no_grad():
            self.leave.weight.mul_(0.3)
            self.leave.bias.copy_(torch.logit(begin.clamp(0.05, 0.95)))

    def forward(
        self, raw_input: torch.Tensor, raw_reference: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Map raw statistics (batch, size) twice and mask (batch, effects) to (batch, outputs), (batch, effects)."""
        here, mine = self.encoder.analyse(raw_input)
        there, theirs = self.encoder.analyse(raw_reference)
        here, there = condense(self.noise(here)), condense(self.noise(there))
        hidden = self.trunk(torch.cat([here, there, there - here, mine, theirs, mask], 1))
        return torch.sigmoid(self.leave(hidden)), self.on(hidden)

    @property
    def front_end(self) -> FeatureExtractor:
        """What makes raw statistics of clips (batch, 240000)."""
        return self.encoder.front_end
