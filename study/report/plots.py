"""Plots as inline SVG: dots with intervals, and lines. Colours come from the page's style sheet, for light and dark."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

WIDTH, LEFT, RIGHT = 720, 170, 20
SERIES = 8
"""Colours in the style sheet: .s0 to .s7."""

Dot = tuple[str, float, float, float]
"""A name, a mean, and its interval."""


def dots(groups: Mapping[str, Sequence[Dot]], unit: str, zero: float = 0.0) -> str:
    """Draw means with intervals, one line each, in groups; a dot whose interval contains `zero` is hollow."""
    values = [v for group in groups.values() for _, *three in group for v in three if np.isfinite(v)]
    if not values:
        return ""
    ticks = _ticks(min(*values, zero), max(*values, zero))
    x = _scale(ticks[0], ticks[-1], LEFT, WIDTH - RIGHT)
    parts, y = [], 8
    for name, group in groups.items():
        y += 22
        parts.append(f'<text class="strong" x="4" y="{y}">{escape(name)}</text>')
        for label, mean, low, high in group:
            y += 19
            significant = low > zero or high < zero
            parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
            if np.isfinite(low):
                parts.append(f'<path class="bar" d="M{x(low):.1f} {y}H{x(high):.1f}"/>')
            kind = "dot" if significant else "dot hollow"
            parts.append(f'<circle class="{kind}" cx="{x(mean):.1f}" cy="{y}" r="4"/>')
    grid = [f'<path class="grid" d="M{x(t):.1f} 8V{y + 12}"/>' for t in ticks]
    grid += [f'<text x="{x(t):.1f}" y="{y + 28}" text-anchor="middle">{t:g}</text>' for t in ticks]
    grid.append(f'<path class="zero" d="M{x(zero):.1f} 8V{y + 12}"/>')
    grid.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{y + 46}" text-anchor="middle">{escape(unit)}</text>')
    return _svg(y + 54, [*grid, *parts], unit)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_unit: str,
    y_unit: str,
    height: int = 320,
    log_x: bool = False,
) -> str:
    """Draw a line of points for each name."""
    series = {n: [(a, b) for a, b in p if np.isfinite(a) and np.isfinite(b)] for n, p in series.items()}
    series = {n: p for n, p in series.items() if p}
    if not series:
        return ""
    seen = np.array([p for points in series.values() for p in points])
    xs, ys = seen.T
    if log_x:
        low, high = np.log10(xs.min()), np.log10(xs.max())
        x_ticks = [10.0**k for k in range(int(np.floor(low)), int(np.ceil(high)) + 1)]
        along = _scale(np.log10(x_ticks[0]), np.log10(x_ticks[-1]), 60, WIDTH - RIGHT)
    else:
        x_ticks = _ticks(min(0.0, xs.min()), xs.max())
        along = _scale(x_ticks[0], x_ticks[-1], 60, WIDTH - RIGHT)
    y_ticks = _ticks(ys.min(), ys.max())
    up = _scale(y_ticks[0], y_ticks[-1], height - 46, 14)

    def at(value: float) -> float:
        return along(np.log10(value) if log_x else value)

    parts = [f'<path class="grid" d="M{at(t):.1f} 14V{height - 46}"/>' for t in x_ticks]
    parts += [f'<path class="grid" d="M60 {up(t):.1f}H{WIDTH - RIGHT}"/>' for t in y_ticks]
    parts += [f'<text x="{at(t):.1f}" y="{height - 28}" text-anchor="middle">{t:g}</text>' for t in x_ticks]
    parts += [f'<text x="52" y="{up(t) + 4:.1f}" text-anchor="end">{t:g}</text>' for t in y_ticks]
    parts.append(f'<text x="{WIDTH / 2}" y="{height - 8}" text-anchor="middle">{escape(x_unit)}</text>')
    for i, points in enumerate(series.values()):
        way = " ".join(f"{at(a):.1f},{up(b):.1f}" for a, b in points)
        parts.append(f'<polyline class="line s{i % SERIES}" points="{way}"/>')
        parts += [f'<circle class="mark s{i % SERIES}" cx="{at(a):.1f}" cy="{up(b):.1f}" r="2.5"/>' for a, b in points]
    names = "".join(f'<span class="s{i % SERIES}">{escape(name)}</span>' for i, name in enumerate(series))
    return f'{_svg(height, parts, y_unit)}<p class="legend">{escape(y_unit)}: {names}</p>'


def _svg(height: float, parts: Sequence[str], label: str) -> str:
    drawn = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">\n{drawn}\n</svg>'


def _scale(low: float, high: float, begin: float, end: float):
    return lambda value: begin + (value - low) / ((high - low) or 1.0) * (end - begin)


def _ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Return round numbers that span low to high."""
    span = (high - low) or abs(high) or 1.0
    raw = span / about
    step = next(s for m in (1, 2, 2.5, 5, 10) if (s := m * 10.0 ** np.floor(np.log10(raw))) >= raw * 0.999)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [float(round(k * step, 10)) for k in np.arange(first, max(last, first + 1) + 1)]
