"""How near the shipped model comes with other people's effects, from rows of `foreign.py run`.

    .venv-bench/bin/python bench/foreign_page.py bench/foreign_rows.jsonl.xz > bench/FOREIGN.md    # or a run's folder

The rows that the page was made of are committed; unpacked into a folder as rows.jsonl, they are continued by
`foreign.py run -o FOLDER`. The measure is the loudness-matched STFT error. The best of the others is, in each line, the
lowest mean among doing nothing, setting the loudness, a match equaliser at 50 and 100 %, and Matchering.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from common import machine, table

from afx_live.study.metrics.bootstrap import bootstrap_interval
from afx_live.study.run.rows import gather

PEERS = {
    "nothing": "nothing",
    "loudness": "loudness",
    "match_eq_50": "match EQ 50 %",
    "match_eq": "match EQ",
    "matchering": "Matchering",
}
EFFECT_SETS = ("equaliser", "compressor", "distortion", "reverb", "all", "none")
BARS = {"equaliser": "0.8", "compressor": "0.6", "distortion": "0.3", "all": "0.65"}
HARM = 0.01

Found = dict[str, dict[int, tuple[float, float, float, str]]]
"""system -> pair -> STFT error, log-mel error in dB, error of loudness in LU, recording."""


def by_cell(rows: list[dict]) -> dict[tuple[str, str, str], Found]:
    """Sort rows that did not fail by generator, effect set and mode."""
    cells: dict[tuple[str, str, str], Found] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if not row["failed"] and row["scores"].get("matched_stft") is not None:
            condition, s = row["condition"], row["scores"]
            values = s["matched_stft"], s["log_mel_db"], s["loudness_lu"], row["recording"]
            cells[condition["generator"], condition["effect_set"], condition["mode"]][row["system"]][row["index"]] = (
                values
            )
    return cells


def line(found: Found, ceiling: dict[int, tuple]) -> list[object] | None:
    """Write the line of one cell, with the ceiling of a chain fitted to the answers; None without rows of ours."""
    pairs = sorted(set.intersection(*(set(found.get(name, {})) for name in (*PEERS, "ours"))))
    if not pairs:
        return None

    def column(system: str, which: int) -> np.ndarray:
        return np.array([found[system][p][which] for p in pairs])

    groups = [found["ours"][p][3] for p in pairs]
    errors = {name: column(name, 0) for name in PEERS}
    ours, loud = column("ours", 0), errors["loudness"]
    best = min(errors, key=lambda name: errors[name].mean())
    base = errors[best].mean()
    low, high = (v / base if base > 1e-3 else np.nan for v in bootstrap_interval(ours, groups))
    share = f"{ours.mean() / base:.2f} [{low:.2f}, {high:.2f}]" if base > 1e-3 else "–"
    worse = (ours - loud) / np.maximum(loud, 0.05)
    unchanged = column("nothing", 1).mean()
    fitted = [i for i, p in enumerate(pairs) if p in ceiling]
    near = np.mean([ceiling[pairs[i]][0] for i in fitted]) / errors[best][fitted].mean() if fitted else np.nan
    return [
        len(pairs),
        f"{errors['nothing'].mean():.3f}",
        f"{base:.3f} {PEERS[best]}",
        f"{ours.mean():.3f}",
        share,
        f"{near:.2f} ({len(fitted)})" if fitted else "",
        f"{np.mean(worse > HARM):.0%}",
        f"{100 * np.quantile(worse, 0.95):+.0f} %",
        f"{column('ours', 1).mean() / unchanged:.2f}" if unchanged > 0.05 else "–",
        f"{np.quantile(column('ours', 2), 0.95):.2f}",
    ]


def main() -> None:
    """Print the page."""
    cells = by_cell(gather(map(Path, sys.argv[1:])))
    head = [
        "effect set",
        "reference",
        "pairs",
        "doing nothing",
        "best of the others",
        "ours",
        "share of the best (95 %)",
        "ceiling",
        "harmed",
        "harm, 95th",
        "log-mel",
        "LU, 95th",
    ]
    bars = ", ".join(f"{effect} {bar}" for effect, bar in BARS.items())
    print(f"""# Other people's effects

`foreign_page.py` wrote this page from rows of `foreign.py run`: recordings that neither training nor validation used,
5 s each, effects that no training used. Loudness-matched STFT error, lower is better; intervals over recordings.
Share: ours relative to the best of the others (our own targets: {bars}).
Ceiling: the same for our chain fitted to the answer itself, on the number of pairs in brackets. Harmed: pairs over 1 %
worse than with only the loudness set, and the 95th percentile of that change. Log-mel: error in 64 bands and frames of
100 ms, relative to doing nothing's.
""")
    for generator in dict.fromkeys(g for g, _, _ in cells):
        lines = [
            [effect_set, mode, *cells_of_line]
            for effect_set in EFFECT_SETS
            for mode in ("same", "other")
            # a ceiling does not depend on the reference, and the answer is the same with either
            if (
                cells_of_line := line(
                    cells[generator, effect_set, mode], cells[generator, effect_set, "same"]["ceiling"]
                )
            )
        ]
        print(f"## {generator}\n\n{table(head, lines)}\n")
    print(machine("numpy", "pedalboard", "matchering", "onnxruntime-gpu"))


if __name__ == "__main__":
    main()
