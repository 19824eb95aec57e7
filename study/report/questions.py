"""The report's tables, one question each. Every function gives tables, or none where there are no rows for it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..pairs.case import MODES, Case
from ..run.rows import Row
from .tables import FLOOR, UNITS, Cell, Results, Table, gain_cell, gains, mean_cell, means, number, title

BUDGETED = ("ad", "spsa", "np", "response")
"""The methods at one budget; our shipped model, which had more, stands beside them."""
VARIED = {"kind": "kinds of sound", "sample_rate": "sample rates (Hz)", "intensity": "intensities"}
OWN_METRIC = {
    "equaliser": ("eq_curve_db", "response_equaliser"),
    "compressor": ("gain_reduction_r", "response_compressor"),
    "distortion": ("thd_db", "nonlinear_db", "response_distortion"),
    "reverb": ("rt60_share", "rt60_blind_share", "response_reverb"),
}
GENERATOR_WORDS = {
    "own": "our own effects",
    "paper": "the paper's generator, as coded",
    "styles": "the paper's styles, as coded",
    "paper_corrected": "the paper's generator, corrected",
    "styles_corrected": "the styles, corrected",
}
MODE_WORDS = {"same": "same recording", "other": "other recording"}
HOW = (
    "Change of the loudness-matched STFT error against only setting the loudness, pair by pair; below 0 is nearer to "
    "the truth. 95 % intervals over recordings. Bold: the best of a line that is sure. ≈: the interval holds 0."
)


def is_base(case: Case) -> bool:
    """Tell whether a case is one of the base case's rows and modes."""
    return case == Case(row=case.row, mode=case.mode)


def _at_home(case: Case) -> bool:
    """Tell whether a case varies nothing; the paper's generators know their own sample rate only."""
    rate = Case.sample_rate if case.generator == Case.generator else case.sample_rate
    return case == Case(case.generator, case.row, case.mode, sample_rate=rate)


def headline(results: Results) -> list[Table]:
    """AD, SPSA, NP and ours at one budget, and the shipped model: the README's table."""
    there = results.systems(results.cases(is_base))
    systems = [FLOOR, *(s for s in (*BUDGETED, "ours") if s in there)]
    rows = []
    for mode in MODES:
        for case in results.cases(lambda c, m=mode: is_base(c) and c.mode == m):
            floor = mean_cell(results.mean(FLOOR, [case]))
            asked = len(results.scores(FLOOR, [case]))
            against = gain_cell(results.gain("response", [case], floor="ad"))
            line = gains(results, systems[1:], [case])
            rows.append([Cell(case.row), Cell(mode), Cell(str(asked)), floor, *line, against])
    head = ["f is", "recording", "pairs", "only loudness, error", *(title(s) for s in systems[1:])]
    head.append("study's budget: ours against AD")
    return [Table("The methods at one training budget", HOW, head, rows)] if rows else []


def everybody(results: Results) -> list[Table]:
    """Every system on every row of every generator and mode of the base case."""
    tables = []
    for generator in sorted(
        {c.generator for c in results.cases()}, key=lambda g: (g not in GENERATOR_WORDS, g != "own", g)
    ):
        for mode in MODES:
            cases = results.cases(lambda c, g=generator, m=mode: (c.generator, c.mode) == (g, m) and _at_home(c))
            systems = [s for s in results.systems(cases) if ":" not in s and s not in ("nothing", FLOOR)]
            if not cases or not systems:
                continue
            lines = _by_column(results, systems, [[c] for c in cases])
            where = f"{_generator(generator)}, reference from the {MODE_WORDS[mode]}"
            floor = [Cell("only loudness, error"), *(mean_cell(results.mean(FLOOR, [c])) for c in cases)]
            rows = [floor, *([Cell(title(s)), *line] for s, line in zip(systems, lines, strict=True))]
            tables.append(Table(f"References by {where}", HOW, ["system", *(c.row for c in cases)], rows))
    return tables


