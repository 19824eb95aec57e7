"""A matching model: two sounds → settings of a chain. onnxruntime, one thread, no torch.

Clips are analysed in windows of 5 s, each brought to the loudness of training; windows without signal are left
out and the rest averaged. So a reference of any length works, and the live input is described better the longer
it plays.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..chain import ChainSettings
from ..dsp.loudness import integrated_loudness
from ..presets import MODELS, SHIPPED_MODEL
from . import format as model_format
from .clips import SILENT_LUFS, ClipError
from .equaliser_fit import fit_curve
from .format import CONTROLLER, ENCODER, GRAPHS
from .onnx_sandbox import ModelError, check_graph, load_graph, run_graph, run_in_sandbox, trial_run

RELATIVE_GATE_LU = 20.0
"""Windows this far below the loudest one are left out."""
MIN_CLIP_S = 1.0
"""A shorter clip says too little about a style."""
MAX_CURVE_DB = 100.0
"""Predicted curves are clipped here: a nonsensical one must not overflow."""
DISTANCE_SHARE = 0.1
"""The feature distance is taken over this share of all statistics, those that differ most."""


@dataclass(frozen=True)
class Features:
    """What the encoder says of a clip: statistics (size,) and embedding (size,), means over `windows` of 5 s."""

    statistics: np.ndarray
    embedding: np.ndarray
    windows: float

    def __add__(self, other: "Features") -> "Features":
        """Pool two analyses of one source, weighted by their number of windows."""
        n = self.windows + other.windows
        return Features(
            (self.windows * self.statistics + other.windows * other.statistics) / n,
            (self.windows * self.embedding + other.windows * other.embedding) / n,
            n,
        )


@dataclass(frozen=True)
class Prediction:
    """Unit parameters (params,), the probability that each effect is on (effects,), the curve in dB (bands,).

    The curve is the equaliser's, without its level. `same_source` is the probability that input and reference
    are of one source.
    """

    unit: np.ndarray
    probability: np.ndarray
    curve_db: np.ndarray
    same_source: float


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
        self.thresholds = np.array([about.thresholds[effect] for effect in self.chain.order])
        self.strengths = np.array([about.strengths[effect] for effect in self.chain.order])
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

    # --- analysis -------------------------------------------------------------------------------------

    def analyse(self, clip: np.ndarray, sample_rate: float, name: str = "clip") -> Features:
        """Give the features of a clip (frames,) or (frames, channels) of any length; `name` is for messages.

        Raises ClipError if it is shorter than 1 s, holds NaN or Inf, or is nowhere louder than -60 LUFS.
        """
        x = np.asarray(clip, np.float64)
        x = x if x.ndim == 1 else x.mean(1)
        if len(x) < MIN_CLIP_S * sample_rate:
            raise ClipError(f"{name} has {len(x) / sample_rate:.1f} s of sound; {MIN_CLIP_S:g} s are needed")
        if not np.isfinite(x).all():
            raise ClipError(f"{name} holds NaN or Inf; export it again")
        if sample_rate != self.sample_rate:
            import soxr

            x = soxr.resample(x, sample_rate, self.sample_rate, quality="HQ")
        windows = [(integrated_loudness(w, self.sample_rate), w) for w in self._windows(x)]
        loudest = max(lufs for lufs, _ in windows)
        if not loudest > SILENT_LUFS:
            silent = f"{name} is silent: its loudest 5 s are at {loudest:.0f} LUFS"
            raise ClipError(f"{silent}; {SILENT_LUFS:.0f} are needed")
        active = [(lufs, w) for lufs, w in windows if lufs > loudest - RELATIVE_GATE_LU]
        features = [self._encode(w * 10 ** ((self.lufs - lufs) / 20)) for lufs, w in active]
        total = features[0]
        for each in features[1:]:
            total = total + each
        return total

    def _windows(self, x: np.ndarray) -> list[np.ndarray]:
        """Cut into adjacent windows; the last one reaches back, a short clip is repeated."""
        size = self.description.window
        if len(x) <= size:
            return [np.resize(x, size)]
        starts = [*range(0, len(x) - size, size), len(x) - size]
        return [x[s : s + size] for s in starts]

    def _encode(self, window: np.ndarray) -> Features:
        waveform = window[None].astype(np.float32)
        statistics, embedding = run_graph(self.folder, ENCODER, self._encoder, [waveform])
        if not (np.isfinite(statistics).all() and np.isfinite(embedding).all()):
            path = self.folder / ENCODER.file
            raise ModelError(f"{path} answers with NaN or Inf; export again, or use another model")
        return Features(statistics[0], embedding[0], 1.0)

    # --- prediction -----------------------------------------------------------------------------------

    def predict(self, features: Features, references: Sequence[Features]) -> Prediction:
        """Predict settings with which the input sounds like the references; several predictions are averaged."""
        rows = []
        for r in references:
            inputs = [x[None] for x in (features.statistics, features.embedding, r.statistics, r.embedding)]
            rows.append(run_graph(self.folder, CONTROLLER, self._controller, inputs))
        if not rows:
            raise ValueError("no reference to predict from")
        unit, probability, curve, same = (np.array([row[i][0] for row in rows]).mean(0, np.float64) for i in range(4))
        unit = np.clip(np.nan_to_num(unit, nan=0.5), 0.0, 1.0)
        curve = np.clip(np.nan_to_num(curve), -MAX_CURVE_DB, MAX_CURVE_DB)
        return Prediction(unit, np.nan_to_num(probability), curve, float(np.nan_to_num(same[0])))

    def settings(self, prediction: Prediction, enabled: Sequence[bool] | None = None) -> ChainSettings:
        """Turn a prediction into settings: improbable effects are off, the others have the model's strength."""
        enabled = self.probable(prediction) if enabled is None else enabled
        strengths = _interpolated(self.strengths, prediction.same_source)
        effects = zip(self.at_full_strength(prediction).effects, enabled, strengths, strict=True)
        return ChainSettings(tuple(replace(e.scaled(strength), enabled=bool(on)) for e, on, strength in effects))

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

    def probable(self, prediction: Prediction, margin: Sequence[float] | float = 0.0) -> list[bool]:
        """Say which effects are on: those whose log-odds plus `margin` exceed the log-odds of the model's threshold."""
        thresholds = _interpolated(self.thresholds, prediction.same_source)
        possible = thresholds < 1.0  # a threshold from 1 on means never
        return list(possible & (_log_odds(prediction.probability) + np.asarray(margin) > _log_odds(thresholds)))

    def in_range(self, played: Features, references: Sequence[Features], same_source: float) -> bool:
        """Say whether a result sounds like one of the references, as far as features can tell.

        Even a perfect result differs from a reference of other notes or words; calibration measured by how much.
        """
        limit = _interpolated(np.array(self.description.max_distance), same_source)
        return bool(min(feature_distance(played, r) for r in references) <= limit)


def feature_distance(a: Features, b: Features) -> float:
    """Give the RMS difference of the statistics that differ most; 1 is the spread between recordings of all sorts."""
    squares = np.sort(np.square(a.statistics - b.statistics))
    return float(np.sqrt(squares[-max(1, int(DISTANCE_SHARE * len(squares))) :].mean()))


def _log_odds(probability: np.ndarray) -> np.ndarray:
    p = np.clip(probability, 1e-9, 1.0 - 1e-9)
    return np.log(p / (1.0 - p))


def _interpolated(rows: np.ndarray, same_source: float) -> np.ndarray:
    """Interpolate between the numbers for another source and for the same source (…, 2)."""
    other, same = rows.T
    return other + same_source * (same - other)
