"""Benchmark 5: how soon help is there, and how soon the first block is played.

    pip install '.[dev]'                         # Debian: jackd2 libportaudio2 gcc
    python bench/startup.py > bench/STARTUP.md

`afx-live` as a user starts it, on a JACK server without a sound card. The first processed block is seen from outside:
another process maps the memory that the stream shares, and looks for its first callback. Twice: with the library that
the package carries, and with numba, which compiles at the first start. About two minutes; on a busy machine the minimum
is what counts.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import machine, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from afx_live import presets
from afx_live.dsp import library
from afx_live.realtime.audio.shared_memory import METERS
from support.jack import Jack  # pyright: ignore[reportMissingImports]

HELPS, STARTS = 15, 5
BAR_HELP_S, BAR_START_S = 0.3, 3.0
PATIENCE_S = 600
LIBRARY = "AFX_LIVE_LIBRARY"
TEXT = """\
# Start-up

    python bench/startup.py > bench/STARTUP.md

Seconds, whole processes: least, median, slowest. The kinds of start take turns.

{table}

{verdict}

*First block*: from exec until the callback has played its first block through the chain; by then the reference has been
heard and the model is loaded. *Never started*: the same with empty folders of the user's. *numba*: as without a C
compiler at the time of installation (`AFX_LIVE_LIBRARY=off`). Its first start says:

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
                if live.poll() is not None or time.perf_counter() - begin > PATIENCE_S:
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
    return [name, *(f"{v:.2f}" for v in (min(values), float(np.median(values)), max(values))), str(len(values))]


def fresh(env: dict[str, str]) -> dict[str, str]:
    """Give the environment of somebody who never ran it."""
    home = tempfile.mkdtemp(prefix="afx-live-bench-")
    return {**env, **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"), home)}


def main() -> None:
    if library.opened() is None:
        sys.exit("no library for these sources: install a C compiler, then python -m afx_live.native.build native")
    words = ["--reference", str(presets.clip("guitar_reference")), "--osc", "off"]
    jack = Jack()
    jack.start()
    try:
        ours = fresh({**os.environ, **jack.env})
        numba = fresh({**ours, LIBRARY: "off"})
        helps = [help_s(ours) for _ in range(HELPS + 1)][1:]
        numba_cold, said = start_s(numba, words)
        message = next((x for x in said.splitlines() if "compiling" in x), "(nothing: a bug)")
        message = message.replace(numba["XDG_CACHE_HOME"], "~/.cache")
        cold, warm, fixed, numba_warm = [], [], [], []
        for _ in range(STARTS):
            cold.append(start_s(fresh(ours), words)[0])
            warm.append(start_s(ours, words)[0])
            fixed.append(start_s(ours, ["--preset", "podcast", "--osc", "off"])[0])
            numba_warm.append(start_s(numba, words)[0])
    finally:
        jack.stop()
    rows = [
        row("`afx-live --help`", helps),
        row("`afx-live --reference`, never started", cold),
        row("`afx-live --reference`", warm),
        row("`afx-live --preset`", fixed),
        row("numba: `afx-live --reference`, never started", [numba_cold]),
        row("numba: `afx-live --reference`", numba_warm),
    ]
    bars = (("help", helps, BAR_HELP_S), ("the very first block", cold, BAR_START_S))
    late = [name for name, values, bar in bars if float(np.median(values)) >= bar]
    verdict = f"Bars, help under {BAR_HELP_S:g} s and the very first block under {BAR_START_S:g} s, as medians: "
    verdict += "met." if not late else f"missed ({', '.join(late)})."
    about = machine("numba", "numpy", "onnxruntime-gpu", "sounddevice")
    head = ["first block after a start", "least", "median", "slowest", "runs"]
    print(TEXT.format(table=table(head, rows), verdict=verdict, message=message, machine=about), end="")


if __name__ == "__main__":
    main()
