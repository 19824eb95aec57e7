"""Rows to tables: means, improvements over only setting the loudness, intervals over recordings.

A table knows nothing of how it is written: `markdown` and `page` do that.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..metrics.audio import bootstrap_interval
from ..pairs.case import MODES, Case
from ..run.rows import Row

FLOOR = "loudness"
METRIC = "matched_stft"
HIGHER_IS_BETTER = {"pesq", "gain_reduction_r"}
UNITS = {
    "stft": "STFT error",
    "matched_stft": "loudness-matched STFT error",
    "log_mel_db": "log-mel error, dB",
    "msd": "mel distance (MSD)",
    "centroid_hz": "centroid error, Hz",
    "rms_db": "RMS error, dB",
    "crest_db": "crest error, dB",
    "loudness_lu": "loudness error, LU",
    "pesq": "PESQ, speech (higher is better)",
    "eq_curve_db": "EQ curve error, dB",
    "gain_reduction_r": "gain reduction, correlation (higher is better)",
    "thd_db": "THD error, dB",
    "nonlinear_db": "non-linear share error, dB",
    "rt60_share": "RT60 error, share",
    "rt60_blind_share": "RT60 error by ear, share",
    "response_equaliser": "EQ response error",
    "response_compressor": "compressor response error",
    "response_distortion": "distortion response error",
    "response_reverb": "reverb response error",
}
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
ROW_ORDER = (
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
KNOWING = ("oracle", "ceiling")
"""Systems that know the answer: never marked as best."""


@dataclass(frozen=True)
class Cell:
    """One value with what is said of it: `text`, `note` (interval, count), and marks."""

    text: str
    note: str = ""
    best: bool = False
    unsure: bool = False


@dataclass(frozen=True)
class Table:
    """Headings, and rows of cells; the first column names the row."""

    title: str
    about: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Figure:
    """A mean with its interval (NaN where one recording is all), over n pairs; share: relative to the floor."""

    mean: float
    low: float
    high: float
    n: int
    share: bool = False

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out no difference at all."""
        return bool(self.low > 0 or self.high < 0)