def _by_column(results: Results, systems: Sequence[str], columns: Sequence[Sequence[Case]]) -> list[tuple[Cell, ...]]:
    """Write lines of systems whose best is marked in each column."""
    return list(zip(*(gains(results, systems, cases) for cases in columns), strict=True))


def _generator(name: str) -> str:
    return GENERATOR_WORDS.get(name, f"{name} (effects nobody was trained on)")


def chains(results: Results) -> list[Table]:
    """Can an equaliser and a compressor stand in for another effect? Each method under three masks."""
    cases = results.cases(is_base)
    methods = list(dict.fromkeys(s.split(":")[0] for s in results.systems(cases) if ":" in s))
    tables = []
    for method in methods:
        rows = []
        for case in cases:
            systems = [f"{method}:equaliser+compressor", f"{method}:{case.row}", method]
            line = gains(results, systems, [case])
            if any(cell.text != "–" for cell in line):
                rows.append([Cell(case.row), Cell(MODE_WORDS[case.mode]), *line])
        head = ["f is", "reference from", "may use equaliser + compressor", "may use f's own effects", "may use all"]
        tables.append(Table(f"{title(method)}: what the chain may use", HOW, head, rows))
    return tables


def varied(results: Results) -> list[Table]:
    """One thing varied around the base case: kinds, rates, intensities; rows of all effects together."""
    tables = []
    for axis, words in VARIED.items():
        other = results.cases(lambda c, a=axis: not is_base(c) and is_base(replace(c, **{a: getattr(Case, a)})))
        values = sorted({getattr(c, axis) for c in other}, key=str if axis == "kind" else float)
        if not values:
            continue
        rows_asked = {(c.row, c.mode) for c in other}
        base = results.cases(lambda c, r=rows_asked: is_base(c) and (c.row, c.mode) in r)
        columns = {getattr(Case, axis): base, **{v: [c for c in other if getattr(c, axis) == v] for v in values}}
        columns = dict(sorted(columns.items(), key=lambda item: (item[0] == "any", item[0])))
        systems = [s for s in results.systems(other) if s != FLOOR]
        lines = _by_column(results, systems, list(columns.values()))
        rows = [[Cell(title(s)), *line] for s, line in zip(systems, lines, strict=True)]
        asked = ", ".join(dict.fromkeys(r for r, _ in sorted(rows_asked)))
        about = f"{HOW} All of these together: {asked}. STFT errors of two sample rates do not compare; shares do."
        tables.append(Table(f"By {words}", about, ["system", *(str(v) for v in columns)], rows))
    return tables


def every_metric(results: Results) -> list[Table]:
    """All metrics on all effects at once, and each effect's own metrics on its row."""
    tables = []
    for mode in MODES:
        case = Case(row="all", mode=mode)
        systems = results.systems([case])
        systems = [s for s in systems if ":" not in s]
        metrics = [m for m in UNITS if any(results.scores(s, [case], m) for s in systems)]
        if metrics:
            tables.append(
                _metric_table(results, systems, case, metrics, f"Every metric, all effects, {MODE_WORDS[mode]}")
            )
    for effect, wanted in OWN_METRIC.items():
        case = Case(row=effect, mode="same")
        systems = [s for s in results.systems([case]) if ":" not in s]
        metrics = [m for m in wanted if any(results.scores(s, [case], m) for s in systems)]
        if metrics:
            tables.append(_metric_table(results, systems, case, metrics, f"{effect.capitalize()}: its own metrics"))
    return tables


def _metric_table(results: Results, systems: Sequence[str], case: Case, metrics: Sequence[str], name: str) -> Table:
    columns = [means(results, systems, [case], m) for m in metrics]
    rows = [[Cell(title(s)), *line] for s, line in zip(systems, zip(*columns, strict=True), strict=True)]
    about = "Means with 95 % intervals over recordings; bold: the best mean of a column. –: does not apply."
    return Table(name, about, ["system", *(UNITS[m] for m in metrics)], rows)


