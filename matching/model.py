"""The predictor: a model folder and two sounds → settings. onnxruntime, one thread, no torch.

Clips are heard in windows of 5 s, each brought to the loudness of training; windows without signal
are left out, and the rest are averaged. So a reference of any length works, and the live input is
described better the longer it plays.
"""

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..chain import ChainParameters, ChainSettings
from ..dsp.loudness import integrated_loudness
from .equaliser_fit import fit
from .onnx_sandbox import GRAPHS, MOST_BYTES, ModelError, check_graph, run, run_in_sandbox, session, sizes

__all__ = ["GATE_LUFS", "GRAPHS", "ClipError", "Features", "MatchModel", "ModelError", "Prediction"]

QUIET_LU = 20.0
"""Windows this much under the loudest one do not count."""
SHORTEST_S = 1.0
"""Less sound than this says nothing about a style."""
GATE_LUFS = -60.0
MOST_CURVE_DB = 100.0
"""No equaliser's curve goes further: what does is nonsense, and must not overflow."""
MOST_SPEC_BYTES = 1_000_000
THRESHOLDS = ("threshold", "strength")
"""What decides whether an effect is on, and how far: two numbers for each, for other and for same sources."""
FEW = 0.1
"""Of all statistics so many, those that differ most, say how far two sounds are apart."""
FURTHEST = 100.0
"""Nothing is further apart: the reach of a model that does not know its own."""
MODELS = Path(__file__).resolve().parent.parent / "presets" / "models"
"""The models in it came with this program; any other is tried in a process of its own first."""

_KEYS = ("name", "sample_rate", "window_s", "lufs", "chain", "fixed", "threshold", "bands_hz", "band_weights", "sha256")


class ClipError(ValueError):
    """A clip that is too short, silent or unreadable."""

    exit_code = 4


