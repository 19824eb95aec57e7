"""Neural proxies: a network that learns to imitate one effect at any setting, to pass gradients through."""

from pathlib import Path

import lightning
import torch

from ...effects import load
from ...training.features import SAMPLE_RATE
from .losses import AudioLoss, at_one_level
from .tcn import Tcn
from .unit_parameters import learned

PROXIED = ("equaliser", "compressor")
"""Effects that a network with 146 ms of memory can more or less imitate; a reverb's tail lasts seconds."""


class Proxy(lightning.LightningModule):
    """Learns an effect from random settings on random stretches of recordings, at random levels.

    Errors are taken with the answers at one level; otherwise loud clips would dominate.

    frames: length of each example; level_db: largest deviation of its level from -23 LUFS.
    """

    def __init__(
        self,
        effect: str,
        channels: int = 8,
        learning_rate: float = 3e-3,
        frames: int = 32768,
        l1: float = 100.0,
        level_db: float = 12.0,
    ) -> None:
        super().__init__()
        if effect not in PROXIED:
            raise ValueError(f"effect: {effect!r} has no proxy; there are {', '.join(PROXIED)}")
        self.save_hyperparameters()
        self.effect, self.learning_rate, self.frames, self.level_db = load(effect), learning_rate, frames, level_db
        self.tcn = Tcn(len(learned(self.effect)), channels)
        self.loss = AudioLoss(l1)

    def example(self, x: torch.Tensor, rng: torch.Generator | None) -> tuple[torch.Tensor, ...]:
        """Draw stretch, level and settings for clips (batch, frames): input, learned unit parameters, answer."""
        first = int(torch.randint(x.shape[1] - self.frames + 1, (), generator=rng))
        level_db = self.level_db * (2.0 * torch.rand(len(x), 1, generator=rng) - 1.0)
        x = x[:, first : first + self.frames] * 10 ** (level_db / 20.0)
        unit = torch.tensor([p.unit(p.default) for p in self.effect.params]).repeat(len(x), 1)
        places = learned(self.effect)
        unit[:, places] = torch.rand(len(x), len(places), generator=rng)
        values = [p.value(unit[:, i]) for i, p in enumerate(self.effect.params)]
        with torch.no_grad():
            return x, unit[:, places], self.effect.process(x[:, None], SAMPLE_RATE, *values)[:, 0]

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        x, unit, answer = self.example(batch[4], None)
        loss = self.loss(*at_one_level(self.tcn(x, unit), answer))
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, ...], index: int) -> None:
        x, unit, answer = self.example(batch[4], torch.Generator().manual_seed(index))
        found = {"untouched": self.loss.stft(*at_one_level(x, answer))}
        y, answer = at_one_level(self.tcn(x, unit), answer)
        found |= {"loss": self.loss(y, answer), "stft": self.loss.stft(y, answer)}
        self.log_dict({f"validation/{k}": v for k, v in found.items()}, batch_size=len(x))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.learning_rate)


def trained_proxy(path: str | Path, effect: str, channels: int) -> dict[str, torch.Tensor]:
    """Read a trained proxy's weights; FileNotFoundError if missing, ValueError if they are of something else."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such checkpoint; train it first: afx-study train fit --config proxy_{effect}.yaml"
        )
    stored = torch.load(path, map_location="cpu", weights_only=True)
    found = stored["hyper_parameters"]
    if (found["effect"], found["channels"]) != (effect, channels):
        said = f"{found['effect']} with {found['channels']} channels"
        raise ValueError(f"{path}: a proxy of {said}; {effect} with {channels} is needed")
    return {k.removeprefix("tcn."): v for k, v in stored["state_dict"].items() if k.startswith("tcn.")}
