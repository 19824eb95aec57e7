"""Calibration of a model: how much of each effect does most good.

Pairs with known answers are rendered with every combination of the predicted effects; the few numbers of the model's
`Decision` that bring the results nearest to the answers, and seldom do harm or nothing, are written into its
description.
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
from ...matching.choices import NO_CHOICES
from ...matching.second_look import left_over_db, with_left_over
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
SLOPE = 12.0
"""Amounts are nearly whole or none: a right effect at half its amount was never better than whole."""
LOWEST, HIGHEST = -5.0, 3.0
"""Offsets in question; an effect that none of them brings is never rendered."""
IN_RANGE_SHARE = 0.95
"""Share of perfect results that must count as in range."""
HARM = 0.01
"""A pair whose error grows by more than this share is harmed."""
MAX_HARMED, HARMED_WEIGHT, EACH_HARMED = 0.1, 4.0, 0.2
"""Share of harmed pairs of a cell that costs EACH_HARMED times itself, and the weight of more. Where f is nothing, a
pair is harmed if anything is used."""
MAX_IDLE, IDLE_WEIGHT = 0.15, 0.5
"""Share of pairs without any effect, though f has some, that costs nothing, and the weight of more."""
MAY_BE_IDLE = ("equaliser", "reverb")
"""Effect sets from which doing nothing is often right: see the counterfactuals in docs/experiments.md."""
TRIALS, STARTS = 4000, 4

SCORES = ("amount", "kin", "errors", "nothing", "distance")  # "kin": same_source, in files of any version


def _score(
    job: tuple[list[Recording], Path, str, str, int, int],
) -> tuple[list[float], float, np.ndarray, float, float]:
    """Score one pair with every combination of effects.

    Returns the model's amounts in log-odds, its probability of one source, the errors of all combinations, the error of
    doing nothing, and the feature distance of a perfect result from the reference.
    """
    recordings, folder, effect_set, mode, index, seed = job
    pair = draw_pair(Condition(GENERATORS[index % len(GENERATORS)], effect_set, mode), recordings, index, seed)
    model = loaded(folder)
    source, reference = (model.analyse(x, SAMPLE_RATE) for x in (pair.input, pair.reference))
    prediction = model.predict(source, [reference])
    whole = model.at_full_strength(prediction)

    def solved(settings: ChainSettings) -> ChainSettings:
        return solve_level(settings, pair.input, SAMPLE_RATE, LUFS, model.lufs)

    errors = []
    for used in product((False, True), repeat=len(whole.effects)):
        settings = ChainSettings(tuple(replace(e, enabled=on) for e, on in zip(whole.effects, used, strict=True)))
        look = prediction, NO_CHOICES, settings, [reference], pair.input, SAMPLE_RATE, solved
        settings = with_left_over(model, settings, left_over_db(model, *look, amount=1.0))
        errors.append(_error(play_clip(solved(settings), pair.input, SAMPLE_RATE), pair.answer))
    return (
        prediction.amount.tolist(),
        prediction.same_source,
        np.reshape(errors, (2,) * len(whole.effects)),
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
) -> Decision:
    """Choose offsets by random search; `plain` has the rest of the decision.

    amount (pairs, effects) in log-odds, same_source (pairs,), errors (pairs, 2, 2, …) without and with each effect,
    nothing (pairs,): the error of doing nothing; cells (pairs,): effect set and mode of each pair. Minimises the
    mean over cells of the error's change, with penalties on harm and on idleness beyond what each may be.
    """
    groups = {one: np.array([cell == one for cell in cells]) for one in dict.fromkeys(cells)}
    rows, doubt = np.arange(len(errors)), same_source[:, None]

    def cost(offset: np.ndarray) -> float:
        used = np.asarray(amount + offset[:, 0] + doubt * (offset[:, 1] - offset[:, 0]) > 0.0)
        error, any_used, total = errors[(rows, *used.T.astype(int))], np.asarray(used.any(1)), 0.0
        for (effect_set, _), g in groups.items():
            if effect_set == "none":
                harmed, idle = np.mean(any_used[g]), 0.0
            else:
                harmed, idle = np.mean(error[g] > (1.0 + HARM) * nothing[g]), np.mean(~any_used[g])
                total += error[g].sum() / nothing[g].sum() - 1.0
            total += HARMED_WEIGHT * max(harmed - MAX_HARMED, 0.0) + EACH_HARMED * harmed
            total += IDLE_WEIGHT * max(idle - MAX_IDLE, 0.0) if effect_set not in MAY_BE_IDLE else 0.0
        return float(total) / len(groups)

    found = []
    for start in range(STARTS):
        rng, best = np.random.default_rng(start), np.full((amount.shape[1], 2), -1.0)
        least = cost(best)
        for trial in range(TRIALS):
            moves = rng.normal(0.0, 0.5 if trial < TRIALS // 2 else 0.2, best.shape) * (rng.random(best.shape) < 0.35)
            there = np.clip(best + moves, LOWEST, HIGHEST)
            if (price := cost(there)) < least:
                best, least = there, price
        found.append((least, best))
    offset = min(found, key=lambda f: f[0])[1]
    return replace(plain, offset=offset, slope=np.full(len(offset), SLOPE))


def calibrate(
    recordings: Sequence[Recording],
    model: Path,
    n: int,
    seed: int = 3,
    workers: int = 2,
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
        (list(recordings), model, effect_set, mode, i, seed)
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
    decision = choose(plain, amount, same_source, errors, nothing, [job[2:4] for job in jobs])
    same = np.array([job[3] == "same" for job in jobs])
    other_distance, same_distance = (
        float(np.quantile(distance[same == mode], IN_RANGE_SHARE)) for mode in (False, True)
    )
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    about = {"pairs": len(jobs), "recordings": len(recordings), "seed": seed, "created": when}
    return model_format.write_calibration(model, decision, (other_distance, same_distance), about)
