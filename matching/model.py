"""A matching model: two sounds → settings of a chain. onnxruntime, one thread, no torch.

Clips are analysed in windows of 5 s of sound, long silences left out, each brought to the loudness of training;
windows that are much quieter than the loudest are left out, too, and the rest averaged. So a reference of any length
works, and the live input is described better the longer it plays.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..chain import ChainSettings
from ..dsp.loudness import integrated_loudness
from ..dsp.polarity import mono
from ..dsp.spectrum import long_term_spectrum, third_octaves
from ..presets import MODELS, SHIPPED_MODEL
from . import format as model_format
from .clips import ClipError
from .equaliser_fit import fit_curve
from .format import CONTROLLER, ENCODER, GRAPHS
from .level import SILENT_LUFS
from .onnx_sandbox import ModelError, check_graph, load_graph, run_graph, run_in_sandbox, trial_run
from .windows import RELATIVE_GATE_LU, sounding

BANDS = third_octaves(31.5, 20500.0)
"""Centres in Hz of a long-term spectrum's 29 bands, the highest of which goes by the name of 20 kHz."""
MIN_CLIP_S = 1.0
"""A shorter clip says too little about a style."""
MAX_LOG_ODDS = 1000.0
MAX_CURVE_DB = 100.0
"""Predicted curves are clipped here: a nonsensical one must not overflow."""
NAMED = 0.5
"""An effect that the user knows to be there is used by at least so much."""
DISTANCE_SHARE = 0.1
"""The feature distance is taken over this share of all statistics, those that differ most."""


@dataclass(frozen=True)
class Features:
    """What is known of a clip: the encoder's statistics (size,) and embedding (size,), means over `windows` of 5 s.

    spectrum_db (BANDS,) is its long-term spectrum.
    """

    statistics: np.ndarray
    embedding: np.ndarray
    windows: float
    spectrum_db: np.ndarray = field(default_factory=lambda: np.zeros(len(BANDS)))

    def __add__(self, other: "Features") -> "Features":
        """Pool two analyses of one source, weighted by their number of windows."""
        n = self.windows + other.windows
        return Features(
            (self.windows * self.statistics + other.windows * other.statistics) / n,
            (self.windows * self.embedding + other.windows * other.embedding) / n,
            n,
            (self.windows * self.spectrum_db + other.windows * other.spectrum_db) / n,
        )

    def moved(self, before: "Features", after: "Features") -> "Features":
        """Say how these would be if what was done to one part of the sound, `before` and `after`, was done to all."""
        return Features(
            self.statistics + after.statistics - before.statistics,
            self.embedding + after.embedding - before.embedding,
            self.windows,
            self.spectrum_db + after.spectrum_db - before.spectrum_db,
        )


@dataclass(frozen=True)
class Prediction:
    """What the model says of an input and references.

    unit (params,): parameters in (0, 1). probability (effects,): that the references have each effect. amount
    (effects,): how much of it to use, in log-odds (see `Decision`). curve_db (bands,): the equaliser's, without its
    level. same_source: the probability that input and reference are of one source. allowed (effects,) bool: what
    may be used at all; named (effects,) bool: what the user knows to be there.
    """

    unit: np.ndarray
    probability: np.ndarray
    amount: np.ndarray
    curve_db: np.ndarray
    same_source: float
    allowed: np.ndarray
    named: np.ndarray | bool = False


