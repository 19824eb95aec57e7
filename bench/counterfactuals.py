"""Which part is missing: the shipped model on other people's effects, with parts of the answer given to it.

    .venv-bench/bin/python bench/counterfactuals.py RECORDINGS… -n 4 > bench/COUNTERFACTUALS.md

Pairs, rows and recordings are those of `boldness.py`. What is given comes from our chain fitted to the answer itself
by gradients (`study.systems.gradient_fit`), with the effects that the reference was made with: half a minute a pair.
"""

import argparse
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

if __name__ in ("__main__", "__mp_main__"):  # before numpy comes in: processes share the cores
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
from boldness import SEED, conditions, recordings
from common import machine, table
from foreign_effects import LIBRARIES

from afx_live.chain import ChainSettings
from afx_live.matching import match
from afx_live.presets import SHIPPED_MODEL
from afx_live.study.metrics.audio import log_mel_error, matched_stft_error
from afx_live.study.pairs.condition import Condition, Pair
from afx_live.study.pairs.generators import draw_pair
from afx_live.study.pairs.ours import effects_of
from afx_live.study.systems.gradient_fit import fit_to_answer
from afx_live.study.systems.playing import played
from afx_live.study.systems.registry import loaded
from afx_live.training.recordings import Recording

GIVEN = {
    "nothing": "nothing is done",
    "shipped": "the shipped model",
    "effects": "which effects to use is given",
    "settings": "settings of the effects that it uses are given",
    "curve": "the equaliser is given: whether, and its curve",
    "all": "all is given",
}


def variants(pair: Pair, effects: tuple[str, ...]) -> dict[str, ChainSettings]:
    """Give the chain of each counterfactual; `effects` are those that the reference was made with."""
    model = loaded(SHIPPED_MODEL)
    found = match(pair.input, pair.reference, pair.sample_rate, model)
    assert found.prediction is not None
    whole, fitted = model.at_full_strength(found.prediction), fit_to_answer(pair, effects)
    ours = {step.effect: step for step in found.settings.effects}
    answer = {step.effect: step for step in fitted.effects}

    def chain(steps) -> ChainSettings:
        return replace(found.settings, effects=tuple(steps))

    return {
        "shipped": found.settings,
        "effects": chain(replace(step, enabled=step.effect in effects) for step in whole.effects),
        "settings": chain(answer[e] if s.enabled and e in effects else s for e, s in ours.items()),
        "curve": chain(answer[e] if e == "equaliser" else s for e, s in ours.items()),
        "all": fitted,
    }


def score(job: tuple[str, Condition, list[Recording], int]) -> tuple[str, dict[str, float]] | None:
    """Score one pair with each part given: the row's error of the results, and of the input."""
    name, condition, known, index = job
    try:
        pair = draw_pair(condition, known, index, SEED)
    except ArithmeticError:  # a library that gave silence
        return None
    error = log_mel_error if name.startswith("reverb") else matched_stft_error

    def far(x: np.ndarray) -> float:
        return error(x, pair.answer, pair.sample_rate)

    found = variants(pair, effects_of(condition.effect_set))
    return name, {"nothing": far(pair.input), **{k: far(played(pair, s).audio) for k, s in found.items()}}


def page(scores: dict[str, dict[str, list[float]]]) -> str:
    """Write the page."""
    given = [name for name in GIVEN if name != "nothing"]
    lines = []
    for name, columns in scores.items():
        nothing = np.mean(columns["nothing"])
        lines.append([name, len(columns["nothing"]), *(f"{np.mean(columns[g]) / nothing:.2f}" for g in given)])
    return f"""# Counterfactuals

`counterfactuals.py` wrote this page: {SHIPPED_MODEL.name} on recordings and effect libraries that no training heard,
5 s each, with parts of the answer given to it, to see which part is missing. Mean error (loudness-matched STFT; reverb:
log-mel) as a share of doing nothing's. What is given is of our chain fitted to the answer; "all is given" is as near as
our effects come, or as near as that descent got.

{table(["row", "pairs", *(GIVEN[g] for g in given)], lines)}

{machine("numpy", "pedalboard", "onnxruntime-gpu")}"""


def main() -> None:
    """Score and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="+", help="folders of recordings: those that the shipped model was trained on")
    parser.add_argument("-n", type=int, default=len(LIBRARIES), help="pairs of each row (default: one of each library)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    a = parser.parse_args()
    known, jobs = recordings(a.folder), []
    for name, condition in conditions():
        step = 1 if condition.generator == "deepafx" else len(LIBRARIES)
        first = 0 if step == 1 else list(LIBRARIES).index(condition.generator)
        if condition.effect_set != "none":
            jobs += [(name, condition, known, index) for index in range(first, a.n, step)]
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ProcessPoolExecutor(a.workers, get_context("spawn")) as pool:
        for found in pool.map(score, jobs):
            if found:
                for key, value in found[1].items():
                    scores[found[0]][key].append(value)
    print(page(scores))


if __name__ == "__main__":
    main()
