"""Calibration of a model: how much of each effect does most good.

Pairs with known answers are rendered with every plausible combination of the predicted effects, each at several
amounts; the few numbers of the model's `Decision` that bring the results nearest to the answers, and seldom do
harm, are written into its description.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ...chain import CANONICAL, ChainSettings, play_clip
from ...matching import Decision, feature_distance, solve_level
from ...matching import format as model_format
from ...training.features import LUFS, SAMPLE_RATE
from ...training.recordings import Recording
from ..metrics.audio import log_mel_error, matched_stft_error
from ..pairs.condition import MODES, Condition
from ..pairs.generators import draw_pair
from ..systems.registry import loaded

EFFECT_SETS = ("equaliser", "compressor", "distortion", "reverb", "all", "none")
GENERATORS = ("ours", "other_effects")
"""Pairs are made by our effects and by others, in turn: thresholds must hold for effects that training never saw."""
MEL_WEIGHT = 0.3
"""Weight of the log-mel error in nepers beside the STFT error: it rates a similar room, if not its echoes, as near."""
STRENGTHS = (0.0, 0.5, 1.0)
"""Amounts at which an effect is rendered; errors at others are interpolated."""
OFFSETS = np.arange(-6.0, 3.01, 0.5)
SLOPES = (0.7, 1.0, 1.5, 2.5, 5.0)
"""Numbers to choose from; an effect that no offset brings is never rendered."""
IN_RANGE_SHARE = 0.95
"""Share of perfect results that must count as in range."""
MAX_MEAN_HARM = 0.02
"""An effect set's mean error may grow by this share without a penalty (upper 95 % limit)."""
HARM = 0.01
"""A pair whose error grows by more than this share is harmed."""
MAX_HARMED, HARMED_WEIGHT = 0.06, 2.0
"""Share of harmed pairs without a penalty, and the weight of more. Chosen by cross-validation over recordings: see
docs/experiments.md."""

SCORES = ("amount", "kin", "errors", "nothing", "distance")  # "kin": same_source, in files of any version


def _score(
    job: tuple[list[Recording], Path, str, str, int, int, tuple[float, ...]],
) -> tuple[list[float], float, np.ndarray, float, float]:
    """Score one pair with every combination of strengths.

    Returns the model's amounts in log-odds, its probability of one source, the errors of all combinations, the error of
    doing nothing, and the feature distance of a perfect result from the reference.
    """
    recordings, folder, effect_set, mode, index, seed, strengths = job
    pair = draw_pair(Condition(GENERATORS[index % len(GENERATORS)], effect_set, mode), recordings, index, seed)
    model = loaded(folder)
    source, reference = (model.analyse(x, SAMPLE_RATE) for x in (pair.input, pair.reference))
    prediction = model.predict(source, [reference])
    whole = model.at_full_strength(prediction)
    most = model.decision.amounts(prediction.amount + OFFSETS[-1], prediction.same_source)
    tried = [strengths if a > 0.0 else strengths[:1] for a in most]
    errors = []
    for amounts in product(*tried):
        steps = [replace(s.scaled(a), enabled=a > 0.0) for s, a in zip(whole.effects, amounts, strict=True)]
        settings = solve_level(ChainSettings(tuple(steps)), pair.input, SAMPLE_RATE, LUFS, model.lufs)
        errors.append(_error(play_clip(settings, pair.input, SAMPLE_RATE), pair.answer))
    shape = (len(strengths),) * len(tried)
    return (
        prediction.amount.tolist(),
        prediction.same_source,
        np.broadcast_to(np.reshape(errors, [len(t) for t in tried]), shape),
        _error(pair.input, pair.answer),
        feature_distance(model.analyse(pair.answer, SAMPLE_RATE), reference),
    )


def _error(result: np.ndarray, truth: np.ndarray) -> float:
    spectral = matched_stft_error(result, truth, SAMPLE_RATE)
    return spectral + MEL_WEIGHT * log_mel_error(result, truth, SAMPLE_RATE) * math.log(10.0) / 20.0


