"""What the benchmark programs share: a sound, chains of the same kind, fair timing, Markdown."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

RATE = 48000
BANDS = (
    ("low_shelf", 100.0, 4.0, 0.7),
    ("peak_1", 220.0, -3.0, 1.0),
    ("peak_2", 700.0, 2.5, 0.9),
    ("peak_3", 2400.0, -4.0, 1.4),
    ("peak_4", 6000.0, 3.0, 1.1),
    ("high_shelf", 8000.0, -5.0, 0.7),
)
"""Name, Hz, dB, Q: the same six filters for everybody; no parameter of any effect is at its default."""
EFFECTS = {
    "equaliser": {f"{name}_{unit}": v for name, *vs in BANDS for unit, v in zip(("hz", "db", "q"), vs, strict=True)},
    "compressor": {
        "threshold_db": -24.0,
        "ratio": 4.0,
        "attack_ms": 8.0,
        "release_ms": 120.0,
        "knee_db": 5.0,
        "makeup_db": 3.0,
    },
    "distortion": {"drive_db": 15.0, "bias": 0.1, "tone_hz": 9000.0, "mix": 0.7},
    "reverb": {"rt60_s": 1.6, "hf_ratio": 0.4, "predelay_ms": 18.0, "low_cut_hz": 120.0, "width": 0.8, "mix": 0.3},
}
"""Ours. pedalboard's and SoX' distortion, reverb and limiter are of the same kind, not of the same sound."""


def programme(seconds: float, seed: int = 0) -> np.ndarray:
    """Make stereo noise whose level moves as music's does, float32 (frames, 2): phrases, swells, rests."""
    rng, t = np.random.default_rng(seed), np.arange(int(seconds * RATE)) / RATE
    level = 0.15 * (0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 1.3 * t))) ** 2 * (0.55 + 0.45 * np.sin(2 * np.pi * t / 37))
    return (rng.standard_normal((len(t), 2), np.float32) * level[:, None].astype(np.float32)).clip(-1, 1)


def take_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Time each once a round, in seconds, in an order that turns round, so that a busy moment meets them all."""
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds):
        for name in list(contenders)[:: 1 if i % 2 else -1]:
            begin = time.perf_counter()
            contenders[name]()
            took[name].append(time.perf_counter() - begin)
    return {name: np.array(values) for name, values in took.items()}


def median_of(values: np.ndarray) -> tuple[float, float, float]:
    """Give the median and its 95 % interval, by order statistics: no assumption on how times are spread."""
    ordered, n = np.sort(values), len(values)
    reach = 0.98 * np.sqrt(n)
    low, high = max(0, int(n / 2 - reach)), min(n - 1, int(n / 2 + reach))
    return float(np.median(ordered)), float(ordered[low]), float(ordered[high])


def ratio(ours: np.ndarray, theirs: np.ndarray, digits: int = 2) -> str:
    """Say how many times as long ours takes as theirs: the median over rounds, and its interval."""
    return "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*median_of(ours / theirs), d=digits)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a Markdown table; all but the first column to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine(*packages: str) -> str:
    """Say what it ran on, and with which versions."""
    cpu = platform.processor() or "unknown processor"
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    words = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{cpu}, {os.cpu_count()} cores{load}. Python {platform.python_version()}, {words}."


def settings():
    """Give our chain."""
    from afx_live.chain import ChainSettings, EffectSettings

    return ChainSettings(tuple(EffectSettings(name, values) for name, values in EFFECTS.items()), 3.0, -4.0)


def pedalboard_chain():
    """Give pedalboard's chain."""
    import pedalboard as pb  # pyright: ignore[reportMissingImports]

    shapes = [pb.LowShelfFilter, *[pb.PeakFilter] * 4, pb.HighShelfFilter]
    filters = [shape(hz, gain_db, q) for shape, (_, hz, gain_db, q) in zip(shapes, BANDS, strict=True)]
    rest = [pb.Compressor(-24, 4, 8, 120), pb.Distortion(15), pb.Reverb(0.5, 0.6, 0.3, 0.7, 0.8), pb.Limiter(-1, 100)]
    return pb.Pedalboard([*filters, *rest])


def tool(*command: str) -> str:
    """Run a program to its end; its output. Stops the benchmark if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