@dataclass
class Results:
    """Rows that can be asked for one system's scores in some cases."""

    rows: Sequence[Row]
    _by: dict[tuple[str, Case], dict[tuple[int, int], Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            place = self._by.setdefault((row["system"], Case(**row["case"])), {})
            place[row["index"], row["seed"]] = row

    def cases(self, keep: Callable[[Case], bool] = lambda case: True) -> list[Case]:
        """List the cases there are rows of: modes, effects and styles in the order that a reader expects."""
        order = {name: i for i, name in enumerate((*MODES, *ROW_ORDER))}
        found = {case for _, case in self._by if keep(case)}
        return sorted(found, key=lambda c: (order[c.mode], order.get(c.row, len(order)), repr(c)))

    def systems(self, cases: Iterable[Case]) -> list[str]:
        """List the systems that have scores in some of the cases, in the order of TITLES, masked ones after."""
        wanted = set(cases)
        there = {
            s for (s, case), found in self._by.items() if case in wanted and any(r["scores"] for r in found.values())
        }
        order = {name: i for i, name in enumerate(TITLES)}
        return sorted(there, key=lambda s: (":" in s, order.get(s.split(":")[0], len(order)), s))

    def scores(self, system: str, cases: Iterable[Case], metric: str = METRIC) -> dict[tuple, tuple[float, str]]:
        """Give a system's scores by pair, with the pair's recording; what was not measured is not there."""
        return {
            (case, *place): (row["scores"][metric], row["recording"])
            for case in cases
            for place, row in self._by.get((system, case), {}).items()
            if row["scores"].get(metric) is not None
        }

    def mean(self, system: str, cases: Sequence[Case], metric: str = METRIC) -> Figure | None:
        """Average a system's scores; None without any."""
        found = self.scores(system, cases, metric)
        if not found:
            return None
        values, groups = zip(*found.values(), strict=True)
        return Figure(float(np.mean(values)), *bootstrap_interval(values, groups), len(values))

    def gain(self, system: str, cases: Sequence[Case], metric: str = METRIC, floor: str = FLOOR) -> Figure | None:
        """Average the change against the floor, pair by pair: a share of its mean, or absolute where that is 0.

        Only pairs that both were asked count; None without any.
        """
        mine, base = (self.scores(s, cases, metric) for s in (system, floor))
        both = [place for place in mine if place in base]
        if not both:
            return None
        change = np.array([mine[p][0] - base[p][0] for p in both])
        whole = float(np.mean([base[p][0] for p in both]))
        share = abs(whole) > 0.01
        change = change / whole if share else change
        low, high = bootstrap_interval(change, [mine[p][1] for p in both])
        return Figure(float(change.mean()), low, high, len(both), share)

    def harm(self, system: str, cases: Sequence[Case]) -> tuple[float, float, int] | None:
        """Give the share of pairs that are over 1 % worse than the floor, and the 95th percentile of harm."""
        mine, base = (self.scores(s, cases) for s in (system, FLOOR))
        pairs = [(mine[p][0], base[p][0]) for p in mine if p in base]
        if not pairs:
            return None
        ours, theirs = np.array(pairs).T
        worse = float(np.mean(ours > 1.01 * theirs + 1e-9))
        heard = theirs > 0.01  # a share of nothing says nothing
        harm = float(np.quantile(ours[heard] / theirs[heard] - 1, 0.95)) if heard.any() else np.nan
        return worse, harm, len(pairs)


# --- words ------------------------------------------------------------------------------------------


def title(system: str) -> str:
    """Name a system for people."""
    base, _, mask = system.partition(":")
    return f"{TITLES.get(base, base)}{f' ({mask})' if mask else ''}"


def number(value: float) -> str:
    """Write a number with three significant digits, more or less."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def change(figure: Figure) -> tuple[str, str]:
    """Write an improvement and its interval: negative is nearer to the truth."""
    if not figure.share:
        low, high = (f"{v:+.3f}" if np.isfinite(v) else "–" for v in (figure.low, figure.high))
        return f"{figure.mean:+.3f}", f"[{low}, {high}]"
    low, high = (f"{100 * v:+.0f}" if np.isfinite(v) else "–" for v in (figure.low, figure.high))
    return f"{100 * figure.mean:+.0f} %".replace("-", "−"), f"[{low}, {high}]".replace("-", "−")


def gains(results: Results, systems: Sequence[str], cases: Sequence[Case], metric: str = METRIC) -> list[Cell]:
    """Write a line of improvements; the best that are sure are marked, what is not sure is."""
    found = [results.gain(s, cases, metric) for s in systems]
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    good = [sign * f.mean if f and f.sure and s not in KNOWING else np.inf for f, s in zip(found, systems, strict=True)]
    best = int(np.argmin(good)) if good and min(good) < 0 else -1
    return [gain_cell(f, i == best) for i, f in enumerate(found)]


def gain_cell(figure: Figure | None, best: bool = False) -> Cell:
    """Write an improvement; what is not sure is marked."""
    if figure is None:
        return Cell("–")
    text, interval = change(figure)
    return Cell(text, interval, best, not figure.sure)


def mean_cell(figure: Figure | None, best: bool = False) -> Cell:
    """Write a mean and its interval."""
    if figure is None:
        return Cell("–")
    return Cell(number(figure.mean), f"[{number(figure.low)}, {number(figure.high)}]", best)


def means(results: Results, systems: Sequence[str], cases: Sequence[Case], metric: str = METRIC) -> list[Cell]:
    """Write a line of means, the best one marked."""
    found = [results.mean(s, cases, metric) for s in systems]
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    good = [sign * f.mean if f and s not in KNOWING else np.inf for f, s in zip(found, systems, strict=True)]
    best = int(np.argmin(good)) if good and np.isfinite(min(good)) else -1
    return [mean_cell(f, i == best) for i, f in enumerate(found)]
