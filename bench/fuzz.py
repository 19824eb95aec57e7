"""Fuzz everything that comes in: OSC datagrams, presets, model folders, audio files.

    pip install atheris onnx          # here only, never in the package
    python bench/fuzz.py [osc preset model audio …] [--seconds 600] [--folder DIR]

Each target runs in a child process under libFuzzer (atheris). What is refused must be refused with
its own error (BadPacket, PresetError, ModelError, ClipError) within 10 s and 3 GB; anything else, a
death of the process included, is kept in the folder and counted, and the exit code is 1. For graphs
a death does not count if `run_in_sandbox`, which meets them before the program does, refuses that very file.
"""

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fuzz_targets import TARGETS, WINDOW

LIMIT_S, LIMIT_MB = 10, 3000
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="default: all")
    words.add_argument("--seconds", type=int, default=600, help="for each target (default: %(default)s)")
    words.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="corpus and findings (%(default)s)")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    a = words.parse_args()
    if a.child:
        return child(a.targets[0], a.folder, a.seconds, a.seed)
    if importlib.util.find_spec("atheris") is None:
        words.error("atheris is missing: pip install atheris onnx")
    found = 0
    for name in a.targets or TARGETS:
        found += fuzz(name, a.folder / name, a.seconds, a.seed)
    return int(found > 0)


def fuzz(name: str, folder: Path, seconds: int, seed: int) -> int:
    """Run one target until its time is over, again after each finding; returns how many there were."""
    corpus, kept = folder / "corpus", folder / "findings"
    for place in (corpus, kept):
        place.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(TARGETS[name][1]()):
        (corpus / f"seed-{i:03}").write_bytes(data)
    end, runs, before = time.monotonic() + seconds, 0, _artefacts(kept)
    while (left := int(end - time.monotonic())) > 0:
        command = [sys.executable, __file__, name, "--child", "--folder", str(folder), "--seconds", str(left)]
        known = _artefacts(kept)
        with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:  # libFuzzer leaves without a word to Python
            done = subprocess.run(
                [*command, "--seed", str(seed)],
                capture_output=True,
                text=True,
                errors="replace",
                env={**os.environ, "TMPDIR": scratch},
            )
        lines = [line for line in done.stderr.splitlines() if line.startswith("stat::number_of_executed_units")]
        runs += int(lines[-1].split()[-1]) if lines else 0
        if done.returncode == 0:
            break
        (kept / f"log-{seed}.txt").write_text(done.stdout[-20000:] + done.stderr[-20000:])
        if _artefacts(kept) == known:
            said = f"{name}: stopped early with code {done.returncode}, see {kept / f'log-{seed}.txt'}"
            print(said, file=sys.stderr)
            return 1
        seed += 1
    found = sorted(_artefacts(kept) - before)
    guarded = [p for p in found if name == "graph" and refused_by_trial(p.read_bytes())]
    print(f"{name}: {runs} inputs in {seconds} s, {len(found)} findings, {len(guarded)} of them refused by the trial")
    for path in found:
        print(f"  {path}")
    return len(found) - len(guarded)


def _artefacts(kept: Path) -> set[Path]:
    return {p for p in kept.iterdir() if not p.name.startswith("log-")}


def refused_by_trial(data: bytes) -> bool:
    from afx_live.matching import ModelError
    from afx_live.matching.format import CONTROLLER, GRAPHS
    from afx_live.matching.onnx_sandbox import run_in_sandbox
    from afx_live.presets import SHIPPED_MODEL

    controller = (SHIPPED_MODEL / CONTROLLER.file).read_bytes()
    try:
        run_in_sandbox(Path("fuzzed"), GRAPHS, [data, controller], WINDOW)
    except ModelError:
        return True
    return False


def child(name: str, folder: Path, seconds: int, seed: int) -> int:
    """Be the process that may die."""
    atheris: Any = importlib.import_module("atheris")
    make, seeds, mutate, length = TARGETS[name]
    with atheris.instrument_imports(
        include=[f"afx_live.{room}" for room in ("realtime", "presets", "matching", "files")]
    ):
        target = make()
    target(seeds()[0])  # compiles what is compiled; that takes longer than an input may
    options = {
        "max_total_time": seconds,
        "seed": seed,
        "max_len": length,
        "timeout": LIMIT_S,
        "rss_limit_mb": LIMIT_MB,
        "artifact_prefix": f"{folder / 'findings'}/",
        "print_final_stats": 1,
        "reload": 0,
    }
    extra: dict[str, Any] = {}
    if mutate:
        extra["custom_mutator"] = lambda data, most, s: mutate(data, most, random.Random(s), atheris.Mutate)
    atheris.Setup([name, *(f"-{k}={v}" for k, v in options.items()), str(folder / "corpus")], target, **extra)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
