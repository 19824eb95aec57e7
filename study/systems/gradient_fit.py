"""Gradient descent on a chain's settings for one clip: to imitate a known answer, or to refine a prediction.

The chain is played as live plays it: what leaves the equaliser is brought to -23 LUFS, and so is what
leaves the chain. Both levels are solved inside the loss, so no step of the descent goes into them.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import takewhile

import numpy as np
import torch

from ...chain import CANONICAL, ChainParameters, ChainSettings, EffectSettings
from ...dsp.loudness import ABSOLUTE_GATE, OFFSET, RELATIVE_GATE, k_weighting
from ...training.priors import NOT_LEARNED
from ..metrics.audio import MATCHED_LUFS, Audio, matched, matched_stft_error
from ..pairs.case import Pair
from .rule_matcher import level_for, play, rule_settings

EDGE = 0.01
"""Units are kept this far inside (0, 1) at the start: at its end a sigmoid has no slope."""
WINDOWS = (128, 512, 2048, 8192)
STEPS = 60
RATE = 0.1
GENTLE = {
    "compressor": {"threshold_db": -20.0, "ratio": 1.3},
    "distortion": {"drive_db": 6.0, "mix": 0.1},
    "reverb": {"rt60_s": 0.5, "mix": 0.05},
}
STRONG = {
    "compressor": {"threshold_db": -32.0, "ratio": 4.0},
    "distortion": {"drive_db": 15.0, "mix": 0.7},
    "reverb": {"rt60_s": 1.2, "mix": 0.25},
}


class Loudness:
    """K-weighted level over the blocks of a clip that BS.1770's gates let through, differentiable."""

    def __init__(self, x: Audio, sample_rate: float) -> None:
        self._size, self._hop = 1 << (len(x) + 4096).bit_length(), round(sample_rate / 10)
        b0, b1, b2, a1, a2, b, c1, c2 = k_weighting(float(sample_rate))
        z = np.exp(-2j * np.pi * np.arange(self._size // 2 + 1) / self._size)
        response = (b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z) * b * (1 - z) ** 2 / (1 + c1 * z + c2 * z * z)
        self._k = torch.from_numpy(np.abs(response).astype(np.float32))
        hops = self._hops(torch.from_numpy(x.astype(np.float32))[None])[0].double().numpy()
        blocks = np.lib.stride_tricks.sliding_window_view(hops, 4).mean(1) if len(hops) >= 4 else hops
        level = OFFSET + 10 * np.log10(blocks + 1e-20)
        gate = 10 * np.log10(np.mean(blocks[level > ABSOLUTE_GATE]) + 1e-20) + OFFSET + RELATIVE_GATE
        counted = (level > max(gate, ABSOLUTE_GATE)).astype(float)
        weight = np.convolve(counted, np.ones(4))[: len(hops)] if len(hops) >= 4 else np.ones(len(hops))
        self._weight = torch.from_numpy((weight / weight.sum()).astype(np.float32))

    def _hops(self, y: torch.Tensor) -> torch.Tensor:
        heard = torch.fft.irfft(torch.fft.rfft(y, self._size) * self._k, self._size)
        return heard[:, : y.shape[1] // self._hop * self._hop].unflatten(1, (-1, self._hop)).square().mean(2)

    def level(self, y: torch.Tensor) -> torch.Tensor:
        """Bring clips (batch, frames) to -23 LUFS."""
        power = (self._hops(y) * self._weight).sum(1) + 1e-12
        return y * torch.sqrt(10 ** ((MATCHED_LUFS - OFFSET) / 10) / power)[:, None]


class Player:
    """The effects of a chain that are on, at one clip x (frames,): logits of their parameters in, audio out."""

    def __init__(self, x: Audio, sample_rate: float, settings: ChainSettings) -> None:
        self._settings, self._rate = settings, float(sample_rate)
        on = [s for s in settings.effects if s.enabled]
        first = tuple(s.effect for s in takewhile(lambda s: s.effect == "equaliser", on))
        self.chain = ChainParameters(tuple(s.effect for s in on))
        self._late = settings.latency
        self._tone, self._rest = ChainParameters(first), ChainParameters(self.chain.order[len(first) :])
        x = matched(x, sample_rate)
        self._x = torch.from_numpy(x.astype(np.float32))[None]
        self._loudness = Loudness(x, sample_rate)
        params = [(s, p) for s, e in zip(on, self.chain.effects, strict=True) for p in e.params]
        unit = torch.tensor([np.clip(p.unit(s.values[p.name]), EDGE, 1 - EDGE) for s, p in params])
        self.start = torch.logit(unit.float())
        self._kept = torch.tensor([s.values[p.name] for s, p in params])
        self._free = torch.tensor([(s.effect, p.name) not in NOT_LEARNED for s, p in params])

    def values(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits (params,) to values in the parameters' own units, (1, params)."""
        unit = torch.sigmoid(logits)
        values = torch.stack([p.value(unit[i]) for i, (_, p) in enumerate(self.chain.params)])
        return torch.where(self._free, values, self._kept)[None]

    def play(self, logits: torch.Tensor) -> torch.Tensor:
        """Play the clip: (1, frames), at -23 LUFS."""
        values, y = self.values(logits), self._x[:, None]
        split = sum(len(e.params) for e in self._tone.effects)
        if self._tone.order:
            y = self._loudness.level(self._tone.process(y, self._rate, values[:, :split])[:, 0])[:, None]
        if self._rest.order:
            y = self._rest.process(y, self._rate, values[:, split:])
        late = self._late  # as `play_clip` does
        return self._loudness.level(torch.nn.functional.pad(y[:, 0, late:], (0, late)))

    def settings(self, logits: torch.Tensor) -> ChainSettings:
        """Give the whole chain's settings; what was off stays off."""
        made = self.chain.settings(self.values(logits)[0].double().numpy(), [True] * len(self.chain.order))
        steps = {s.effect: s for s in made.effects}
        return replace(self._settings, effects=tuple(steps.get(s.effect, s) for s in self._settings.effects))


def descend(
    loss: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, steps: int, rate: float = RATE
) -> tuple[torch.Tensor, float]:
    """Go down from start by Adam, its rate falling as a cosine; give the best point met, and its loss."""
    at = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([at], rate, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 0.1 * rate)
    best, lowest = start.clone(), float("inf")
    for step in range(steps + 1):
        optimiser.zero_grad()
        value = loss(at)
        if float(value.detach()) < lowest:
            best, lowest = at.detach().clone(), float(value.detach())
        if step == steps or not bool(torch.isfinite(value)):
            break
        value.backward()
        assert at.grad is not None
        torch.nan_to_num_(at.grad)
        optimiser.step()
        schedule.step()
    return best, lowest


# --- the ceiling ----------------------------------------------------------------------------------


def _spectra(y: torch.Tensor) -> list[torch.Tensor]:
    return [
        torch.stft(y, size, size // 2, window=torch.hann_window(size), return_complex=True).abs().clamp(min=1e-4)
        for size in WINDOWS
        if y.shape[1] > size // 2
    ]


@torch.inference_mode(False)
@torch.enable_grad()
def imitate(pair: Pair, allowed: Collection[str] = CANONICAL, steps: int = STEPS) -> ChainSettings:
    """Fit the canonical chain to the answer itself: the nearest that our effects came to it, a row's ceiling.

    From a gentle and a strong start, `steps` of descent each on the STFT error; where the true settings
    are known, they stand for election too. The nearest by `matched_stft_error` is given, without the
    effects that it is nearer without; its level is solved for the reference.
    """
    x, rate = pair.input, pair.sample_rate
    goal = torch.from_numpy(matched(pair.answer, rate).astype(np.float32))[None]
    wanted = _spectra(goal)
    ruled = rule_settings(x, pair.answer, rate, [e for e in allowed if e == "equaliser"], cautious=False)

    def loss(player: Player, logits: torch.Tensor) -> torch.Tensor:
        errors = [
            (p.log() - q.log()).abs().mean() + (p - q).abs().mean()
            for p, q in zip(_spectra(player.play(logits)), wanted, strict=True)
        ]
        return torch.stack(errors).mean()

    def distance(settings: ChainSettings) -> float:
        return matched_stft_error(play(level_for(settings, x, pair.reference, rate), x, rate), pair.answer, rate)

    found = [ChainSettings.default()]
    for values in (GENTLE, STRONG):
        chain = tuple(
            EffectSettings(s.effect, {**s.values, **values.get(s.effect, {})}, s.effect in allowed)
            for s in ruled.effects
        )
        player = Player(x, rate, ChainSettings(chain))
        if player.chain.order:
            found.append(player.settings(descend(lambda at, p=player: loss(p, at), player.start, steps)[0]))
    if pair.settings is not None:
        found.append(restricted(pair.settings, allowed))
    return _pruned(min(found, key=distance), distance)


def restricted(settings: ChainSettings, allowed: Collection[str]) -> ChainSettings:
    """Switch effects off that are not allowed."""
    return replace(
        settings, effects=tuple(replace(s, enabled=s.enabled and s.effect in allowed) for s in settings.effects)
    )


def _pruned(settings: ChainSettings, distance: Callable[[ChainSettings], float]) -> ChainSettings:
    """Switch effects off as long as that brings it nearer."""
    here = distance(settings)
    while on := [s.effect for s in settings.effects if s.enabled]:
        fewer = [settings.with_effect(effect, enabled=False) for effect in on]
        distances = [distance(f) for f in fewer]
        if min(distances) >= here:
            break
        settings, here = fewer[int(np.argmin(distances))], min(distances)
    return settings
