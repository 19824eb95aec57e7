"""A last adjustment by the error of the sound: a scale and an offset for each parameter of some effects.

Responses say how settings differ, not how audible each difference is: a doubtful reverb should be drier. So few
numbers cannot overfit, however few pairs there are. They are folded into the network's last layer; all else stays.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from .features import BANDS
from .shards import Pairs, Shards, load
from .sound_loss import compared, played
from .system import SettingsSystem

PAIRS = 16
"""Pairs in a step."""
RATE = 0.03
MAX_GRADIENT = 0.05
"""Gradients are clipped here: a pair with a hardly audible effect must not disturb the others."""


def tune(
    system: SettingsSystem, shards: Shards, effects: Sequence[str], steps: int = 250, seed: int = 9
) -> list[float]:
    """Tune effects in place, on pairs that are known to use them; gives each step's mean error (steps,).

    The error is the loudness-matched STFT error itself, not relative to doing nothing: loud differences count most.
    Raises ValueError for an effect that the chain lacks, or whose parameters do not come from the last layer.
    """
    chain, last = system.chain, system.predictor.controller.rest[-1]
    assert isinstance(last, torch.nn.Linear)
    movable = [e for e in chain.order if e != "equaliser"]
    if wrong := [e for e in effects if e not in movable]:
        raise ValueError(f"{wrong[0]!r} cannot be tuned; there are {', '.join(movable)}")
    chosen = torch.tensor([e in effects for e, _ in chain.params])
    scale, offset = (torch.zeros(len(chain.params), requires_grad=True) for _ in range(2))
    optimiser = torch.optim.Adam([scale, offset], RATE, betas=(0.9, 0.99))
    pairs, rng, errors = Pairs(shards, seed, 1.0, 0.0), np.random.default_rng(seed), []
    system.eval()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * (1.0 - step / steps) + 0.002
        batch = pairs.batch(rng.choice(len(shards), min(PAIRS, len(shards)), replace=False), True)
        with torch.no_grad():
            answer = system.predictor(batch.input, batch.reference, batch.allowed, batch.heard)
        logits = torch.logit(answer.unit.clamp(1e-4, 1.0 - 1e-4))
        values = system.values(torch.sigmoid(logits * scale.exp() + offset))
        sound = played(chain, batch.given, batch.input[:, :BANDS], answer.curve, values, batch.on)
        error = compared(sound, batch).error.mean()
        errors.append(float(error.detach()))
        if error.requires_grad:  # not if none of the pairs has an effect that is set
            found = torch.autograd.grad(error, [scale, offset], allow_unused=True)
            for number, gradient in zip((scale, offset), found, strict=True):
                g = torch.zeros_like(number) if gradient is None else gradient.nan_to_num()
                number.grad = torch.where(chosen, g.clamp(-MAX_GRADIENT, MAX_GRADIENT), 0.0)
            optimiser.step()
    rest = torch.tensor([e != "equaliser" for e, _ in chain.params])
    with torch.no_grad():
        last.weight.mul_(scale[rest].exp()[:, None])
        last.bias.mul_(scale[rest].exp()).add_(offset[rest])
    return errors


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-train tune",
        description="Adjust some effects of a trained model by the error of the sound; the rest stays as it is.",
    )
    p.add_argument("checkpoint", type=Path, help="checkpoint that afx-train fit wrote")
    p.add_argument("--takes", type=Path, required=True, help="folder of rendered takes, from the cache of `fit`")
    p.add_argument(
        "--effects",
        nargs="+",
        default=["reverb"],
        metavar="EFFECT",
        help="effects to adjust (default: reverb; not the equaliser)",
    )
    p.add_argument("--steps", type=int, default=250, help="training steps (default: 250)")
    p.add_argument("-o", "--output", type=Path, required=True, help="checkpoint to write")
    return p


def main(arguments: list[str]) -> None:
    """Run `afx-train tune CHECKPOINT --takes FOLDER -o CHECKPOINT`; FileNotFoundError for what is not there."""
    p = parser()
    a = p.parse_args(arguments)
    for path in (a.checkpoint, a.takes):
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    if a.output.exists():
        p.error(f"{a.output} exists; choose another name")
    system = SettingsSystem.load_from_checkpoint(a.checkpoint, map_location="cpu", weights_only=True)
    try:
        errors = tune(system, load(a.takes, system.chain), a.effects, a.steps)
    except ValueError as error:
        p.error(str(error))
    data = torch.load(a.checkpoint, map_location="cpu", weights_only=True)
    torch.save({**data, "state_dict": system.state_dict()}, a.output)
    tenth = max(1, len(errors) // 10)
    print(f"error {np.mean(errors[:tenth]):.3f} → {np.mean(errors[-tenth:]):.3f}: {a.output}")