@dataclass(frozen=True)
class Features:
    """What the encoder heard: means over `windows` windows of 5 s."""

    statistics: np.ndarray
    embedding: np.ndarray
    windows: float

    def __add__(self, other: "Features") -> "Features":
        """Pool two descriptions of one source, by how much each heard."""
        n = self.windows + other.windows
        return Features(
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


class MatchModel:
    """A model folder, loaded and checked: format, chain, checksums, graphs. Raises ModelError, by name."""

    def __init__(self, folder: str | os.PathLike[str], provider: str = "CPUExecutionProvider") -> None:
        self.folder = Path(folder)
        self.spec, graphs = _read(self.folder)
        self.name: str = self.spec["name"]
        self.chain = ChainParameters(tuple(step["effect"] for step in self.spec["chain"]))
        self.rate, self.lufs = int(self.spec["sample_rate"]), float(self.spec["lufs"])
        self._window = int(self.rate * self.spec["window_s"])
        self._reach = np.array(self.spec.get("reach", [FURTHEST, FURTHEST]))
        self._fixed = {tuple(f) for f in self.spec["fixed"]}
        self._bands_hz, self._band_weights = np.array(self.spec["bands_hz"]), np.array(self.spec["band_weights"])
        self._threshold, self._strength = (np.array([self.spec[k][e] for e in self.chain.order]) for k in THRESHOLDS)
        for name, data in graphs.items():
            check_graph(self.folder / name, data)
        if self.folder.resolve().parent != MODELS:
            run_in_sandbox(self.folder, graphs, self._window)
        sessions = {name: session(self.folder / name, data, provider) for name, data in graphs.items()}
        self._encoder, self._controller = (sessions[name] for name in GRAPHS)
        found, wanted = sizes(self.folder, sessions, self._window), self._sizes()
        if found != wanted:
            raise ModelError(f"{self.folder / 'controller.onnx'} answers {found} numbers, not {wanted}; export again")

    def _sizes(self) -> list[int]:
        return [len(self.chain.params), len(self.chain.order), len(self._bands_hz), 1]

    def analyse(self, clip: np.ndarray, sample_rate: float, what: str = "clip") -> Features:
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
            import soxr

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

    def _encode(self, window: np.ndarray) -> Features:
        path = self.folder / "encoder.onnx"
        statistics, embedding = run(path, self._encoder, {"waveform": window[None].astype(np.float32)})
        if not (np.isfinite(statistics).all() and np.isfinite(embedding).all()):
            raise ModelError(f"{path} answers with NaN or Inf; export again, or use another model")
        return Features(statistics[0], embedding[0], 1.0)

    def predict(self, heard: Features, references: Sequence[Features]) -> Prediction:
        """Ask how the chain must be set so that `heard` sounds like the references; several are blended evenly."""
        rows = [
            run(
                self.folder / "controller.onnx",
                self._controller,
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
        curve = np.clip(np.nan_to_num(curve), -MOST_CURVE_DB, MOST_CURVE_DB)
        return Prediction(unit, np.nan_to_num(probability), curve, kin)

    def settings(self, prediction: Prediction, on: Sequence[bool] | None = None) -> ChainSettings:
        """Turn a prediction into settings: what is not probable enough is off, what is on has its strength."""
        on = self.probable(prediction) if on is None else on
        strengths = _between(self._strength, prediction.kin)
        steps = zip(self.at_full_strength(prediction).effects, on, strengths, strict=True)
        return ChainSettings(tuple(replace(step.scaled(a), enabled=bool(yes)) for step, yes, a in steps))

    def at_full_strength(self, prediction: Prediction) -> ChainSettings:
        """Turn a prediction into settings in which every effect is on, as far as it may go."""
        unit = prediction.unit.copy()
        bands = self.chain.columns("equaliser") if "equaliser" in self.chain.order else slice(0)
        if bands.stop:  # the curve is the better part of the prediction: its bands are fitted to it
            unit[bands] = fit(prediction.curve_db, self._bands_hz, self._band_weights, unit[bands], self.rate)
        values = [
            p.default if (effect, p.name) in self._fixed else p.value(float(u))
            for (effect, p), u in zip(self.chain.params, unit, strict=True)
        ]
        return self.chain.settings(np.array(values), [True] * len(self.chain.order))

    def probable(self, prediction: Prediction, margin: Sequence[float] | float = 0.0) -> list[bool]:
        """Tell which effects are on: their log-odds, plus a margin, are above the model's threshold's."""
        thresholds = _between(self._threshold, prediction.kin)
        asked = thresholds < 1.0  # a threshold from 1 on means never
        return list(asked & (_log_odds(prediction.probability) + np.asarray(margin) > _log_odds(thresholds)))

    def reached(self, played: Features, references: Sequence[Features], kin: float) -> bool:
        """Tell whether a result may pass for one of the references, as far as the model knows its reach.

        Even a perfect result differs from a reference of other notes or words; calibration measured by how much.
        """
        return bool(min(feature_distance(played, r) for r in references) <= _between(self._reach, kin))


def feature_distance(a: Features, b: Features) -> float:
    """Say how far two sounds are apart: the RMS of the statistics that differ most, 1 as takes of all sorts spread."""
    squares = np.sort(np.square(a.statistics - b.statistics))
    return float(np.sqrt(squares[-max(1, int(FEW * len(squares))) :].mean()))


def _log_odds(probability: np.ndarray) -> np.ndarray:
    p = np.clip(probability, 1e-9, 1.0 - 1e-9)
    return np.log(p / (1.0 - p))


def _between(rows: np.ndarray, kin: float) -> np.ndarray:
    """Weigh numbers for other and for same sources (…, 2)."""
    other, same = rows.T
    return other + kin * (same - other)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a model folder: its description, checked, and its graphs. Raises ModelError: what is wrong, where."""
    path = folder / "model.json"
    try:
        spec = _parse(path)
        spec.setdefault("strength", {step["effect"]: [1.0, 1.0] for step in spec["chain"]})  # as older models mean it
        if spec["format"] != "afx-live-model" or spec["version"] != 1:
            raise ModelError(f"{path}: {spec['format']} version {spec['version']}; this program reads version 1")
        if missing := {*_KEYS} - {*spec} | {*GRAPHS} - {*spec["sha256"]}:
            raise ModelError(f"{path} says nothing of {', '.join(sorted(missing))}; export again")
        files = {name: _checked(folder, name, digest) for name, digest in spec["sha256"].items()}
        for step in spec["chain"]:
            _same_params(path, step)
        _check_values(path, spec)
        return spec, {name: files[name] for name in GRAPHS}
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename} is missing: {folder} is not a model folder") from None
    except (KeyError, TypeError, AttributeError, OSError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a model's description: {error!r:.300}") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return json.loads(_bytes(path, MOST_SPEC_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise
    except ModelError:
        raise
    except ValueError as error:  # not JSON, or a number of thousands of digits
        raise ModelError(f"{path} is not JSON: {error}") from None


def _checked(folder: Path, name: str, digest: Any) -> bytes:
    """Read one file of the folder, and only of the folder, and compare its checksum."""
    plain = Path(name).name == name and "\0" not in name
    data = _bytes(folder / name, MOST_BYTES) if plain else b""
    if not plain or hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(f"{folder / name} is not the file that model.json was written for; copy the folder again")
    return data


def _bytes(path: Path, most: int) -> bytes:
    """Read a regular file; a pipe would wait for ever, a device would not end."""
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise ModelError(f"{path} is not a file of at most {most} bytes")
        return file.read(most + 1)


def _check_values(path: Path, spec: dict[str, Any]) -> None:
    """Check every value that is used, before it is: its type, its range, its length."""
    order = [step["effect"] for step in spec["chain"]]
    bands = len(_row(path, "bands_hz", spec["bands_hz"], 1.0, 200e3))
    checks = {
        "name": isinstance(spec["name"], str) and 0 < len(spec["name"]) <= 200 and spec["name"].isprintable(),
        "sample_rate": type(spec["sample_rate"]) is int and 8000 <= spec["sample_rate"] <= 192000,
        "chain": len(set(order)) == len(order) > 0,
        "fixed": all(isinstance(f, list) and len(f) == 2 and all(isinstance(x, str) for x in f) for f in spec["fixed"]),
        **{key: {*order} <= {*spec[key]} for key in THRESHOLDS},
        "bands_hz": bands >= 8,
        "band_weights": len(_row(path, "band_weights", spec["band_weights"], 0.0, 1e3)) == bands,
    }
    for key, fits in checks.items():
        if not fits:
            raise ModelError(f"{path}: {key} is {json.dumps(spec[key]):.60}, which cannot be; export again")
    _row(path, "window_s", [spec["window_s"]], 1.0, 60.0)
    _row(path, "lufs", [spec["lufs"]], -70.0, 0.0)
    if len(_row(path, "reach", spec.get("reach", [1.0, 1.0]), 0.0, FURTHEST)) != 2:
        raise ModelError(f"{path}: reach is not two numbers; export again")
    for effect in order:
        for key, low, high in (("threshold", -10.0, 10.0), ("strength", 0.0, 1.0)):
            if len(_row(path, f"{key} of {effect}", spec[key][effect], low, high)) != 2:
                raise ModelError(f"{path}: {key} of {effect} is not two numbers; export again")


def _row(path: Path, key: str, values: Any, low: float, high: float) -> Sequence[float]:
    """Check that a value is a list of numbers in [low, high]."""
    if not isinstance(values, list) or len(values) > 10_000:
        raise ModelError(f"{path}: {key} is not a list of numbers; export again")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            shown = json.dumps(value)
            raise ModelError(f"{path}: {key} is {shown:.60}, and not in [{low:g}, {high:g}]; export again")
    return values


def _same_params(path: Path, step: dict[str, Any]) -> None:
    try:
        params = ChainParameters((step["effect"],)).params
    except KeyError as error:
        raise ModelError(f"{path}: {error.args[0]!s:.300}") from None
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
