"""Results: means of scores, improvements over only setting the loudness, intervals over recordings."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..metrics.bootstrap import bootstrap_interval
from ..pairs.condition import MODES, Condition
from ..run.rows import Row

BASELINE = "loudness"
"""The system that others are compared with: it sets the loudness and nothing else."""
METRIC = "matched_stft"
TITLES = {
    "nothing": "do nothing",
    "loudness": "only loudness",
    "match_eq_50": "match EQ 50 %",
    "match_eq": "match EQ 100 %",
    "rb_dsp_63": "RB-DSP, 63 taps",
    "rb_dsp_2048": "RB-DSP, 2048 taps",
    "matcher": "rule-based matcher",
    "prior_mean": "prior mean",
    "nearest_preset": "nearest preset",
    "oracle": "oracle settings",
    "ceiling": "ceiling (fitted to the answer)",
    "ours": "ours",
    "ours_refined": "ours, refined",
    "ad": "AD",
    "spsa": "SPSA",
    "np": "NP",
    "np_hh": "NP-HH",
    "np_fh": "NP-FH",
    "ctcn1": "cTCN 1",
    "ctcn2": "cTCN 2",
    "response": "ours, study's budget",
    "matchering": "Matchering",
}
"""Names of systems for people, in the report's order; "ours_refined" occurs in rows of earlier versions only."""
EFFECT_SET_ORDER = (
    "equaliser",
    "compressor",
    "equaliser+compressor",
    "distortion",
    "reverb",
    "all",
    "none",
    "neutral",
    "broadcast",
    "telephone",
    "bright",
    "warm",
    "driven",
    "spacious",
)


@dataclass(frozen=True)
class Figure:
    """A mean over n pairs and its interval (NaN for a single recording); share: relative to the baseline's mean."""

    mean: float
    low: float
    high: float
    n: int
    share: bool = False

    @property
    def significant(self) -> bool:
        """Whether the confidence interval excludes zero."""
        return bool(self.low > 0 or self.high < 0)


@dataclass
class Results:
    """Rows, indexed by system and condition."""

    rows: Sequence[Row]
    _by: dict[tuple[str, Condition], dict[tuple[int, int], Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            place = self._by.setdefault((row["system"], Condition.of(row["condition"])), {})
            place[row["index"], row["seed"]] = row

    def conditions(self, keep: Callable[[Condition], bool] = lambda condition: True) -> list[Condition]:
        """List the conditions that have rows: modes, effects and styles in the order that a reader expects."""
        order = {name: i for i, name in enumerate((*MODES, *EFFECT_SET_ORDER))}
        found = {condition for _, condition in self._by if keep(condition)}
        return sorted(found, key=lambda c: (order[c.mode], order.get(c.effect_set, len(order)), repr(c)))

    def systems(self, conditions: Iterable[Condition]) -> list[str]:
        """List the systems with scores in some of the conditions, in the order of TITLES, then constrained ones."""
        wanted = set(conditions)
        there = {
            s
            for (s, condition), found in self._by.items()
            if condition in wanted and any(r["scores"] for r in found.values())
        }
        order = {name: i for i, name in enumerate(TITLES)}
        return sorted(there, key=lambda s: (":" in s, order.get(s.split(":")[0], len(order)), s))

    def scores(
        self, system: str, conditions: Iterable[Condition], metric: str = METRIC
    ) -> dict[tuple, tuple[float, str]]:
        """Return a system's scores by pair, with the pair's recording; without pairs that were not measured."""
        return {
            (condition, *place): (row["scores"][metric], row["recording"])
            for condition in conditions
            for place, row in self._by.get((system, condition), {}).items()
            if row["scores"].get(metric) is not None
        }

    def mean(self, system: str, conditions: Sequence[Condition], metric: str = METRIC) -> Figure | None:
        """Average a system's scores; None without any."""
        found = self.scores(system, conditions, metric)
        if not found:
            return None
        values, groups = zip(*found.values(), strict=True)
        return Figure(float(np.mean(values)), *bootstrap_interval(values, groups), len(values))

    def gain(
        self, system: str, conditions: Sequence[Condition], metric: str = METRIC, baseline: str = BASELINE
    ) -> Figure | None:
        """Average the change against the baseline, pair by pair: a share of its mean, or absolute where that is 0.

        Only pairs that both have answered count; None without any.
        """
        mine, base = (self.scores(s, conditions, metric) for s in (system, baseline))
        both = [place for place in mine if place in base]
        if not both:
            return None
        change = np.array([mine[p][0] - base[p][0] for p in both])
        whole = float(np.mean([base[p][0] for p in both]))
        share = abs(whole) > 0.01
        change = change / whole if share else change
        low, high = bootstrap_interval(change, [mine[p][1] for p in both])
        return Figure(float(change.mean()), low, high, len(both), share)

    def harm(self, system: str, conditions: Sequence[Condition]) -> tuple[float, float, int] | None:
        """Return the share of pairs over 1 % worse than the baseline, the 95th percentile of harm, and their number."""
        mine, base = (self.scores(s, conditions) for s in (system, BASELINE))
        pairs = [(mine[p][0], base[p][0]) for p in mine if p in base]
        if not pairs:
            return None
        ours, theirs = np.array(pairs).T
        worse = float(np.mean(ours > 1.01 * theirs + 1e-9))
        relevant = theirs > 0.01  # a share of nothing is meaningless
        harm = float(np.quantile(ours[relevant] / theirs[relevant] - 1, 0.95)) if relevant.any() else np.nan
        return worse, harm, len(pairs)
