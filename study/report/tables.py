"""The report's tables, one topic each. Every function returns tables, or none where there are no rows for it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..pairs.condition import MODES, Condition
from ..run.rows import Row
from .cells import UNITS, Cell, Table, gain_cell, gains, mean_cell, means, number, title
from .results import BASELINE, Results

BUDGETED = ("ad", "spsa", "np", "response")
"""The methods with equal budgets; our shipped model, which had more, is shown beside them."""
VARIED = {"kind": "kinds of sound", "sample_rate": "sample rates (Hz)", "intensity": "intensities"}
EFFECT_METRICS = {
    "equaliser": ("eq_curve_db", "response_equaliser"),
    "compressor": ("gain_reduction_r", "response_compressor"),
    "distortion": ("thd_db", "nonlinear_db", "response_distortion"),
    "reverb": ("rt60_share", "rt60_blind_share", "response_reverb"),
}
GENERATOR_WORDS = {
    "ours": "our own effects",
    "deepafx": "the paper's generator, as coded",
    "deepafx_styles": "the paper's styles, as coded",
    "deepafx_corrected": "the paper's generator, corrected",
    "deepafx_styles_corrected": "the styles, corrected",
}
MODE_WORDS = {"same": "same recording", "other": "other recording"}
HOW = (
    "Change of the loudness-matched STFT error against only setting the loudness, pair by pair; below 0 is nearer to "
    "the truth. 95 % intervals over recordings. Bold: a line's best significant change. ≈: the interval contains 0."
)


def is_base(condition: Condition) -> bool:
    """Whether a condition varies only effect set and mode."""
    return condition == Condition(effect_set=condition.effect_set, mode=condition.mode)


def _is_basic(condition: Condition) -> bool:
    """Whether a condition is basic for its generator: the paper's have a sample rate of their own."""
    rate = Condition.sample_rate if condition.generator == Condition.generator else condition.sample_rate
    return condition == Condition(condition.generator, condition.effect_set, condition.mode, sample_rate=rate)


def headline(results: Results) -> list[Table]:
    """AD, SPSA, NP and ours with equal budgets, and the shipped model: the README's table."""
    there = results.systems(results.conditions(is_base))
    systems = [BASELINE, *(s for s in (*BUDGETED, "ours") if s in there)]
    rows = []
    for mode in MODES:
        for condition in results.conditions(lambda c, m=mode: is_base(c) and c.mode == m):
            baseline = mean_cell(results.mean(BASELINE, [condition]))
            pairs = len(results.scores(BASELINE, [condition]))
            against = gain_cell(results.gain("response", [condition], baseline="ad"))
            line = gains(results, systems[1:], [condition])
            rows.append([Cell(condition.effect_set), Cell(mode), Cell(str(pairs)), baseline, *line, against])
    head = ["effect set", "recording", "pairs", "only loudness, error", *(title(s) for s in systems[1:])]
    head.append("study's budget: ours against AD")
    return [Table("The methods at one training budget", HOW, head, rows)] if rows else []


def all_systems(results: Results) -> list[Table]:
    """Every system on every effect set of every generator, in both modes."""
    tables = []
    for generator in sorted(
        {c.generator for c in results.conditions()}, key=lambda g: (g not in GENERATOR_WORDS, g != "ours", g)
    ):
        for mode in MODES:
            conditions = results.conditions(
                lambda c, g=generator, m=mode: (c.generator, c.mode) == (g, m) and _is_basic(c)
            )
            systems = [s for s in results.systems(conditions) if ":" not in s and s not in ("nothing", BASELINE)]
            if not conditions or not systems:
                continue
            lines = _by_column(results, systems, [[c] for c in conditions])
            where = f"{_generator(generator)}, reference from the {MODE_WORDS[mode]}"
            baseline = [Cell("only loudness, error"), *(mean_cell(results.mean(BASELINE, [c])) for c in conditions)]
            rows = [baseline, *([Cell(title(s)), *line] for s, line in zip(systems, lines, strict=True))]
            tables.append(Table(f"References by {where}", HOW, ["system", *(c.effect_set for c in conditions)], rows))
    return tables


def _by_column(
    results: Results, systems: Sequence[str], columns: Sequence[Sequence[Condition]]
) -> list[tuple[Cell, ...]]:
    """Write a line for each system, with the best of each column marked."""
    return list(zip(*(gains(results, systems, conditions) for conditions in columns), strict=True))


def _generator(name: str) -> str:
    return GENERATOR_WORDS.get(name, f"{name} (effects that no training used)")


def chains(results: Results) -> list[Table]:
    """Can an equaliser and a compressor stand in for another effect? Each method under three constraints."""
    conditions = results.conditions(is_base)
    methods = list(dict.fromkeys(s.split(":")[0] for s in results.systems(conditions) if ":" in s))
    tables = []
    for method in methods:
        rows = []
        for condition in conditions:
            systems = [f"{method}:equaliser+compressor", f"{method}:{condition.effect_set}", method]
            line = gains(results, systems, [condition])
            if any(cell.text != "–" for cell in line):
                rows.append([Cell(condition.effect_set), Cell(MODE_WORDS[condition.mode]), *line])
        head = [
            "effect set",
            "reference from",
            "may use equaliser + compressor",
            "may use its own effects",
            "may use all",
        ]
        tables.append(Table(f"{title(method)}: what the chain may use", HOW, head, rows))
    return tables


