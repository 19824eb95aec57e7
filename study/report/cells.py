"""Tables and their cells, and how numbers are written in them; `page` turns them into HTML and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..pairs.condition import Condition
from .results import METRIC, TITLES, Figure, Results

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
KNOW_THE_ANSWER = ("oracle", "ceiling")
"""These systems are never marked as best."""


@dataclass(frozen=True)
class Cell:
    """One value: its `text`, a `note` (interval, count), and whether it is the best, or uncertain."""

    text: str
    note: str = ""
    best: bool = False
    uncertain: bool = False


@dataclass(frozen=True)
class Table:
    """Title, explanation, headings, and rows of cells; the first column names the row."""

    title: str
    about: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def title(system: str) -> str:
    """Name a system for people."""
    base, _, effects = system.partition(":")
    return f"{TITLES.get(base, base)}{f' ({effects})' if effects else ''}"


def number(value: float) -> str:
    """Write a number with about three significant digits."""
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


def gains(
    results: Results, systems: Sequence[str], conditions: Sequence[Condition], metric: str = METRIC
) -> list[Cell]:
    """Write a line of improvements; the best significant one and those that are not significant are marked."""
    found = [results.gain(s, conditions, metric) for s in systems]
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    good = [
        sign * f.mean if f and f.significant and s not in KNOW_THE_ANSWER else np.inf
        for f, s in zip(found, systems, strict=True)
    ]
    best = int(np.argmin(good)) if good and min(good) < 0 else -1
    return [gain_cell(f, i == best) for i, f in enumerate(found)]


def gain_cell(figure: Figure | None, best: bool = False) -> Cell:
    """Write an improvement; it is marked if it is not significant."""
    if figure is None:
        return Cell("–")
    text, interval = change(figure)
    return Cell(text, interval, best, not figure.significant)


def mean_cell(figure: Figure | None, best: bool = False) -> Cell:
    """Write a mean and its interval."""
    if figure is None:
        return Cell("–")
    return Cell(number(figure.mean), f"[{number(figure.low)}, {number(figure.high)}]", best)


def means(
    results: Results, systems: Sequence[str], conditions: Sequence[Condition], metric: str = METRIC
) -> list[Cell]:
    """Write a line of means, the best one marked."""
    found = [results.mean(s, conditions, metric) for s in systems]
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    good = [sign * f.mean if f and s not in KNOW_THE_ANSWER else np.inf for f, s in zip(found, systems, strict=True)]
    best = int(np.argmin(good)) if good and np.isfinite(min(good)) else -1
    return [mean_cell(f, i == best) for i, f in enumerate(found)]
