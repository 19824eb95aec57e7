"""A trained model of the study, ready to play: an input and a reference in, a result out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr
import torch

from ...chain import CANONICAL, ChainSettings, play_clip
from ...dsp.loudness import at_loudness, integrated_loudness
from ...effects import load as load_effect
from ...matching.windows import RELATIVE_GATE_LU
from ...training.features import LUFS, SAMPLE_RATE, WINDOW, level
from ..pairs.condition import SILENT_LUFS, Result
from .system import CONDITIONS, MethodSystem

MIN_SECONDS = 0.5


class Trained:
    """A checkpoint of `MethodSystem`, ready to play. `hard` makes NP-HH of NP: the effects, not their proxies."""

    def __init__(self, model: MethodSystem, hard: bool = False) -> None:
        if hard and model.method != "np":
            raise ValueError(f"hard: only np has proxies to do without, {model.method} does not")
        self.model, self.hard = model.eval(), hard

    @property
    def effects(self) -> tuple[str, ...]:
        """The effects that the model may be allowed; none for a black box."""
        return () if self.model.method in CONDITIONS else self.model.chain.order

    def play(self, x: np.ndarray, reference: np.ndarray, rate: float, allowed: Sequence[str] | None = None) -> Result:
        """Make `x` sound like the reference, and as loud; both mono (frames,), 0.5 s or more, at one rate.

        allowed: the effects that may be used; by default all that the model has. Effects play at `rate`;
        convolutional networks at 48 kHz, resampled there and back. Raises ValueError for other shapes,
        NaN or Inf, silence, and an effect that the model does not have.
        """
        x, reference = self._checked(x, rate, "the input"), self._checked(reference, rate, "the reference")
        mask = self._mask(allowed)
        with torch.no_grad():
            unit, logits = self.model.network(self._features(x, rate), self._features(reference, rate), mask)
        loudness = integrated_loudness(reference, rate)
        if self.model.method in CONDITIONS or (self.model.method == "np" and not self.hard):
            return Result(at_loudness(self._by_networks(x, rate, unit, mask), rate, loudness))
        settings = self._settings(unit, mask * (logits > 0) if self.model.method == "response" else mask)
        return self._by_effects(x, rate, settings, loudness)

    def embed(self, x: np.ndarray, rate: float) -> np.ndarray:
        """Return the learned embedding of a clip, (128,)."""
        with torch.no_grad():
            features = self._features(self._checked(x, rate, "the clip"), rate)
            return self.model.network.encoder.analyse(features)[1][0].numpy()

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
        if x.ndim != 1 or len(x) < MIN_SECONDS * rate:
            raise ValueError(f"{what} has shape {x.shape}; it must be mono, of {MIN_SECONDS:g} s or more")
        if not np.isfinite(x).all():
            raise ValueError(f"{what} holds NaN or Inf")
        return x

    def _features(self, x: np.ndarray, rate: float) -> torch.Tensor:
        """Average the statistics of a clip's windows of 5 s, without those far below the loudest: (1, size)."""
        x = x if rate == SAMPLE_RATE else soxr.resample(x, rate, SAMPLE_RATE, quality="HQ")
        if len(x) <= WINDOW:
            windows = [np.resize(x, WINDOW)]
        else:
            windows = [x[s : s + WINDOW] for s in (*range(0, len(x) - WINDOW, WINDOW), len(x) - WINDOW)]
        levels = [integrated_loudness(w, SAMPLE_RATE) for w in windows]
        loudest = max(levels)
        if not loudest > SILENT_LUFS:
            raise ValueError(f"a clip is silent: its loudest 5 s are at {loudest:.0f} LUFS")
        active = [(at, w) for at, w in zip(levels, windows, strict=True) if at > loudest - RELATIVE_GATE_LU]
        kept = [w * 10 ** ((LUFS - at) / 20) for at, w in active]
        with torch.no_grad():
            extract = self.model.network.front_end
            found = [extract(torch.from_numpy(w.astype(np.float32))[None]) for w in kept]
        return torch.stack(found).mean(0)

    def _settings(self, unit: torch.Tensor, mask: torch.Tensor) -> ChainSettings:
        chain, values = self.model.chain, self.model.unit_parameters.values(unit)
        found = chain.settings(values[0].tolist(), (mask[0] > 0.5).tolist())
        off = ChainSettings.default()
        return replace(off, effects=tuple((found if e in chain.order else off).effect(e) for e in CANONICAL))

    def _by_effects(self, x: np.ndarray, rate: float, settings: ChainSettings, loudness: float) -> Result:
        """Play the live chain at -23 LUFS, where it was trained, and set the level at its end.

        The audio always has the reference's loudness, the settings' gains as far as their range allows.
        """
        gain_db = LUFS - integrated_loudness(x, rate)
        if self.model.method == "response":  # see `shards.level_normalised`: the equaliser's output is at -23 LUFS
            equaliser = ChainSettings(settings.effects[:1])
            gain_db = LUFS - integrated_loudness(play_clip(equaliser, x, rate), rate)
        y = play_clip(settings, x * 10 ** (gain_db / 20), rate)
        out_db = loudness - integrated_loudness(y, rate)
        out_db = out_db if np.isfinite(out_db) else 0.0
        clip = load_effect("gain").params[0].clip
        settings = replace(settings, input_gain_db=clip(gain_db), output_gain_db=clip(out_db))
        return Result(y * 10 ** (out_db / 20), settings)

    def _by_networks(self, x: np.ndarray, rate: float, unit: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
        there = level(x if rate == SAMPLE_RATE else soxr.resample(x, rate, SAMPLE_RATE, quality="HQ"))
        with torch.no_grad():
            y = self.model.sound(torch.from_numpy(there.astype(np.float32))[None], unit, mask)[0].double().numpy()
        back = y if rate == SAMPLE_RATE else soxr.resample(y, SAMPLE_RATE, rate, quality="HQ")
        return np.pad(back, (0, max(0, len(x) - len(back))))[: len(x)]


def load(checkpoint: str | Path, hard: bool = False) -> Trained:
    """Load a checkpoint of `MethodSystem`; `hard` plays NP's as NP-HH. FileNotFoundError if there is none."""
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint; train it with afx-study train fit")
    return Trained(MethodSystem.load_from_checkpoint(checkpoint, map_location="cpu"), hard)
