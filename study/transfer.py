"""How near does a model come, effect by effect? Pairs of known answer, simple systems beside it.

A pair: recordings A and B (two stretches of one, or of two), a random chain f, input B, reference
f(A), answer f(B). Results are compared after both were brought to one loudness, so *only setting
the loudness* scores exactly as doing nothing does, and whatever is better has heard a style.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..effects import CANONICAL
from ..effects._loudness import integrated_loudness
from ..realtime.match import Reference, match
from ..realtime.predictor import Predictor
from ..training.front_end import SAMPLE_RATE
from ..training.pairs import draw_take, render
from ..training.recordings import Recording, usable_for_pairs
from ..training.styles import draw
from .baselines import match_eq, only_loudness
from .metrics import bootstrap_interval, matched_stft_error

ROWS = ("equaliser", "compressor", "distortion", "reverb", "all", "none")
MODES = ("same", "other")
SYSTEMS = ("loudness", "match EQ 50 %", "match EQ", "ours")


@dataclass(frozen=True)
class Pair:
    """One question with its answer; mono float64 at 48 kHz."""

    input: np.ndarray
    reference: np.ndarray
    answer: np.ndarray
    recording: str


def draw_pair(recordings: Sequence[Recording], row: str, mode: str, rng: np.random.Generator) -> Pair:
    """Draw a pair of a row (an effect, all or none of them) from one recording or from two of a kind."""
    effects = {"all": CANONICAL, "none": ()}.get(row, (row,))
    settings = draw(rng, effects)
    take = draw_take(recordings, rng, vary=False)
    a, where = take.a, recordings[take.recording]
    if mode == "other":
        usable = [r for r in recordings if usable_for_pairs(r) and r.group != where.group]
        alike = [r for r in usable if r.kind == where.kind] or usable or recordings
        a = draw_take(alike, rng, vary=False).a
    loudness_db = rng.uniform(-3.0, 9.0)  # -26 to -14 LUFS
    return Pair(take.b, render(a, settings) * 10 ** (loudness_db / 20), render(take.b, settings), where.group)


def ours(predictor: Predictor) -> Callable[[np.ndarray, np.ndarray, float], np.ndarray]:
    """Give the model as a system: the same matching that live and files use."""
    from ..effects import Rack

    def system(x: np.ndarray, reference: np.ndarray, rate: float) -> np.ndarray:
        known = Reference(
            Path("reference"), predictor.describe(reference, rate), integrated_loudness(reference, rate), 0.0
        )
        found = match(predictor, predictor.describe(x, rate), x, rate, [known])
        return Rack(found.settings, rate, 1).play(x[:, None])[:, 0]

    return system


def _score(job: tuple[list[Recording], Path, str, str, int, int]) -> dict:
    recordings, model, row, mode, index, seed = job
    rng = np.random.default_rng([seed, ROWS.index(row), MODES.index(mode), index])
    pair = draw_pair(recordings, row, mode, rng)
    systems = dict(zip(SYSTEMS, (only_loudness, match_eq(0.5), match_eq(1.0), ours(loaded(model))), strict=True))
    scores = {}
    for name, system in systems.items():
        result = system(pair.input, pair.reference, SAMPLE_RATE)
        scores[name] = matched_stft_error(result, pair.answer, SAMPLE_RATE)
    return {"row": row, "mode": mode, "index": index, "seed": seed, "recording": pair.recording, "scores": scores}


@cache
def loaded(model: Path) -> Predictor:
    """Give a model folder's predictor, loaded once in each process."""
    return Predictor(model)


def run(
    recordings: Sequence[Recording], model: Path, out: Path, n: int, seed: int = 7, workers: int = 2,
    rows: Sequence[str] = ROWS,
) -> list[dict]:  # fmt: skip
    """Score n pairs of every row and mode into a JSON-lines file; pairs that stand there are kept."""
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    have = {(d["row"], d["mode"], d["index"], d["seed"]) for d in done}
    jobs = [
        (list(recordings), model, row, mode, i, seed)
        for i in range(n) for row in rows for mode in MODES if (row, mode, i, seed) not in have
    ]  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "a") as file, ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for scored in pool.map(_score, jobs, chunksize=4):
            file.write(json.dumps(scored) + "\n")
            file.flush()
            done.append(scored)
    return done


def table(scored: Sequence[dict]) -> str:
    """Write the rows as Markdown, by mode and for both together: means, difference to loudness-only, and harm."""
    n = max(sum(d["row"] == row and d["mode"] == mode for d in scored) for row in ROWS for mode in MODES)
    lines = [
        f"Loudness-matched STFT error (lower is better), n = {n} a row of one mode; 95 % intervals over recordings.",
        "",
        "| reference from | effect | " + " | ".join(SYSTEMS) + " | ours − loudness [95 %] | worse by > 1 % |",
        "|---" * (4 + len(SYSTEMS)) + "|",
    ]
    for mode in (*MODES, "either"):
        for row in ROWS:
            mine = [d for d in scored if d["row"] == row and mode in (d["mode"], "either")]
            if not mine:
                continue
            scores = {s: np.array([d["scores"][s] for d in mine]) for s in SYSTEMS}
            means = [f"{scores[s].mean():.3f}" for s in SYSTEMS]
            means[-1] = f"**{means[-1]}**"
            gain = scores["ours"] - scores["loudness"]
            base = scores["loudness"].mean()
            low, high = bootstrap_interval(gain, [d["recording"] for d in mine])
            harm = (scores["ours"] > 1.01 * scores["loudness"] + 1e-9).mean()
            share = [f"{100 * v / base:+.0f} %" if base > 0.01 else f"{v:+.3f}" for v in (gain.mean(), low, high)]
            lines.append(
                f"| {mode} recording | {row} | {' | '.join(means)} | {share[0]} [{share[1]}, {share[2]}] | {harm:.0%} |"
            )
    return "\n".join(lines)
