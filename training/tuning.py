"""The last word by sound: a scale and an offset for each parameter of some effects; all else stays as it is.

Responses say how settings differ, not how much each difference is heard: a reverb in doubt had better be drier. So few
numbers, learned on any number of pairs, cannot be learned by heart. They go into the network's last layer.
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
MOST = 0.05
"""A gradient counts up to this: a pair with an effect that hardly sounds must not throw the rest about."""


def tune(
    system: SettingsSystem, shards: Shards, effects: Sequence[str], steps: int = 250, seed: int = 9
) -> list[float]:
    """Tune effects in place, where they are known to be used; gives each step's mean error (steps,).

    The error is the loudness-matched STFT's, not a part of doing nothing's: what is heard most counts most.
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
                number.grad = torch.where(chosen, g.clamp(-MOST, MOST), 0.0)
            optimiser.step()
    rest = torch.tensor([e != "equaliser" for e, _ in chain.params])
    with torch.no_grad():
        last.weight.mul_(scale[rest].exp()[:, None])
        last.bias.mul_(scale[rest].exp()).add_(offset[rest])
    return errors


def main(arguments: list[str]) -> None:
    """Run `afx-train tune CHECKPOINT --takes FOLDER -o CHECKPOINT`."""
    p = argparse.ArgumentParser(
        prog="afx-train tune", description="Set some effects by what is heard, in a network that else stays as it is."
    )
    p.add_argument("checkpoint", type=Path)
    p.add_argument("--takes", type=Path, required=True, help="folder of rendered takes, in afx-train's cache")
    p.add_argument("--effects", nargs="+", default=["reverb"], metavar="EFFECT", help="(default: reverb)")
    p.add_argument("--steps", type=int, default=250, help="(default: 250)")
    p.add_argument("-o", "--output", type=Path, required=True, help="checkpoint to write")
    a = p.parse_args(arguments)
    for path in (a.checkpoint, a.takes):
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    if a.output.exists():
        p.error(f"{a.output} exists; choose another name")
    system = SettingsSystem.load_from_checkpoint(a.checkpoint, map_location="cpu", weights_only=True)
    errors = tune(system, load(a.takes, system.chain), a.effects, a.steps)
    data = torch.load(a.checkpoint, map_location="cpu", weights_only=True)
    torch.save({**data, "state_dict": system.state_dict()}, a.output)
    tenth = max(1, len(errors) // 10)
    print(f"error {np.mean(errors[:tenth]):.3f} → {np.mean(errors[-tenth:]):.3f}: {a.output}")
