"""From which probability on does an effect do more good than harm? Decided by ear, that is by rendering.

Pairs of known answer are rendered with every subset of the predicted effects; the thresholds that
make the results nearest to the answers go into the model's description: one for an input that is of
the reference's own source, and one for an input that is not.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..effects import Rack
from ..realtime.match import solve_level
from ..training.front_end import LUFS, SAMPLE_RATE
from ..training.recordings import Recording
from .cases import MODES, Case
from .generators import draw_pair
from .metrics import matched_stft_error
from .systems import loaded

ROWS = ("equaliser", "compressor", "distortion", "reverb", "all", "none")
GRID = np.linspace(0.1, 1.0, 46)
STARTS = ([0.85, 0.6], [0.95, 0.8], [0.7, 0.4])
SAFE = 0.02


def _score(
    job: tuple[list[Recording], Path, str, str, int, int],
) -> tuple[list[float], float, list[float], float]:
    recordings, model, row, mode, index, seed = job
    pair = draw_pair(Case(row=row, mode=mode), recordings, index, seed)
    predictor = loaded(model)
    heard, reference = (predictor.describe(x, SAMPLE_RATE) for x in (pair.input, pair.reference))
    prediction = predictor.predict(heard, [reference])
    errors = []
    for on in subsets(len(predictor.chain.order)):
        settings = solve_level(predictor.settings(prediction, on), pair.input, SAMPLE_RATE, LUFS, predictor.lufs)
        played = Rack(settings, SAMPLE_RATE, 1).play(pair.input[:, None])[:, 0]
        errors.append(matched_stft_error(played, pair.answer, SAMPLE_RATE))
    return (
        prediction.probability.tolist(),
        prediction.kin,
        errors,
        matched_stft_error(pair.input, pair.answer, SAMPLE_RATE),
    )


def subsets(effects: int) -> list[tuple[bool, ...]]:
    """List every way of switching so many effects; the row number is the switches as a binary number."""
    return list(product((False, True), repeat=effects))


def choose(
    probability: np.ndarray, kin: np.ndarray, errors: np.ndarray, nothing: np.ndarray, rows: Sequence[tuple[str, str]]
) -> np.ndarray:
    """Choose thresholds (effects, 2), for other and for same sources.

    probability (pairs, effects), kin (pairs,), errors (pairs, subsets), nothing (pairs,): the error of
    doing nothing; rows (pairs,): which effect and mode a pair belongs to. The mean change over rows
    is made least, and a row that might be harmed (upper 95 % limit over 2 %) weighs as much again.
    """
    weights = 2 ** np.arange(probability.shape[1])[::-1]
    groups = [np.array([i for i, row in enumerate(rows) if row == one]) for one in dict.fromkeys(rows)]
    bases = [max(nothing[g].mean(), 0.15 * nothing.mean()) for g in groups]

    def cost(thresholds: np.ndarray) -> float:
        on = probability > thresholds[:, 0] + kin[:, None] * (thresholds[:, 1] - thresholds[:, 0])
        change = errors[np.arange(len(errors)), on @ weights] - nothing
        means = np.array([change[g].mean() / base for g, base in zip(groups, bases, strict=True)])
        spread = np.array([change[g].std() / len(g) ** 0.5 / base for g, base in zip(groups, bases, strict=True)])
        return float(np.mean(means) + np.mean(np.maximum(means + 1.96 * spread - SAFE, 0.0)))

    def descend(thresholds: np.ndarray) -> np.ndarray:
        for _ in range(4):
            for place in np.ndindex(thresholds.shape):
                trials = np.tile(thresholds, (len(GRID), 1, 1))
                trials[(slice(None), *place)] = GRID
                thresholds = trials[np.argmin([cost(t) for t in trials])]
        return thresholds

    return min((descend(np.tile(start, (probability.shape[1], 1))) for start in STARTS), key=cost)


def calibrate(
    recordings: Sequence[Recording], model: Path, n: int, seed: int = 3, workers: int = 2
) -> dict[str, list[float]]:
    """Choose thresholds on n pairs of every row and mode, and write them into the model's description."""
    jobs = [(list(recordings), model, row, mode, i, seed) for i in range(n) for row in ROWS for mode in MODES]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        columns = zip(*pool.map(_score, jobs, chunksize=4), strict=True)
    probability, kin, errors, nothing = (np.array(column) for column in columns)
    thresholds = choose(probability, kin, errors, nothing, [(row, mode) for _, _, row, mode, _, _ in jobs])
    path = model / "model.json"
    spec = json.loads(path.read_text())
    spec["threshold"] = dict(zip((s["effect"] for s in spec["chain"]), np.round(thresholds, 3).tolist(), strict=True))
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    spec["calibration"] = {"pairs": len(jobs), "recordings": len(recordings), "seed": seed, "created": when}
    path.write_text(json.dumps(spec, indent=2) + "\n")
    return spec["threshold"]
