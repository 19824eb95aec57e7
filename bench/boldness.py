"""What boldness brings and what it costs: the shipped model on other people's effects, from timid to bold.

    .venv-bench/bin/python bench/boldness.py run RECORDINGS… -o runs/boldness -n 20    # goes on where it stopped
    .venv-bench/bin/python bench/boldness.py page runs/boldness/rows.jsonl > bench/BOLDNESS.md

Pairs are those of `foreign.py`, the four libraries in turn, and DeepAFx-ST's own; of the recordings that only tests
may hear (`training/configs/split.yaml`), four at most of each source. Needs what `foreign.py` needs.
"""

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before numpy comes in: peers are no faster with more threads, and other work goes on
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import foreign  # noqa: F401  # adds its generators and Matchering to the study's
import numpy as np
import yaml
from common import machine, table
from foreign_effects import LIBRARIES

from afx_live.dsp.spectrum import long_term_spectrum, third_octaves
from afx_live.matching import MatchModel, match
from afx_live.presets import SHIPPED_MODEL
from afx_live.study.metrics.audio import log_mel_error, matched_stft_error
from afx_live.study.pairs.condition import MODES, Condition, Pair
from afx_live.study.pairs.generators import draw_pair
from afx_live.study.systems import registry
from afx_live.study.systems.playing import at_reference_loudness
from afx_live.training.cli import CONFIGS
from afx_live.training.datamodules import TakesDataModule, held_out_of
from afx_live.training.recordings import Recording

PEERS = ("nothing", "loudness", "match_eq_50", "match_eq", "matchering")
EFFECT_SETS = ("equaliser", "compressor", "distortion", "reverb", "all", "none")
CENTRES_HZ = third_octaves(100.0, 10160.0)
BOLDNESS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEED = 7
OF_A_SOURCE = 4
HARM = 0.01
"""A pair is harmed if its error is so much more than with only the loudness set."""
ENOUGH_DB = 12.0
"""Where input and reference differ by no more than so much, an equaliser can bring them together."""
CHANGED_DB = 0.5
"""A pair is changed if an octave moves by more than this against the others."""
Row = dict[str, Any]


def conditions() -> Iterator[tuple[str, Condition]]:
    """Give each row's name and a condition of it for every library; the paper's task once for speech and for music."""
    for effect_set in EFFECT_SETS:
        for mode in MODES:
            for library in LIBRARIES:
                yield f"{effect_set} {mode}", Condition(library, effect_set, mode)
    for kind in ("speech", "mix"):
        yield f"paper {kind}", Condition("deepafx", "equaliser+compressor", "same", kind)


def recordings(folders: Sequence[str]) -> list[Recording]:
    """Find the recordings that only tests may hear, some of every source."""
    aside = yaml.safe_load((CONFIGS / "split.yaml").read_text())["data"]
    known = held_out_of(TakesDataModule(",".join(folders)).known(), aside["held_out"], aside["test"])[1]
    rng, sources = np.random.default_rng(0), defaultdict(list)
    for recording in known:
        sources[recording.group].append(recording)
    chosen = (
        of if len(of) <= OF_A_SOURCE else [of[i] for i in sorted(rng.choice(len(of), OF_A_SOURCE, replace=False))]
        for _, of in sorted(sources.items())
    )
    return [recording for some in chosen for recording in some]


def run(folders: Sequence[str], rows: Path, n: int, boldness: Sequence[float]) -> None:
    """Answer n pairs of every row by each peer and by our model at each boldness; what is in the file stays."""
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {(r["row"], r["index"], r["system"]) for r in read(rows)}
    model, known = MatchModel(SHIPPED_MODEL), recordings(folders)
    for name, condition in conditions():
        step = 1 if condition.generator == "deepafx" else len(LIBRARIES)
        first = 0 if step == 1 else list(LIBRARIES).index(condition.generator)
        for index in range(first, n, step):
            systems = [s for s in (*PEERS, *(f"ours {b:g}" for b in boldness)) if (name, index, s) not in done]
            if not systems:
                continue
            try:
                pair = draw_pair(condition, known, index, SEED)
            except ArithmeticError as error:  # a library that gave silence
                print(error, file=sys.stderr)
                continue
            with open(rows, "a") as file:
                for system in systems:
                    about = {"row": name, "index": index, "system": system, "recording": pair.recording}
                    file.write(json.dumps({**about, **answered(system, pair, model)}) + "\n")


def answered(system: str, pair: Pair, model: MatchModel) -> Row:
    """Answer a pair and score it."""
    used: list[bool] = []
    if system.startswith("ours"):
        found = match(pair.input, pair.reference, pair.sample_rate, model, boldness=float(system.split()[1]))
        y = at_reference_loudness(pair, found.play(pair.input)).audio
        used = [step.enabled for step in found.settings.effects]
    else:
        y = registry.system(system, Path())(pair).audio
    moved, away = relative_db(y, pair.input, pair.sample_rate), relative_db(y, pair.reference, pair.sample_rate)
    within = np.abs(relative_db(pair.input, pair.reference, pair.sample_rate)) <= ENOUGH_DB
    return {
        "error": round(matched_stft_error(y, pair.answer, pair.sample_rate), 5),
        "log_mel_db": round(log_mel_error(y, pair.answer, pair.sample_rate), 4),
        "used": used,
        "octave_db": round(float(np.abs(moved.reshape(-1, 3).mean(1)).max()), 3),
        "moved_db": round(float(np.abs(moved).mean()), 3),
        "away_db": round(float(np.abs(away).mean()), 3),
        "within_reach_db": round(float(np.abs(away[within]).mean()), 3),
    }