def varied(results: Results) -> list[Table]:
    """One thing varied around the base condition: kinds, rates, intensities; all effect sets together."""
    tables = []
    for axis, words in VARIED.items():
        other = results.conditions(
            lambda c, a=axis: not is_base(c) and is_base(replace(c, **{a: getattr(Condition, a)}))
        )
        values = sorted({getattr(c, axis) for c in other}, key=str if axis == "kind" else float)
        if not values:
            continue
        rows_asked = {(c.effect_set, c.mode) for c in other}
        base = results.conditions(lambda c, r=rows_asked: is_base(c) and (c.effect_set, c.mode) in r)
        columns = {getattr(Condition, axis): base, **{v: [c for c in other if getattr(c, axis) == v] for v in values}}
        columns = dict(sorted(columns.items(), key=lambda item: (item[0] == "any", item[0])))
        systems = [s for s in results.systems(other) if s != BASELINE]
        lines = _by_column(results, systems, list(columns.values()))
        rows = [[Cell(title(s)), *line] for s, line in zip(systems, lines, strict=True)]
        asked = ", ".join(dict.fromkeys(r for r, _ in sorted(rows_asked)))
        about = f"{HOW} All of these together: {asked}. STFT errors of two sample rates do not compare; shares do."
        tables.append(Table(f"By {words}", about, ["system", *(str(v) for v in columns)], rows))
    return tables


def every_metric(results: Results) -> list[Table]:
    """All metrics on all effects at once, and each effect's own metrics on that effect."""
    tables = []
    for mode in MODES:
        condition = Condition(effect_set="all", mode=mode)
        systems = results.systems([condition])
        systems = [s for s in systems if ":" not in s]
        metrics = [m for m in UNITS if any(results.scores(s, [condition], m) for s in systems)]
        if metrics:
            tables.append(
                _metric_table(results, systems, condition, metrics, f"Every metric, all effects, {MODE_WORDS[mode]}")
            )
    for effect, wanted in EFFECT_METRICS.items():
        condition = Condition(effect_set=effect, mode="same")
        systems = [s for s in results.systems([condition]) if ":" not in s]
        metrics = [m for m in wanted if any(results.scores(s, [condition], m) for s in systems)]
        if metrics:
            tables.append(
                _metric_table(results, systems, condition, metrics, f"{effect.capitalize()}: its own metrics")
            )
    return tables


def _metric_table(
    results: Results, systems: Sequence[str], condition: Condition, metrics: Sequence[str], name: str
) -> Table:
    columns = [means(results, systems, [condition], m) for m in metrics]
    rows = [[Cell(title(s)), *line] for s, line in zip(systems, zip(*columns, strict=True), strict=True)]
    about = "Means with 95 % intervals over recordings; bold: the best mean of a column. –: does not apply."
    return Table(name, about, ["system", *(UNITS[m] for m in metrics)], rows)


def harm(results: Results) -> list[Table]:
    """How often a system does harm: an error over 1 % above that of only setting the loudness."""
    conditions = results.conditions(lambda c: is_base(c) and c.effect_set != "none")
    rows = []
    for system in results.systems(conditions):
        found = results.harm(system, conditions)
        if system in ("nothing", BASELINE) or ":" in system or found is None:
            continue
        worse, percentile, n = found
        rows.append([Cell(title(system)), Cell(str(n)), Cell(f"{worse:.0%}"), Cell(f"{percentile:+.0%}")])
    about = "All effect sets but none, our own effects, both modes. Harm: growth of the error against only loudness."
    head = ["system", "pairs", "pairs over 1 % worse, share", "harm, 95th percentile"]
    return [Table("Harm", about, head, rows)] if rows else []


def cost(results: Results) -> list[Table]:
    """What an answer costs on one core, including the encoder."""
    factors = real_time_factors(results.rows)
    rows = [
        [Cell(title(s)), Cell(str(len(f))), Cell(f"{np.median(f):.3f}"), Cell(f"{np.quantile(f, 0.95):.3f}")]
        for s, f in factors.items()
    ]
    about = (
        "Processor time of the whole answer over the clip's length, on one core: analysing both clips, predicting, "
        "solving levels, playing. Under 1 is faster than real time. Measured while the study ran on all cores."
    )
    head = ["system", "answers", "real-time factor, median", "95th percentile"]
    return [Table("What an answer costs", about, head, rows)] if rows else []


def real_time_factors(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Collect seconds of processor time per second of sound by system, constrained ones with their model."""
    factors: dict[str, list[float]] = {}
    for row in rows:
        if row["seconds"] and row["audio_s"] and not row["failed"]:
            factors.setdefault(row["system"].split(":")[0], []).append(row["seconds"] / row["audio_s"])
    return dict(sorted(factors.items(), key=lambda item: float(np.median(item[1]))))


def failures(results: Results) -> list[Table]:
    """Count failed rows and failed metrics, with reasons."""
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
    about = "Rows without a score, or with a metric that failed. They are in no mean."
    return [Table("Failures", about, ["system", "rows", "why"], rows or none)]


def budgets(curves: dict[str, list[dict[str, float]]]) -> list[Table]:
    """Budget and losses of each training."""
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
