"""The predictor: a model folder and two sounds → settings. onnxruntime, one thread, no torch.

Clips are heard in windows of 5 s, each brought to the loudness of training; windows without signal
are left out, and the rest are averaged. So a reference of any length works, and the live input is
described better the longer it plays.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from ..effects import Chain, Settings
from ..effects._loudness import integrated_loudness
from .tone import fit

QUIET_LU = 20.0
"""Windows this much under the loudest one do not count."""
SHORTEST_S = 1.0
"""Less sound than this says nothing about a style."""
GATE_LUFS = -60.0
GRAPHS = {
    "encoder.onnx": ("waveform",),
    "controller.onnx": ("input_statistics", "input_embedding", "reference_statistics", "reference_embedding"),
}
"""The graphs of a model, and their inputs."""

_KEYS = ("name", "sample_rate", "window_s", "lufs", "chain", "fixed", "threshold", "bands_hz", "band_weights", "sha256")


class ModelError(ValueError):
    """A model folder that is not what this program can use (exit code 5)."""


class ClipError(ValueError):
    """A clip that is too short, silent or unreadable (exit code 4)."""


@dataclass(frozen=True)
class Description:
    """What the encoder heard: means over `windows` windows of 5 s."""

    statistics: np.ndarray
    embedding: np.ndarray
    windows: float

    def __add__(self, other: "Description") -> "Description":
        """Pool two descriptions of one source, by how much each heard."""
        n = self.windows + other.windows
        return Description(
            (self.windows * self.statistics + other.windows * other.statistics) / n,
            (self.windows * self.embedding + other.windows * other.embedding) / n,
            n,
        )


@dataclass(frozen=True)
class Prediction:
    """Unit parameters (params,), the probability that each effect is on, the equaliser's curve in dB.

    `kin` is the probability that input and reference are of one source.
    """

    unit: np.ndarray
    probability: np.ndarray
    curve_db: np.ndarray
    kin: float


class Predictor:
    """A model folder, loaded and checked: format, chain, checksums. Raises ModelError, by name."""

    def __init__(self, folder: str | os.PathLike[str], provider: str = "CPUExecutionProvider") -> None:
        self.folder = Path(folder)
        self.spec = _read_spec(self.folder)
        self.name: str = self.spec["name"]
        self.chain = Chain(tuple(step["effect"] for step in self.spec["chain"]))
        self.rate, self.lufs = int(self.spec["sample_rate"]), float(self.spec["lufs"])
        self._window = int(self.rate * self.spec["window_s"])
        self._fixed = {tuple(f) for f in self.spec["fixed"]}
        self._bands_hz, self._band_weights = np.array(self.spec["bands_hz"]), np.array(self.spec["band_weights"])
        self._threshold = np.array([self.spec["threshold"][e] for e in self.chain.order])
        self._encoder, self._controller = (_session(self.folder / name, provider) for name in GRAPHS)

    def describe(self, clip: np.ndarray, sample_rate: float, what: str = "clip") -> Description:
        """Listen to a clip (frames,) or (frames, channels) of any length.

        Raises ClipError if less than 1 s of it is above -60 LUFS.
        """
        x = np.asarray(clip, np.float64)
        x = x if x.ndim == 1 else x.mean(1)
        if len(x) < SHORTEST_S * sample_rate:
            raise ClipError(f"{what} has {len(x) / sample_rate:.1f} s of sound; {SHORTEST_S:g} s are needed")
        if not np.isfinite(x).all():
            raise ClipError(f"{what} holds NaN or Inf; export it again")
        if sample_rate != self.rate:
            x = soxr.resample(x, sample_rate, self.rate, quality="HQ")
        pieces = [(integrated_loudness(p, self.rate), p) for p in self._windows(x)]
        loudest = max(loudness for loudness, _ in pieces)
        if not loudest > GATE_LUFS:
            raise ClipError(f"{what} is silent: its loudest 5 s are at {loudest:.0f} LUFS; {GATE_LUFS:.0f} are needed")
        heard = [self._encode(p * 10 ** ((self.lufs - loud) / 20)) for loud, p in pieces if loud > loudest - QUIET_LU]
        total = heard[0]
        for description in heard[1:]:
            total = total + description
        return total

    def _windows(self, x: np.ndarray) -> list[np.ndarray]:
        """Cut into windows side by side; the last one reaches back, a short clip goes round."""
        size = self._window
        if len(x) <= size:
            return [np.resize(x, size)]
        starts = [*range(0, len(x) - size, size), len(x) - size]
        return [x[s : s + size] for s in starts]

    def _encode(self, window: np.ndarray) -> Description:
        statistics, embedding = self._encoder.run(None, {"waveform": window[None].astype(np.float32)})
        return Description(statistics[0], embedding[0], 1.0)

    def predict(self, heard: Description, references: Sequence[Description]) -> Prediction:
        """Ask how the chain must be set so that `heard` sounds like the references; several are blended evenly."""
        rows = [
            self._controller.run(
                None,
                {
                    "input_statistics": heard.statistics[None],
                    "input_embedding": heard.embedding[None],
                    "reference_statistics": r.statistics[None],
                    "reference_embedding": r.embedding[None],
                },
            )
            for r in references
        ]
        if not rows:
            raise ValueError("no reference to predict from")
        unit, probability, curve, kin = (np.array([row[i][0] for row in rows]).mean(0, np.float64) for i in range(4))
        unit, kin = np.clip(np.nan_to_num(unit, nan=0.5), 0.0, 1.0), float(np.nan_to_num(kin[0]))
        return Prediction(unit, np.nan_to_num(probability), curve, kin)

    def settings(self, prediction: Prediction, on: Sequence[bool] | None = None) -> Settings:
        """Turn a prediction into settings; an effect that is not probable enough is left off."""
        unit = prediction.unit.copy()
        bands = self.chain.columns("equaliser") if "equaliser" in self.chain.order else slice(0)
        if bands.stop:  # the curve is the better part of the prediction: its bands are fitted to it
            unit[bands] = fit(prediction.curve_db, self._bands_hz, self._band_weights, unit[bands], self.rate)
        values = [
            p.default if (effect, p.name) in self._fixed else p.value(float(u))
            for (effect, p), u in zip(self.chain.params, unit, strict=True)
        ]
        return self.chain.settings(np.array(values), self.probable(prediction) if on is None else on)

    def probable(self, prediction: Prediction, margin: Sequence[float] | float = 0.0) -> list[bool]:
        """Tell which effects are on: their probability, plus a margin, is above the model's threshold."""
        other, same = self._threshold.T
        return list(prediction.probability + np.asarray(margin) > other + prediction.kin * (same - other))


