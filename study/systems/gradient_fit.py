"""Gradient descent on a chain's settings for one clip, towards a known answer: the ceiling of our effects.

The chain is played as live: the equaliser's output is brought to -23 LUFS, and so is the chain's. Both levels are
solved inside the loss, so that no step of the descent is spent on them.
"""

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import torch

from ...chain import CANONICAL, ChainParameters, ChainSettings, EffectSettings, play_clip
from ...dsp.loudness import ABSOLUTE_GATE, OFFSET, RELATIVE_GATE, k_weighting_response
from ...training.priors import is_learned
from ..methods.losses import mr_stft_error
from ..metrics.audio import MATCHED_LUFS, Audio, matched, matched_stft_error
from ..pairs.condition import Pair
from .playing import constrained, level_for
from .rule_matcher import rule_settings

MARGIN = 0.01
"""Unit parameters start this far inside (0, 1): at its ends a sigmoid has no slope."""
WINDOWS = (128, 512, 2048, 8192)
STEPS = 60
LEARNING_RATE = 0.1
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
    """Differentiable loudness: K-weighted power over the blocks of a clip that pass BS.1770's gates."""

    def __init__(self, x: Audio, sample_rate: float) -> None:
        self._size, self._hop = 1 << (len(x) + 4096).bit_length(), round(sample_rate / 10)
        hz = np.fft.rfftfreq(self._size, 1 / sample_rate)
        self._k = torch.from_numpy(k_weighting_response(hz, sample_rate).astype(np.float32))
        hops = self._hops(torch.from_numpy(x.astype(np.float32))[None])[0].double().numpy()
        blocks = np.lib.stride_tricks.sliding_window_view(hops, 4).mean(1) if len(hops) >= 4 else hops
        level = OFFSET + 10 * np.log10(blocks + 1e-20)
        gate = 10 * np.log10(np.mean(blocks[level > ABSOLUTE_GATE]) + 1e-20) + OFFSET + RELATIVE_GATE
        counted = (level > max(gate, ABSOLUTE_GATE)).astype(float)
        weight = np.convolve(counted, np.ones(4))[: len(hops)] if len(hops) >= 4 else np.ones(len(hops))
        self._weight = torch.from_numpy((weight / weight.sum()).astype(np.float32))

    def _hops(self, y: torch.Tensor) -> torch.Tensor:
        weighted = torch.fft.irfft(torch.fft.rfft(y, self._size) * self._k, self._size)
        return weighted[:, : y.shape[1] // self._hop * self._hop].unflatten(1, (-1, self._hop)).square().mean(2)

    def to_level(self, y: torch.Tensor) -> torch.Tensor:
        """Bring clips (batch, frames) to -23 LUFS."""
        power = (self._hops(y) * self._weight).sum(1) + 1e-12
        return y * torch.sqrt(10 ** ((MATCHED_LUFS - OFFSET) / 10) / power)[:, None]


class FittedChain:
    """The enabled effects of a chain on one clip x (frames,): logits of their parameters in, audio out."""

    def __init__(self, x: Audio, sample_rate: float, settings: ChainSettings) -> None:
        self._settings, self._rate = settings, float(sample_rate)
        enabled = [s for s in settings.effects if s.enabled]
        first = tuple(s.effect for s in settings.linear_front if s.enabled)
        self.chain = ChainParameters(tuple(s.effect for s in enabled))
        self._latency = settings.latency
        self._equaliser, self._rest = ChainParameters(first), ChainParameters(self.chain.order[len(first) :])
        x = matched(x, sample_rate)
        self._x = torch.from_numpy(x.astype(np.float32))[None]
        self._loudness = Loudness(x, sample_rate)
        params = [(s, p) for s, e in zip(enabled, self.chain.effects, strict=True) for p in e.params]
        unit = torch.tensor([np.clip(p.unit(s.values[p.name]), MARGIN, 1 - MARGIN) for s, p in params])
        self.start = torch.logit(unit.float())
        self._kept = torch.tensor([s.values[p.name] for s, p in params])
        self._free = torch.tensor([is_learned(s.effect, p.name) for s, p in params])

    def values(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits (params,) to values in the parameters' own units, (1, params)."""
        unit = torch.sigmoid(logits)
        values = torch.stack([p.value(unit[i]) for i, (_, p) in enumerate(self.chain.params)])
        return torch.where(self._free, values, self._kept)[None]

    def play(self, logits: torch.Tensor) -> torch.Tensor:
        """Play the clip: (1, frames), at -23 LUFS."""
        values, y = self.values(logits), self._x[:, None]
        split = sum(len(e.params) for e in self._equaliser.effects)
        if self._equaliser.order:
            y = self._loudness.to_level(self._equaliser.process(y, self._rate, values[:, :split])[:, 0])[:, None]
        if self._rest.order:
            y = self._rest.process(y, self._rate, values[:, split:])
        latency = self._latency  # compensated, as `play_clip` does
        return self._loudness.to_level(torch.nn.functional.pad(y[:, 0, latency:], (0, latency)))

    def settings(self, logits: torch.Tensor) -> ChainSettings:
        """Return the whole chain's settings; disabled effects stay disabled."""
        made = self.chain.settings(self.values(logits)[0].double().numpy(), [True] * len(self.chain.order))
        steps = {s.effect: s for s in made.effects}
        return replace(self._settings, effects=tuple(steps.get(s.effect, s) for s in self._settings.effects))


def minimise(
    loss: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, steps: int, rate: float = LEARNING_RATE
) -> tuple[torch.Tensor, float]:
    """Minimise a loss from `start` by Adam, its rate falling as a cosine; return the best point met, and its loss."""
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


@torch.inference_mode(False)
@torch.enable_grad()
def fit_to_answer(pair: Pair, allowed: Collection[str] = CANONICAL, steps: int = STEPS) -> ChainSettings:
    """Fit the canonical chain to the answer itself: the nearest that our effects come to it.

    From a gentle and a strong start, `steps` of descent each on the STFT error; the true settings, where they are
    known, are a further candidate. Returns the candidate with the least `matched_stft_error`, without the
    effects that it is nearer without.
    """
    x, rate = pair.input, pair.sample_rate
    goal = torch.from_numpy(matched(pair.answer, rate).astype(np.float32))[None]
    windows = [size for size in WINDOWS if len(x) > size // 2]
    by_rules = rule_settings(x, pair.answer, rate, [e for e in allowed if e == "equaliser"], cautious=False)

    def loss(fitted: FittedChain, logits: torch.Tensor) -> torch.Tensor:
        return mr_stft_error(fitted.play(logits), goal, windows)[0]

    def distance(settings: ChainSettings) -> float:
        return matched_stft_error(play_clip(level_for(settings, x, pair.reference, rate), x, rate), pair.answer, rate)

    found = [ChainSettings.default()]
    for values in (GENTLE, STRONG):
        chain = tuple(
            EffectSettings(s.effect, {**s.values, **values.get(s.effect, {})}, s.effect in allowed)
            for s in by_rules.effects
        )
        fitted = FittedChain(x, rate, ChainSettings(chain))
        if fitted.chain.order:
            found.append(fitted.settings(minimise(lambda at, f=fitted: loss(f, at), fitted.start, steps)[0]))
    if pair.settings is not None:
        found.append(constrained(pair.settings, allowed))
    return _pruned(min(found, key=distance), distance)


def _pruned(settings: ChainSettings, distance: Callable[[ChainSettings], float]) -> ChainSettings:
    """Disable effects as long as that reduces the distance."""
    here = distance(settings)
    while enabled := [s.effect for s in settings.effects if s.enabled]:
        fewer = [settings.with_effect(effect, enabled=False) for effect in enabled]
        distances = [distance(f) for f in fewer]
        if min(distances) >= here:
            break
        settings, here = fewer[int(np.argmin(distances))], min(distances)
    return settings
