"""From which probability on does an effect do more good than harm, and how far should it go? Decided by rendering.

Pairs of known answer are rendered with every plausible combination of the predicted effects, each at
several strengths; the thresholds and strengths that make the results nearest to the answers go into the
model's description: for an input that is of the reference's own source, and for one that is not.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ...chain import ChainSettings, play_clip
from ...matching import feature_distance, solve_level
from ...matching.format import write_calibration
from ...training.features import LUFS, SAMPLE_RATE
from ...training.recordings.recordings import Recording
from ..metrics.audio import log_mel_error, matched_stft_error
from ..pairs.case import MODES, Case
from ..pairs.generators import draw_pair
from ..systems.registry import loaded

ROWS = ("equaliser", "compressor", "distortion", "reverb", "all", "none")
MAKERS = ("own", "laws")
"""Pairs are made by our effects and by laws of other kinds, in turn: thresholds must hold for effects never heard."""
MEL = 0.3
"""Weight of the log-mel error in nepers beside the STFT error: it hears that a room is right, not its echoes."""
GRID = np.linspace(0.3, 1.0, 36)
"""Thresholds to choose from; an effect that is less probable than the lowest is never rendered."""
STRENGTHS = (0.0, 0.5, 1.0)
STARTS = ([0.85, 0.6], [0.95, 0.8], [0.7, 0.4])
REACH = 0.95
"""This share of perfect results must not be called out of reach."""
SAFE, HARM, HARMED, WEIGHT = 0.02, 0.01, 0.06, 2.0
"""A row's mean may become so much worse; a pair that becomes worse by HARM is harmed; so many of a row may be for
nothing, more cost WEIGHT times their share. Chosen by leaving recordings out: see docs/experiments.md."""

MARGIN = 0.3
"""Thresholds go so much further up, in log-odds, than is best on the recordings at hand: see there too."""
SCORES = ("probability", "kin", "errors", "nothing", "distance")


def _score(
    job: tuple[list[Recording], Path, str, str, int, int, tuple[float, ...]],
) -> tuple[list[float], float, np.ndarray, float, float]:
    """Score one pair: how each combination of strengths serves, what the model thought of it.

    Gives its probabilities, kinship, errors of all combinations, the error of doing nothing, and how far a
    perfect result is apart from the reference.
    """
    recordings, model, row, mode, index, seed, strengths = job
    pair = draw_pair(Case(MAKERS[index % len(MAKERS)], row, mode), recordings, index, seed)
    predictor = loaded(model)
    heard, reference = (predictor.analyse(x, SAMPLE_RATE) for x in (pair.input, pair.reference))
    prediction = predictor.predict(heard, [reference])
    whole = predictor.at_full_strength(prediction)
    tried = [strengths if p > GRID[0] else strengths[:1] for p in prediction.probability]
    errors = []
    for amounts in product(*tried):
        steps = [replace(s.scaled(a), enabled=a > 0.0) for s, a in zip(whole.effects, amounts, strict=True)]
        settings = solve_level(ChainSettings(tuple(steps)), pair.input, SAMPLE_RATE, LUFS, predictor.lufs)
        played = play_clip(settings, pair.input, SAMPLE_RATE)
        errors.append(_error(played, pair.answer))
    shape = (len(strengths),) * len(tried)
    return (
        prediction.probability.tolist(),
        prediction.same_source,
        np.broadcast_to(np.reshape(errors, [len(t) for t in tried]), shape),
        _error(pair.input, pair.answer),
        feature_distance(predictor.analyse(pair.answer, SAMPLE_RATE), reference),
    )


def _error(result: np.ndarray, truth: np.ndarray) -> float:
    spectral = matched_stft_error(result, truth, SAMPLE_RATE)
    return spectral + MEL * log_mel_error(result, truth, SAMPLE_RATE) * math.log(10.0) / 20.0


def choose(
    probability: np.ndarray,
    kin: np.ndarray,
    errors: np.ndarray,
    nothing: np.ndarray,
    rows: Sequence[tuple[str, str]],
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose thresholds and strengths, (effects, 2) each, for other and for same sources.

    probability (pairs, effects), kin (pairs,), errors (pairs, strengths of the first effect, …), nothing
    (pairs,): the error of doing nothing; rows (pairs,): which effect and mode a pair belongs to. The mean
    change over rows is made least; what a row might be harmed by (upper 95 % limit over SAFE), and pairs
    that are harmed beyond the share that is allowed, weigh more.
    """
    groups = [np.array([i for i, row in enumerate(rows) if row == one]) for one in dict.fromkeys(rows)]
    bases = [max(nothing[g].mean(), 0.15 * nothing.mean()) for g in groups]
    pairs, same = np.arange(len(errors)), (kin > 0.5).astype(int)

    def cost(chosen: np.ndarray) -> float:
        limits = chosen[0, :, 0] + kin[:, None] * (chosen[0, :, 1] - chosen[0, :, 0])
        levels = np.where(probability > limits, chosen[1].astype(int).T[same], 0)
        change = errors[(pairs, *levels.T)] - nothing
        total = 0.0
        for g, base in zip(groups, bases, strict=True):
            mean, spread = change[g].mean() / base, change[g].std() / len(g) ** 0.5 / base
            harmed = np.mean(change[g] > HARM * np.maximum(nothing[g], 0.15 * nothing.mean()))
            total += mean + max(mean + 1.96 * spread - SAFE, 0.0) + WEIGHT * max(float(harmed) - HARMED, 0.0)
        return total / len(groups)

    def descend(chosen: np.ndarray) -> np.ndarray:
        options = [(t, s) for t in GRID for s in range(1, len(strengths))]
        for _ in range(3):
            for place in np.ndindex(chosen.shape[1:]):
                trials = np.tile(chosen, (len(options), 1, 1, 1))
                trials[(slice(None), slice(None), *place)] = options
                chosen = trials[np.argmin([cost(t) for t in trials])]
        return chosen

    effects = probability.shape[1]
    starts = [np.array([np.tile(s, (effects, 1)), np.full((effects, 2), len(strengths) - 1.0)]) for s in STARTS]
    thresholds, levels = min(map(descend, starts), key=cost)
    return thresholds, np.array(strengths)[levels.astype(int)]