def relative_db(x: np.ndarray, other: np.ndarray, rate: int) -> np.ndarray:
    """Give how far third octaves from 100 Hz to 10 kHz differ, the level aside: (21,)."""
    here, there = (long_term_spectrum(clip, rate, CENTRES_HZ) for clip in (x, other))
    return here - there - np.median(here - there)


def read(path: Path) -> list[Row]:
    """Read rows; none from a file that is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- the page --------------------------------------------------------------------------------------


def page(rows: Sequence[Row]) -> str:
    """Write the page."""
    cells: dict[str, dict[str, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        cells[row["row"]][row["system"]][row["index"]] = row
    ours = sorted({r["system"] for r in rows if r["system"].startswith("ours")}, key=lambda s: float(s.split()[1]))
    parts = [
        f"""# Boldness

`boldness.py` wrote this page: {SHIPPED_MODEL.name} on recordings and effect libraries that no training heard, 5 s each.
Share: the error (loudness-matched STFT; reverb: log-mel) relative to the best of doing nothing, the loudness, a match
equaliser at 50 and 100 %, and Matchering; the paper's task relative to the input's. Idle: nothing is used. Harmed: over
1 % worse than with only the loudness set. Changed: an octave moves by over {CHANGED_DB:g} dB. Moved: the mean over
third octaves from 100 Hz to 10 kHz. Within reach: third octaves in which input and reference differ by at most
{ENOUGH_DB:g} dB. The default boldness is 0.5.
""",
    ]
    for system in ours:
        lines = [line for name in cells if (line := line_of(name, cells[name], system))]
        head = ["row", "pairs", "share", "idle", "harmed", "95th of harm", "changed", "moved, dB"]
        parts.append(f"## {system.split()[1]}\n\n{table(head, lines)}\n")
    parts.append(f"## Over boldness\n\n{table(*summary(cells, ours))}\n")
    return "\n".join([*parts, machine("numpy", "pedalboard", "matchering", "onnxruntime-gpu")])


def line_of(name: str, found: dict[str, dict[int, Row]], system: str) -> list[object] | None:
    """Write one row at one boldness."""
    pairs = sorted(set.intersection(*(set(found[s]) for s in (*PEERS, system))))
    if not pairs:
        return None
    which = "log_mel_db" if name.startswith("reverb") else "error"

    def column(s: str, key: str) -> np.ndarray:
        return np.array([found[s][p][key] for p in pairs])

    best = column("nothing", which).mean()
    if not name.startswith("paper"):
        best = min(column(s, which).mean() for s in PEERS)
    loudness = column("loudness", "error")
    worse = (column(system, "error") - loudness) / np.maximum(loudness, 0.05)
    none = name.startswith("none")
    return [
        name,
        len(pairs),
        "–" if none else f"{column(system, which).mean() / best:.2f}",
        f"{np.mean([not any(found[system][p]['used']) for p in pairs]):.0%}",
        f"{np.mean(worse > HARM):.0%}",
        f"{100 * np.quantile(worse, 0.95):+.0f} %",
        f"{np.mean(column(system, 'octave_db') > CHANGED_DB):.0%}",
        f"{column(system, 'moved_db').mean():.1f}",
    ]


def summary(cells: dict[str, dict[str, dict[int, Row]]], ours: Sequence[str]) -> tuple[list[str], list[list[object]]]:
    """Compare the mean benefit and harm of every system, same and other recording, f being something."""
    lines: list[list[object]] = []
    for mode in MODES:
        names = [name for name in cells if name.endswith(mode) and not name.startswith("none")]
        for system in ("match_eq_50", "match_eq", "matchering", *ours):
            left, harmed, away, within, moved = [], [], [], [], []
            for name in names:
                found = cells[name]
                for p in set(found[system]) & set(found["loudness"]):
                    base, row = found["loudness"][p]["error"], found[system][p]
                    left.append(row["error"] / max(base, 0.05))
                    harmed.append(row["error"] > base + HARM * max(base, 0.05))
                    away.append(row["away_db"])
                    within.append(row.get("within_reach_db", np.nan))
                    moved.append(row["moved_db"])
            if left:
                numbers = [
                    f"{np.mean(left):.2f}",
                    f"{np.mean(harmed):.0%}",
                    f"{np.mean(moved):.1f}",
                    f"{np.mean(away):.1f}",
                    "–" if np.isnan(within).all() else f"{np.nanmean(within):.1f}",
                ]
                lines.append([mode, system.replace("_", " "), *numbers])
    return [
        "reference",
        "system",
        "error left, of loudness only",
        "harmed",
        "moved, dB",
        "from the reference, dB",
        "of it within reach, dB",
    ], lines


def main() -> None:
    """Run, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of = commands.add_parser("run", help="answer pairs")
    of.add_argument("folder", nargs="+", help="folders of recordings: those that the shipped model was trained on")
    of.add_argument("-o", "--output", type=Path, required=True, help="folder of rows.jsonl")
    of.add_argument("-n", type=int, default=20, help="pairs of each row (default: 20)")
    of.add_argument("--boldness", type=float, nargs="+", default=BOLDNESS, help="(default: 0 0.25 0.5 0.75 1)")
    of = commands.add_parser("page", help="print the page")
    of.add_argument("rows", type=Path)
    a = parser.parse_args()
    if a.command == "page":
        print(page(read(a.rows)))
    else:
        run(a.folder, a.output / "rows.jsonl", a.n, a.boldness)


if __name__ == "__main__":
    main()