def _session(path: Path, provider: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # it must not fight the audio thread
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # onnxruntime raises its own kinds, without a common base
        raise ModelError(f"{path}: onnxruntime cannot load it: {error}") from None
    inputs = {i.name for i in session.get_inputs()}
    if inputs != {*GRAPHS[path.name]}:
        raise ModelError(f"{path} takes {', '.join(inputs)}, and not {', '.join(GRAPHS[path.name])}; export again")
    return session


def _read_spec(folder: Path) -> dict[str, Any]:
    """Read and check model.json. Raises ModelError: what is wrong, where, what to do."""
    path = folder / "model.json"
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
        if spec["format"] != "afx-live-model" or spec["version"] != 1:
            raise ModelError(f"{path}: {spec['format']} version {spec['version']}; this program reads version 1")
        if missing := {*_KEYS} - {*spec} | {*GRAPHS} - {*spec["sha256"]}:
            raise ModelError(f"{path} says nothing of {', '.join(sorted(missing))}; export again")
        for name, digest in spec["sha256"].items():
            if Path(name).name != name or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise ModelError(
                    f"{folder / name} is not the file that model.json was written for; copy the folder again"
                )
        for step in spec["chain"]:
            _same_params(path, step)
        return spec
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename} is missing: {folder} is not a model folder") from None
    except (KeyError, TypeError, AttributeError, OSError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a model's description: {error!r}") from None
    except json.JSONDecodeError as error:
        raise ModelError(f"{path} is not JSON: {error}") from None


def _same_params(path: Path, step: dict[str, Any]) -> None:
    try:
        params = Chain((step["effect"],)).params
    except KeyError as error:
        raise ModelError(f"{path}: {error.args[0]}") from None
    ours = [{k: v for k, v in asdict(p).items() if k != "doc"} for _, p in params]
    theirs = [{k: v for k, v in p.items() if k != "doc"} for p in step["params"]]
    for mine, other in zip(ours, theirs, strict=False):
        if mine != other:
            raise ModelError(
                f"{path}: {step['effect']} {other.get('name')} is {other} there and {mine} here; export again"
            )
    if len(ours) != len(theirs):
        raise ModelError(
            f"{path}: {step['effect']} has {len(theirs)} parameters there and {len(ours)} here; export again"
        )