def choose(
    plain: Decision,
    amount: np.ndarray,
    same_source: np.ndarray,
    errors: np.ndarray,
    nothing: np.ndarray,
    cells: Sequence[tuple[str, str]],
    strengths: Sequence[float] = STRENGTHS,
) -> Decision:
    """Choose offsets and slopes; `plain` has the rest of the decision.

    amount (pairs, effects) in log-odds, same_source (pairs,), errors (pairs, strengths of the first effect, …),
    nothing (pairs,): the error of doing nothing; cells (pairs,): effect set and mode of each pair. Minimises the
    mean change over cells, with penalties on a cell's harm (upper 95 % limit over MAX_MEAN_HARM) and on the share
    of harmed pairs over MAX_HARMED.
    """
    groups = [np.array([i for i, cell in enumerate(cells) if cell == one]) for one in dict.fromkeys(cells)]
    bases = [max(nothing[g].mean(), 0.15 * nothing.mean()) for g in groups]

    def cost(decision: Decision) -> float:
        change = interpolated(errors, decision.amounts(amount, same_source[:, None]), strengths) - nothing
        total = 0.0
        for g, base in zip(groups, bases, strict=True):
            mean, spread = change[g].mean() / base, change[g].std() / len(g) ** 0.5 / base
            harmed = np.mean(change[g] > HARM * np.maximum(nothing[g], 0.15 * nothing.mean()))
            total += (
                mean
                + max(mean + 1.96 * spread - MAX_MEAN_HARM, 0.0)
                + HARMED_WEIGHT * max(float(harmed) - MAX_HARMED, 0.0)
            )
        return total / len(groups)

    best = plain
    for _ in range(3):
        for i in range(amount.shape[1]):
            trials = [best]
            for other, same, slope in product(OFFSETS, OFFSETS, SLOPES):
                if other <= same:  # two sources differ more by chance
                    offset, slopes = best.offset.copy(), best.slope.copy()
                    offset[i], slopes[i] = (other, same), slope
                    trials.append(replace(best, offset=offset, slope=slopes))
            best = min(trials, key=cost)
    return best


def interpolated(errors: np.ndarray, amounts: np.ndarray, strengths: Sequence[float]) -> np.ndarray:
    """Interpolate errors (pairs, strengths of the first effect, …) at amounts (pairs, effects): (pairs,)."""
    nodes, rows = np.asarray(strengths), np.arange(len(errors))
    for amount in amounts.T:
        place = np.clip(np.searchsorted(nodes, amount, "right") - 1, 0, len(nodes) - 2)
        part = (amount - nodes[place]) / (nodes[place + 1] - nodes[place])
        part = part.reshape(-1, *[1] * (errors.ndim - 2))
        errors = errors[rows, place] * (1.0 - part) + errors[rows, place + 1] * part
    return errors


def calibrate(
    recordings: Sequence[Recording],
    model: Path,
    n: int,
    seed: int = 3,
    workers: int = 2,
    strengths: Sequence[float] = STRENGTHS,
    scores: Path | None = None,
) -> dict[str, Any]:
    """Choose a decision on n pairs of every effect set and mode; write it into the model's description.

    scores: a file that keeps the results of rendering; if it exists, they are read from it.
    """
    order = model_format.read(model)[0].chain.order
    if sorted(order) != sorted(CANONICAL):
        found, known = " → ".join(order), ", ".join(CANONICAL)
        raise ValueError(f"{model} is of {found}; pairs are drawn of {known}: it plays what it predicts, uncalibrated")
    jobs = [
        (list(recordings), model, effect_set, mode, i, seed, (*strengths,))
        for i in range(n)
        for effect_set in EFFECT_SETS
        for mode in MODES
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
    amount, same_source, errors, nothing, distance = columns
    plain = model_format.read(model)[0].decision
    decision = choose(plain, amount, same_source, errors, nothing, [job[2:4] for job in jobs], strengths)
    same = np.array([job[3] == "same" for job in jobs])
    other_distance, same_distance = (
        float(np.quantile(distance[same == mode], IN_RANGE_SHARE)) for mode in (False, True)
    )
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    about = {"pairs": len(jobs), "recordings": len(recordings), "seed": seed, "created": when}
    return model_format.write_calibration(model, decision, (other_distance, same_distance), about)
