"""Speed of training by sound: pairs a second and core, against another commit in turns.

    git worktree add ../before 9c9bcd2
    python bench/training_speed.py TAKES --before ../before > bench/TRAINING_SPEED.md

TAKES is a folder of rendered takes, as afx-train keeps them in its cache. About three minutes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import machine, median_of, ratio, table

HERE = Path(__file__).resolve().parents[1]
PAIRS, BATCHES, ROUNDS = 16, 2, 7
TEXT = """\
# Training by sound

    python bench/training_speed.py TAKES --before CHECKOUT > bench/TRAINING_SPEED.md

A step of training by sound, forward and backward: {pairs} pairs of 65536 frames, the network's settings played through
equaliser, compressor, distortion and reverb, and compared at three window sizes after loudness is matched. One thread;
processor time, so that what else runs counts little. {batches} batches a round, the same for both, {rounds} rounds in
turns; the median, and its 95 % interval for the ratio. The network is in it, reading of pairs is not.

{speed}

What changed: the real Fourier transforms go back through real ones (autograd takes complex ones of all bins), squared
magnitudes are no sums over an axis of two, windows and weights are made once, the compressor plays four sounds at once
where a batch has them, and the effects' outputs lie on large pages. The loss of the first batch differs by {apart:.0e}
of itself between the two.

{machine}
"""


def worker(takes: Path) -> None:
    """Take a round of steps for every line that comes in; answer with seconds a step and the first batch's loss."""
    import numba
    import torch

    from afx_live.training.shards import Pairs, load
    from afx_live.training.sound_loss import by_sound
    from afx_live.training.system import SettingsSystem

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    torch.manual_seed(0)
    system = SettingsSystem()
    shards = load(takes, system.chain)
    pairs, rng = Pairs(shards, 1, 1.0, 0.0), np.random.default_rng(0)
    batches = [pairs.batch(rng.choice(len(shards), PAIRS, replace=False), True) for _ in range(BATCHES)]
    system.predictor.encoder.normalise_by(torch.from_numpy(shards.clips))

    def steps() -> list[float]:
        torch.manual_seed(5)
        errors = []
        for batch in batches:
            answer = system.predictor(batch.input, batch.reference, batch.allowed, batch.heard)
            loss, figures = by_sound(answer, system.chain, system.values, batch, 1.0)
            system.zero_grad()
            loss.backward()
            errors.append(float(figures["error"]))
        return errors

    steps()  # compilers and caches
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.process_time()
        error = steps()[0]
        print((time.process_time() - begin) / BATCHES, error, flush=True)


def started(checkout: Path, takes: Path, folder: Path) -> "subprocess.Popen[str]":
    """Start a worker on a checkout's rooms."""
    rooms = folder / checkout.name / "afx_live"
    rooms.mkdir(parents=True)
    for room in checkout.glob("*/__init__.py"):
        (rooms / room.parent.name).symlink_to(room.parent)
    paths = os.pathsep.join((str(rooms.parent), str(HERE / "bench")))
    command = [sys.executable, __file__, str(takes), "--worker"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, "PYTHONPATH": paths}, cwd=checkout
    )
    asked(process, None)
    return process


def asked(process: "subprocess.Popen[str]", line: str | None) -> list[str]:
    """Send a line, if any, and wait for the answer. Stops the benchmark if there is none."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line is not None:
        process.stdin.write(line)
        process.stdin.flush()
    answer = process.stdout.readline().split()
    if not answer:
        sys.exit("a worker ended; see above")
    return answer


def main() -> None:
    p = argparse.ArgumentParser(description="Measure training by sound against another commit.")
    p.add_argument("takes", type=Path, help="folder of rendered takes")
    p.add_argument("--before", type=Path, help="checkout of the other commit")
    p.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker:
        worker(a.takes)
        return
    if a.before is None:
        p.error("--before is needed: the checkout that this one is compared with")
    takes, before = a.takes.resolve(), a.before.resolve()
    took: dict[str, list[float]] = {"before": [], "now": []}
    errors: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        workers = {name: started(c, takes, Path(folder)) for name, c in (("before", before), ("now", HERE))}
        for i in range(ROUNDS):
            for name in list(workers)[:: 1 if i % 2 else -1]:
                seconds, error = map(float, asked(workers[name], "go\n"))
                took[name].append(seconds)
                errors[name] = error
        for process in workers.values():
            process.communicate()
    times = {name: np.array(values) for name, values in took.items()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=before, capture_output=True, text=True)
    names = {"before": f"before ({commit.stdout.strip()})", "now": "now"}
    rows = [
        [names[name], f"{1e3 * median_of(t)[0]:.0f}", f"{PAIRS / median_of(t)[0]:.1f}"] for name, t in times.items()
    ]
    rows.append(["times as fast", "", ratio(times["before"], times["now"])])
    print(
        TEXT.format(
            pairs=PAIRS,
            batches=BATCHES,
            rounds=ROUNDS,
            speed=table(["", "ms a step", "pairs a second and core"], rows),
            apart=abs(errors["now"] / errors["before"] - 1.0),
            machine=machine("torch", "numba"),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
