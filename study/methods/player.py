"""A trained model of the study, as something that plays: recordings in, a result out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr
import torch

from ...chain import CANONICAL, ChainSettings, play_clip
from ...dsp.loudness import integrated_loudness
from ...training.features import LUFS, SAMPLE_RATE, WINDOW
from .system import CONDITIONS, MethodSystem
from .unit_parameters import UnitParameters

SHORTEST_S = 0.5
GATE_LUFS = -60.0
QUIET_LU = 20.0
"""Windows so far under the loudest one say little; the live predictor leaves them out too."""


@dataclass(frozen=True)
class Played:
    """What a model made of an input: mono float64 as long as it, and the chain, if there is one."""

    audio: np.ndarray
    settings: ChainSettings | None = None


class Trained:
    """A checkpoint of `Transfer`, ready to play. `hard` makes NP-HH of NP: the effects, not their proxies."""

    def __init__(self, model: MethodSystem, hard: bool = False) -> None:
        if hard and model.method != "np":
            raise ValueError(f"hard: only np has proxies to do without, {model.method} has not")
        self.model, self.hard = model.eval(), hard

    @property
    def effects(self) -> tuple[str, ...]:
        """What the model may be allowed; nothing for a black box."""
        return () if self.model.method in CONDITIONS else self.model.chain.order

    def play(self, x: np.ndarray, reference: np.ndarray, rate: float, allowed: Sequence[str] | None = None) -> Played:
        """Make `x` sound like the reference, and as loud; both mono (frames,), 0.5 s or more, at one rate.

        allowed: effects that may be used, all that the model has without it. Effects play at `rate`;
        convolutional networks at 48 kHz, resampled there and back. Raises ValueError for other shapes,
        NaN or Inf, silence, and an effect that the model has not.
        """
        x, reference = self._checked(x, rate, "the input"), self._checked(reference, rate, "the reference")
        mask = self._mask(allowed)
        with torch.no_grad():
            unit, logits = self.model.network(self._hear(x, rate), self._hear(reference, rate), mask)
        loudness = integrated_loudness(reference, rate)
        if self.model.method in CONDITIONS or (self.model.method == "np" and not self.hard):
            return Played(_at_loudness(self._by_networks(x, rate, unit, mask), loudness, rate))
        settings = self._settings(unit, mask * (logits > 0) if self.model.method == "response" else mask)
        return self._by_effects(x, rate, settings, loudness)

    def embed(self, x: np.ndarray, rate: float) -> np.ndarray:
        """Give the learned embedding of a clip, (128,)."""
        with torch.no_grad():
            return self.model.network.encoder.analyse(self._hear(self._checked(x, rate, "the clip"), rate))[1][
                0
            ].numpy()

    # --- parts -------------------------------------------------------------------------------------

    def _mask(self, allowed: Sequence[str] | None) -> torch.Tensor:
        order = self.model.chain.order
        if allowed is None:
            return torch.ones(1, len(order))
        if unknown := [e for e in allowed if e not in self.effects]:
            raise ValueError(
                f"{self.model.method} cannot use {unknown[0]!r}; it has {', '.join(self.effects) or 'no effects'}"
            )
        return torch.tensor([[float(e in allowed) for e in order]])

    def _checked(self, x: np.ndarray, rate: float, what: str) -> np.ndarray:
        x = np.asarray(x, np.float64)
        if x.ndim != 1 or len(x) < SHORTEST_S * rate:
            raise ValueError(f"{what} has shape {x.shape}; it must be mono, of {SHORTEST_S:g} s or more")
        if not np.isfinite(x).all():
            raise ValueError(f"{what} holds NaN or Inf")
        return x

    def _hear(self, x: np.ndarray, rate: float) -> torch.Tensor:
        """Average the statistics of a clip's windows of 5 s, those far under the loudest left out: (1, size)."""
        x = x if rate == SAMPLE_RATE else soxr.resample(x, rate, SAMPLE_RATE, quality="HQ")
        if len(x) <= WINDOW:
            windows = [np.resize(x, WINDOW)]
        else:
            windows = [x[s : s + WINDOW] for s in (*range(0, len(x) - WINDOW, WINDOW), len(x) - WINDOW)]
        loud = [integrated_loudness(w, SAMPLE_RATE) for w in windows]
        if not max(loud) > GATE_LUFS:
            raise ValueError(f"a clip is silent: its loudest 5 s are at {max(loud):.0f} LUFS")
        kept = [w * 10 ** ((LUFS - db) / 20) for w, db in zip(windows, loud, strict=True) if db > max(loud) - QUIET_LU]
        with torch.no_grad():
            front_end = self.model.network.front_end
            heard = [front_end(torch.from_numpy(w.astype(np.float32))[None]) for w in kept]
        return torch.stack(heard).mean(0)

    def _settings(self, unit: torch.Tensor, mask: torch.Tensor) -> ChainSettings:
        knobs: UnitParameters = self.model.knobs
        found = knobs.chain.settings(knobs.values(unit)[0].tolist(), (mask[0] > 0.5).tolist())
        off = ChainSettings.default()
        return replace(
            off, effects=tuple(found.effect(e) if e in knobs.chain.order else off.effect(e) for e in CANONICAL)
        )

    def _by_effects(self, x: np.ndarray, rate: float, settings: ChainSettings, loudness: float) -> Played:
        """Play the live chain at -23 LUFS, where it was trained, and set the level at its end.

        The settings' gains are what they should be as far as their range of ±24 dB goes; the sound's always.
        """
        gain_db = LUFS - integrated_loudness(x, rate)
        if self.model.method == "response":  # see `pairs.settled`: -23 LUFS is what leaves the equaliser
            tone = ChainSettings(settings.effects[:1])
            gain_db = LUFS - integrated_loudness(play_clip(tone, x, rate), rate)
        y = play_clip(settings, x * 10 ** (gain_db / 20), rate)
        out_db = loudness - integrated_loudness(y, rate)
        out_db = out_db if np.isfinite(out_db) else 0.0
        gains = [float(np.clip(db, -24.0, 24.0)) for db in (gain_db, out_db)]
        return Played(y * 10 ** (out_db / 20), replace(settings, input_gain_db=gains[0], output_gain_db=gains[1]))

    def _by_networks(self, x: np.ndarray, rate: float, unit: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
        there = x if rate == SAMPLE_RATE else soxr.resample(x, rate, SAMPLE_RATE, quality="HQ")
        there = there * 10 ** ((LUFS - integrated_loudness(there, SAMPLE_RATE)) / 20)
        with torch.no_grad():
            y = self.model.sound(torch.from_numpy(there.astype(np.float32))[None], unit, mask)[0].double().numpy()
        back = y if rate == SAMPLE_RATE else soxr.resample(y, SAMPLE_RATE, rate, quality="HQ")
        return np.pad(back, (0, max(0, len(x) - len(back))))[: len(x)]


def _at_loudness(x: np.ndarray, lufs: float, rate: float) -> np.ndarray:
    found = integrated_loudness(x, rate)
    return x * 10 ** ((lufs - found) / 20) if np.isfinite(found) else x


def load(checkpoint: str | Path, hard: bool = False) -> Trained:
    """Load a checkpoint of `Transfer`; `hard` plays NP's as NP-HH. FileNotFoundError if there is none."""
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint; train it with afx-train study fit")
    return Trained(MethodSystem.load_from_checkpoint(checkpoint, map_location="cpu"), hard)