def restraint(results: Results) -> list[Table]:
    """How often a system does harm: over 1 % worse than only setting the loudness."""
    cases = results.cases(lambda c: is_base(c) and c.row != "none")
    rows = []
    for system in results.systems(cases):
        found = results.harm(system, cases)
        if system in ("nothing", FLOOR) or ":" in system or found is None:
            continue
        worse, harm, n = found
        rows.append([Cell(title(system)), Cell(str(n)), Cell(f"{worse:.0%}"), Cell(f"{harm:+.0%}")])
    about = "All rows of the base case but the identity, both modes. Harm is the error's growth over only loudness."
    head = ["system", "pairs", "pairs over 1 % worse, share", "harm, 95th percentile"]
    return [Table("Harm", about, head, rows)] if rows else []


def cost(results: Results) -> list[Table]:
    """What an answer costs on one core, encoder included."""
    factors = real_time_factors(results.rows)
    rows = [
        [Cell(title(s)), Cell(str(len(f))), Cell(f"{np.median(f):.3f}"), Cell(f"{np.quantile(f, 0.95):.3f}")]
        for s, f in factors.items()
    ]
    about = (
        "Processor time of the whole answer over the clip's length, on one core: describing both clips, predicting, "
        "solving levels, playing. Under 1 is faster than real time. Taken while the study ran on all cores."
    )
    head = ["system", "answers", "real-time factor, median", "95th percentile"]
    return [Table("What an answer costs", about, head, rows)] if rows else []


def real_time_factors(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Collect seconds of work per second of sound by system, masked ones with their model."""
    factors: dict[str, list[float]] = {}
    for row in rows:
        if row["seconds"] and row["audio_s"] and not row["failed"]:
            factors.setdefault(row["system"].split(":")[0], []).append(row["seconds"] / row["audio_s"])
    return dict(sorted(factors.items(), key=lambda item: float(np.median(item[1]))))


def failures(results: Results) -> list[Table]:
    """Count what failed, and why; and metrics that could not be taken."""
    found: dict[tuple[str, str], int] = {}
    asked: dict[str, int] = {}
    for row in results.rows:
        asked[row["system"]] = asked.get(row["system"], 0) + 1
        whys = [row["failed"]] if row["failed"] else [f"{m}: {why}" for m, why in row["unmeasured"].items()]
        for why in whys:
            found[row["system"], why] = found.get((row["system"], why), 0) + 1
    rows = [
        [Cell(title(s)), Cell(f"{n} of {asked[s]}"), Cell(why[:160])]
        for (s, why), n in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:60]
    ]
    none = [[Cell("all"), Cell(f"0 of {len(results.rows)}"), Cell("nothing failed")]]
    about = "Rows without a score, or with a metric that could not be taken. They are in no mean."
    return [Table("Failures", about, ["system", "rows", "why"], rows or none)]


def budgets(curves: dict[str, list[dict[str, float]]]) -> list[Table]:
    """What each training used, and where its loss stood."""
    rows = []
    for name, points in sorted(curves.items()):
        lasts = points[-1]
        shown = [k for k in lasts if k.startswith("validation") and np.isfinite(lasts[k])]
        key = next((k for k in shown if "stft" in k), shown[0] if shown else "train_loss")
        values = [p[key] for p in points if np.isfinite(p.get(key, np.nan))]
        late = [
            p[key] for p in points if p["cpu_minutes"] >= 0.8 * lasts["cpu_minutes"] and np.isfinite(p.get(key, np.nan))
        ]
        fell = (late[0] - late[-1]) / abs(late[0]) if len(late) > 1 and late[0] else np.nan
        rows.append(
            [
                Cell(title(name)),
                Cell(number(lasts["cpu_minutes"])),
                Cell(f"{lasts.get('step', np.nan):.0f}"),
                Cell(key.replace("_", " ")),
                Cell(number(min(values))),
                Cell(f"{fell:+.1%}" if np.isfinite(fell) else "–"),
            ]
        )
    about = "A loss that still falls in the last fifth of the budget says that the budget was too small."
    head = ["training", "processor time, min", "steps", "loss", "lowest", "fell in the last fifth by"]
    return [Table("What each training used", about, head, rows)] if rows else []