class MatchModel:
    """A model folder, loaded and checked: format, chain, checksums, graphs. Raises ModelError with what is wrong where.

    A model that did not come with the program is first run once in a process of its own.
    """

    def __init__(self, folder: str | os.PathLike[str] = SHIPPED_MODEL, provider: str = "CPUExecutionProvider") -> None:
        self.folder = Path(folder)
        self.description, graphs = model_format.read(self.folder)
        about = self.description
        self.name, self.chain = about.name, about.chain
        self.sample_rate, self.lufs = about.sample_rate, about.lufs
        self.bands_hz, self.band_weights = np.array(about.bands_hz), np.array(about.band_weights)
        self.decision = about.decision
        for name, data in graphs.items():
            check_graph(self.folder / name, data)
        if self.folder.resolve().parent != MODELS:
            run_in_sandbox(self.folder, GRAPHS, [*graphs.values()], about.window)
        sessions = [load_graph(self.folder, graph, graphs[graph.file], provider) for graph in GRAPHS]
        self._encoder, self._controller = sessions
        found = trial_run(self.folder, GRAPHS, sessions, about.window)
        if found != about.output_sizes:
            path = self.folder / CONTROLLER.file
            raise ModelError(f"{path} answers {found} numbers, not {about.output_sizes}; export again")

    def __reduce__(self) -> tuple[Any, ...]:
        """A model goes to another process as its folder, and is loaded there once."""
        return _loaded, (self.folder.resolve(),)

    # --- analysis -------------------------------------------------------------------------------------

    def analyse(self, clip: np.ndarray, sample_rate: float, name: str = "clip") -> Features:
        """Give the features of a clip (frames,) or (frames, channels) of any length; `name` is for messages.

        Raises ClipError if it is shorter than 1 s, holds NaN or Inf, is nowhere louder than -90 LUFS, or if the
        model has no answer to it; ModelError if the model has none to anything.
        """
        x = np.asarray(clip, np.float64)
        if len(x) < MIN_CLIP_S * sample_rate:
            raise ClipError(f"{name} has {len(x) / sample_rate:.1f} s of sound; {MIN_CLIP_S:g} s are needed")
        if not np.isfinite(x).all():
            raise ClipError(f"{name} holds NaN or Inf; export it again")
        x = mono(x)
        if sample_rate != self.sample_rate:
            import soxr

            x = soxr.resample(x, sample_rate, self.sample_rate, quality="HQ")
        windows = self._windows(sounding(x, self.sample_rate))
        windows = [(integrated_loudness(w, self.sample_rate, faint=True), w) for w in windows]
        loudest = max(lufs for lufs, _ in windows)
        if not loudest > SILENT_LUFS:
            silent = f"{name} is silent: its loudest 5 s are at {loudest:.0f} LUFS"
            raise ClipError(f"{silent}; {SILENT_LUFS:.0f} are needed")
        active = [(lufs, w) for lufs, w in windows if lufs > loudest - RELATIVE_GATE_LU]
        encoded = [self._encode(w * 10 ** ((self.lufs - lufs) / 20)) for lufs, w in active]
        features = [found for found in encoded if found is not None]
        if not features:
            self._check_itself()
            raise ClipError(f"{name} cannot be described: {self.name} has no answer to it; use another recording of it")
        total = features[0]
        for each in features[1:]:
            total = total + each
        return total

    def spectrum_db(self, x: np.ndarray, sample_rate: float) -> np.ndarray:
        """Give the long-term spectrum (BANDS,) of a clip (frames,) or (frames, channels) at training loudness."""
        x = mono(np.asarray(x, np.float64))
        lufs = max(integrated_loudness(x, sample_rate, faint=True), SILENT_LUFS)
        return long_term_spectrum(x * 10 ** ((self.lufs - lufs) / 20), sample_rate, BANDS)

    def _windows(self, x: np.ndarray) -> list[np.ndarray]:
        """Cut into adjacent windows; the last one reaches back, a short clip is repeated."""
        size = self.description.window
        if len(x) <= size:
            return [np.resize(x, size)]
        starts = [*range(0, len(x) - size, size), len(x) - size]
        return [x[s : s + size] for s in starts]

    def _encode(self, window: np.ndarray) -> Features | None:
        """Give the features of a window; None if they are no numbers."""
        waveform = window[None].astype(np.float32)
        statistics, embedding = run_graph(self.folder, ENCODER, self._encoder, [waveform])
        if not (np.isfinite(statistics).all() and np.isfinite(embedding).all()):
            return None
        return Features(statistics[0], embedding[0], 1.0, long_term_spectrum(window, self.sample_rate, BANDS))

    def _check_itself(self) -> None:
        """Raise ModelError if the encoder answers noise, too, with NaN."""
        if self._encode(np.random.default_rng(0).normal(0.0, 0.05, self.description.window)) is None:
            path = self.folder / ENCODER.file
            raise ModelError(f"{path} answers with NaN or Inf; export again, or use another model")

    # --- prediction -----------------------------------------------------------------------------------

    def predict(
        self,
        features: Features,
        references: Sequence[Features],
        allowed: Sequence[bool] | np.ndarray | None = None,
        named: Sequence[bool] | np.ndarray | bool | None = None,
    ) -> Prediction:
        """Predict settings with which the input sounds like the references; several predictions are averaged.

        allowed (effects,) says which effects may be used; all of them without. named (effects,) says which are known
        to be in the references; none without.
        """
        mask = np.ones(len(self.chain.order), np.float32) if allowed is None else np.asarray(allowed, np.float32)
        rows = [self._predicted(features, r, mask) for r in references]
        if not rows:
            raise ValueError("no reference to predict from")
        unit, probability, amount, curve, same = (
            np.array([row[i][0] for row in rows]).mean(0, np.float64) for i in range(5)
        )
        unit = np.clip(np.nan_to_num(unit, nan=0.5), 0.0, 1.0)
        curve = np.clip(np.nan_to_num(curve), -MAX_CURVE_DB, MAX_CURVE_DB)
        amount = np.clip(np.nan_to_num(amount, nan=-MAX_LOG_ODDS), -MAX_LOG_ODDS, MAX_LOG_ODDS)
        same_source = float(np.nan_to_num(same[0]))
        known = False if named is None else np.asarray(named, bool)
        return Prediction(unit, np.nan_to_num(probability), amount, curve, same_source, mask > 0.5, known)

    def _predicted(self, features: Features, r: Features, mask: np.ndarray) -> list[np.ndarray]:
        inputs = [x[None] for x in (features.statistics, features.embedding, r.statistics, r.embedding)]
        inputs += [mask[None], np.array([[features.windows, r.windows]], np.float32)]
        return run_graph(self.folder, CONTROLLER, self._controller, inputs)

    def amounts(
        self, prediction: Prediction, boldness: float | None = None, margin: Sequence[float] | float = 0.0
    ) -> np.ndarray:
        """Give how much of each effect to use, 0 to 1, at a boldness (the model's own without); margin in log-odds."""
        amounts = self.decision.amounts(prediction.amount, prediction.same_source, boldness, margin)
        return prediction.allowed * np.maximum(amounts, NAMED * np.asarray(prediction.named))

    def used(
        self, prediction: Prediction, margin: Sequence[float] | float = 0.0, boldness: float | None = None
    ) -> list[bool]:
        """Say which effects are used: those whose amount, `margin` added before, is not 0."""
        return list(self.amounts(prediction, boldness, margin) > 0.0)

    def settings(
        self, prediction: Prediction, enabled: Sequence[bool] | None = None, boldness: float | None = None
    ) -> ChainSettings:
        """Turn a prediction into settings, each effect by its amount; `enabled` says which play, whatever theirs is."""
        amounts = self.amounts(prediction, boldness)
        enabled = list(amounts > 0.0) if enabled is None else enabled
        effects = zip(self.at_full_strength(prediction).effects, enabled, amounts, strict=True)
        least = self.decision.least
        return ChainSettings(tuple(replace(e.scaled(max(float(a), least)), enabled=bool(on)) for e, on, a in effects))

    def at_full_strength(self, prediction: Prediction) -> ChainSettings:
        """Turn a prediction into settings in which every effect is on, exactly as predicted."""
        unit = prediction.unit.copy()
        bands = self.chain.columns("equaliser") if "equaliser" in self.chain.order else slice(0)
        if bands.stop:  # the curve is the better part of the prediction: the equaliser is fitted to it
            unit[bands] = fit_curve(
                prediction.curve_db, self.bands_hz, self.band_weights, unit[bands], self.sample_rate
            )
        values = [
            p.default if (effect, p.name) in self.description.fixed else p.value(float(u))
            for (effect, p), u in zip(self.chain.params, unit, strict=True)
        ]
        return self.chain.settings(np.array(values), [True] * len(self.chain.order))

    def in_range(self, played: Features, references: Sequence[Features], same_source: float) -> bool:
        """Say whether a result sounds like one of the references, as far as features can tell.

        Even a perfect result differs from a reference of other notes or words; calibration measured by how much.
        """
        limit = _interpolated(np.array(self.description.max_distance), same_source)
        return bool(min(feature_distance(played, r) for r in references) <= limit)


@lru_cache(1)
def _loaded(folder: Path) -> MatchModel:
    return MatchModel(folder)


def feature_distance(a: Features, b: Features) -> float:
    """Give the RMS difference of the statistics that differ most; 1 is the spread between recordings of all sorts."""
    squares = np.sort(np.square(a.statistics - b.statistics))
    return float(np.sqrt(squares[-max(1, int(DISTANCE_SHARE * len(squares))) :].mean()))


def _interpolated(rows: np.ndarray, same_source: float) -> np.ndarray:
    """Interpolate between the numbers for another source and for the same source (…, 2)."""
    other, same = rows.T
    return other + same_source * (same - other)
