"""Refinement: move a predicted chain until the result's statistics are the reference's, as far as they must be.

The statistics are the model's own front end's. Two clips of one source differ in them although nothing
was done to either; how much, and which of them together, is measured once on dry recordings (`learn`)
and kept beside this file. What is left of a difference after that pulls on the settings, by gradients
through the effects; the prediction holds them back, in the space of what settings do.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soxr
import torch

from ...chain import ChainSettings
from ...matching import MatchModel, Prediction
from ...training.features import SAMPLE_RATE, WINDOW, FeatureExtractor, condense
from ...training.response_losses import errors
from ..metrics.audio import Audio, matched
from .gradient_fit import Player, descend

CHANCE = Path(__file__).with_name("chance.npz")
STEPS = 30
RATE = 0.08
TRUST = 0.5
"""How much a clip's statistics count beside the prediction: 1 if they were Gaussian and knew their own spread."""
TYPICAL = {"equaliser": 0.5, "compressor": 1.0, "distortion": 1.0, "reverb": 1.5}
"""How far off the model's predictions are, in the units of `training.responses`."""
FALL = 0.1
"""The objective must fall by this share, or the prediction stays."""


@dataclass(frozen=True)
class Chance:
    """How statistics differ by chance: covariances (size, size) of dry clips of one source, and of two of a kind."""

    same: np.ndarray
    other: np.ndarray

    def precision(self, kin: float, hold: float = 0.05) -> torch.Tensor:
        """Invert the covariance that suits a probability `kin` of one source; `hold` keeps its diagonal up."""
        mixed = kin * self.same + (1.0 - kin) * self.other
        return torch.from_numpy(np.linalg.inv(mixed + hold * np.diag(np.diag(mixed)) + 1e-6 * np.eye(len(mixed))))


def learn(dry: np.ndarray, kind: np.ndarray, seed: int = 0) -> Chance:
    """Measure chance from dry statistics (takes, 2, size) of `training.pairs.Statistics` and their kinds (takes,)."""
    small = condense(torch.from_numpy(dry.reshape(-1, dry.shape[-1]))).double().numpy().reshape(len(dry), 2, -1)
    rng, other = np.random.default_rng(seed), []
    for k in np.unique(kind):
        rows = np.flatnonzero(kind == k)
        other.append(small[rows, 0] - small[rng.permutation(rows), 1])
    moved, apart = small[:, 0] - small[:, 1], np.concatenate(other)
    return Chance(moved.T @ moved / len(moved), apart.T @ apart / len(apart))


def save(chance: Chance, path: Path = CHANCE) -> None:
    """Write chance as standard deviations and correlations, small enough to ship."""
    made = {}
    for name, covariance in (("same", chance.same), ("other", chance.other)):
        scale = np.sqrt(np.diag(covariance)) + 1e-9
        made |= {f"{name}_scale": scale.astype(np.float32)}
        made |= {name: (covariance / scale / scale[:, None]).astype(np.float16)}
    np.savez_compressed(path, **made)


@cache
def shipped(path: Path = CHANCE) -> Chance:
    """Read the chance that is shipped."""
    with np.load(path) as file:
        rows = {k: file[k].astype(np.float64) for k in file.files}
    return Chance(*(rows[n] * rows[f"{n}_scale"] * rows[f"{n}_scale"][:, None] for n in ("same", "other")))


@cache
def _front_end() -> FeatureExtractor:
    return FeatureExtractor()


def loud_window(x: Audio, sample_rate: float) -> Audio:
    """Give 5 s of a clip at 48 kHz and -23 LUFS: the stretch with the most power; a short clip goes round."""
    x = soxr.resample(x, sample_rate, SAMPLE_RATE, quality="HQ") if sample_rate != SAMPLE_RATE else x
    if len(x) > WINDOW:
        power = np.concatenate([[0.0], np.cumsum(np.square(x))])
        first = int(np.argmax(power[WINDOW::4800] - power[:-WINDOW:4800])) * 4800
        x = x[first : first + WINDOW]
    return matched(np.resize(x, WINDOW), SAMPLE_RATE)


@torch.inference_mode(False)
@torch.enable_grad()
def refine(
    predictor: MatchModel,
    prediction: Prediction,
    settings: ChainSettings,
    x: Audio,
    reference: Audio,
    sample_rate: float,
    steps: int = STEPS,
    trust: float = TRUST,
) -> ChainSettings:
    """Refine the effects of `settings` that are on; give them back as they were if that does not pay clearly."""
    player = Player(loud_window(x, sample_rate), SAMPLE_RATE, settings)
    if not player.chain.order:
        return settings
    precision, start = shipped().precision(prediction.same_source), player.values(player.start)
    with torch.no_grad():
        there = torch.from_numpy(loud_window(reference, sample_rate).astype(np.float32))[None]
        wanted = condense(_front_end()(there)).double()
    typical = torch.tensor([TYPICAL.get(e, 1.0) for e in player.chain.order])

    def objective(logits: torch.Tensor) -> torch.Tensor:
        apart = condense(_front_end()(player.play(logits))).double() - wanted
        moved = errors(player.chain, player.values(logits), start)[0] / typical
        return 0.5 * trust * (apart @ precision @ apart.T)[0, 0] + 0.5 * moved.square().sum()

    with torch.no_grad():
        before = float(objective(player.start))
    best, after = descend(objective, player.start, steps, RATE)
    return player.settings(best) if after < (1.0 - FALL) * before else settings
