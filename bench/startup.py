"""Benchmark 5: how soon help is there, and how soon the first block is played.

    pip install '.[dev]'                         # Debian: jackd2 libportaudio2
    python bench/startup.py > bench/STARTUP.md

`afx-live` as a user starts it, on a JACK server without a sound card. The first processed block is seen from outside:
another process maps the memory that the stream shares, and looks for its first callback. About a minute, and
half of it is the first start, which compiles.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import machine, median_of, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from afx_live import presets
from afx_live.realtime.audio.shared_memory import METERS
from support.jack import Jack  # pyright: ignore[reportMissingImports]

HELPS, STARTS = 15, 5
BAR_HELP_S, BAR_START_S = 0.3, 3.0
TEXT = """\
# Start-up

    python bench/startup.py > bench/STARTUP.md

Seconds, whole processes: median, 95 % interval, slowest.

{table}

{verdict}

*First block*: from exec until the callback has played its first block through the chain; by then the reference has been
heard and the model is loaded. *Never started*: the same with an empty cache. It says so:

    {message}

{machine}
"""
AFX = [sys.executable, "-m", "afx_live.realtime.cli.main"]


def help_s(env: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([*AFX, "--help"], env=env, check=True, capture_output=True)
    return time.perf_counter() - begin


def blocks(process: int) -> int:
    """Count the blocks that a live afx-live has played, by the memory that it shares with its stream."""
    lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    shared = {line.split(maxsplit=5)[5] for line in lines if "/afx-live-" in line and line.endswith("/shared")}
    rows = [np.fromfile(path, METERS, 1) for path in shared if Path(path).exists()]
    return sum(int(row["callbacks"][0]) for row in rows if len(row))


def start_s(env: dict[str, str], words: list[str]) -> tuple[float, str]:
    """Start live, wait for the first block, stop; seconds, and what it said."""
    with tempfile.TemporaryFile("w+") as said:
        begin = time.perf_counter()
        live = subprocess.Popen([*AFX, *words], env=env, stderr=said, stdout=subprocess.DEVNULL)
        try:
            while blocks(live.pid) == 0:
                if live.poll() is not None or time.perf_counter() - begin > 120:
                    said.seek(0)
                    sys.exit(f"afx-live did not play:\n{said.read()}")
                time.sleep(0.005)
            took = time.perf_counter() - begin
        finally:
            live.terminate()
            live.wait()
        said.seek(0)
        return took, said.read()


def row(name: str, values: list[float]) -> list[str]:
    middle, low, high = median_of(np.array(values))
    spread = f"{low:.2f} to {high:.2f}" if len(values) > 1 else ""
    return [name, f"{middle:.2f}", spread, f"{max(values):.2f}", str(len(values))]


def main() -> None:
    reference = str(presets.clip("guitar_reference"))
    jack = Jack()
    jack.start()
    try:
        with tempfile.TemporaryDirectory() as home:
            env = {
                **os.environ,
                **jack.env,
                "XDG_CACHE_HOME": home,
                "XDG_CONFIG_HOME": home,
                "XDG_DATA_HOME": home,
                "XDG_STATE_HOME": home,
            }
            helps = [help_s(env) for _ in range(HELPS + 1)][1:]
            words = ["--reference", reference, "--osc", "off"]
            cold, said = start_s(env, words)
            message = next((x for x in said.splitlines() if "compiling" in x), "(nothing: a bug)")
            start_s(env, words)
            warm = [start_s(env, words)[0] for _ in range(STARTS)]
            fixed = [start_s(env, ["--preset", "podcast", "--osc", "off"])[0] for _ in range(STARTS)]
    finally:
        jack.stop()
    rows = [
        row("`afx-live --help`", helps),
        row("`afx-live --reference`, first block", warm),
        row("`afx-live --preset`, first block", fixed),
        row("`afx-live --reference`, never started", [cold]),
    ]
    late = [
        name
        for name, values, bar in (("help", helps, BAR_HELP_S), ("first block", warm, BAR_START_S))
        if float(np.median(values)) >= bar
    ]
    verdict = f"Bars, help under {BAR_HELP_S:g} s and a warm first block under {BAR_START_S:g} s: "
    verdict += "met." if not late else f"missed ({', '.join(late)})."
    head = ["", "median", "95 % interval", "slowest", "runs"]
    words = machine("numba", "numpy", "onnxruntime-gpu", "sounddevice")
    print(TEXT.format(table=table(head, rows), verdict=verdict, message=message, machine=words), end="")


if __name__ == "__main__":
    main()