def more_cautious(thresholds: np.ndarray) -> np.ndarray:
    """Raise thresholds by MARGIN: what is best on these recordings is too bold on others. "Never", 1, stays."""
    odds = thresholds / np.maximum(1.0 - thresholds, 1e-9) * math.exp(MARGIN)
    return np.where(thresholds < 1.0, odds / (1.0 + odds), thresholds)


def calibrate(
    recordings: Sequence[Recording],
    model: Path,
    n: int,
    seed: int = 3,
    workers: int = 2,
    strengths: Sequence[float] = STRENGTHS,
    scores: Path | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Choose thresholds and strengths on n pairs of every row and mode, and write them into the model's description.

    scores: a file that keeps what was rendered, and from which it is taken if it is there: to choose again.
    """
    jobs = [
        (list(recordings), model, row, mode, i, seed, (*strengths,)) for i in range(n) for row in ROWS for mode in MODES
    ]
    if scores and scores.exists():
        with np.load(scores) as kept:
            columns = [kept[name] for name in SCORES]
        if len(columns[0]) != len(jobs):
            raise ValueError(f"{scores} holds {len(columns[0])} pairs, not {len(jobs)}; name another file")
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            columns = [np.array(c) for c in zip(*pool.map(_score, jobs, chunksize=4), strict=True)]
        if scores:
            np.savez_compressed(scores, **dict(zip(SCORES, columns, strict=True)))
    probability, kin, errors, nothing, distance = columns
    thresholds, levels = choose(probability, kin, errors, nothing, [job[2:4] for job in jobs], strengths)
    chosen = more_cautious(thresholds), levels
    same = np.array([job[3] == "same" for job in jobs])
    other_distance, same_distance = (float(np.quantile(distance[same == mode], REACH)) for mode in (False, True))
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    about = {"pairs": len(jobs), "recordings": len(recordings), "seed": seed, "created": when}
    return write_calibration(model, *chosen, (other_distance, same_distance), about)
