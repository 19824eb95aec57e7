"""Benchmark 4: how fast a file is rendered, whole processes, against pedalboard and SoX.

    pip install . -r bench/requirements.txt      # Debian: sox
    python bench/render_speed.py > bench/RENDER_SPEED.md

A stereo file of 300 s at 48 kHz and 24 bits, written and read once before. Every process starts, imports, reads,
plays, writes and ends; in turns. About two minutes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import soundfile
from common import BANDS, RATE, machine, median_of, programme, ratio, settings, table, take_turns, tool

from afx_live import presets

SECONDS, ROUNDS, DUELS = 300, 4, 13
BOARD = """\
import sys
sys.path.insert(0, sys.argv[3])
from common import pedalboard_chain
from pedalboard.io import AudioFile
chain = pedalboard_chain()
with AudioFile(sys.argv[1]) as source:
    with AudioFile(sys.argv[2], "w", source.samplerate, source.num_channels, bit_depth=24) as target:
        while source.tell() < source.frames:
            target.write(chain(source.read(32768), source.samplerate, reset=False))
"""
TEXT = """\
# Speed of rendering

    python bench/render_speed.py > bench/RENDER_SPEED.md

{seconds} s of stereo at 48 kHz, 24 bits in and out, whole processes, median of {rounds} rounds in
turns, warm caches; least in brackets. Ratios are medians over rounds with their 95 % intervals: under 1, ours is
faster.

{table}

Against pedalboard alone, {duels} rounds of both in turns: ours takes {duel} of its time.

{verdict}

- `afx-live render --preset`: the chain of block_cost.py with all four effects, through the live engine. It listens to
  the file and solves the level, so that the result has the loudness asked for; the
  others play it as loud as it comes.
- by numba: the same code, as without a C compiler at the time of installation; the others play the library that the
  package carries.
- `afx-live render --reference`: the same with the shipped model, which hears the reference and predicts the chain.
- pedalboard: a script of ten lines, blocks of 32768 frames; the chain of block_cost.py.
- SoX: bass, four equalizers, treble, compand, overdrive, reverb, limiting compand.

{machine} {sox}.
"""


def sox(source: Path, target: Path) -> list[str]:
    """Give SoX' command for a chain of the same kind."""
    words = ["sox", "-V1", str(source), "-b", "24", str(target), "gain", "-6"]
    for name, hz, gain_db, q in BANDS:
        kind = {"low_shelf": "bass", "high_shelf": "treble"}.get(name)
        words += [kind, f"{gain_db}", f"{hz}", f"{q}q"] if kind else ["equalizer", f"{hz}", f"{q}q", f"{gain_db}"]
    words += "compand 0.008,0.12 5:-70,-70,-24,-24,0,-18 3 overdrive 15 20 reverb 50 60 80 100 18 0".split()
    return [*words, *"compand 0.0005,0.1 -90,-90,-2,-2,0,-1".split()]


def whole(command: list[str]) -> Callable[[], None]:
    def go() -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")

    return go


def main() -> None:
    if shutil.which("sox") is None:
        sys.exit("sox is missing; Debian: apt-get install sox")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, preset, script = folder / "in.wav", folder / "chain.json", folder / "board.py"
        soundfile.write(source, programme(SECONDS), RATE, "PCM_24")
        presets.save(presets.Preset("chain", settings(), 1.0, -20.0), preset)
        script.write_text(BOARD)
        render = [sys.executable, "-m", "afx_live.realtime.cli.main", "render", str(source), "--force", "--json", "-o"]
        reference = str(presets.clip("guitar_reference"))
        commands = {
            "ours": [*render, str(folder / "a.wav"), "--preset", str(preset)],
            "numba": ["env", "AFX_LIVE_LIBRARY=off", *render, str(folder / "n.wav"), "--preset", str(preset)],
            "reference": [*render, str(folder / "b.wav"), "--reference", reference],
            "pedalboard": [sys.executable, str(script), str(source), str(folder / "c.wav"), str(Path(__file__).parent)],
            "SoX": sox(source, folder / "d.wav"),
        }
        contenders = {k: whole(command) for k, command in commands.items()}
        told = json.loads(tool(*commands["ours"]))[0]  # and compiles, if this is the first time
        for go in contenders.values():
            go()
        took = take_turns(contenders, ROUNDS)
        duel = take_turns({k: contenders[k] for k in ("ours", "pedalboard")}, DUELS)
    names = {
        "numba": "afx-live render --preset, by numba",
        "ours": "afx-live render --preset",
        "reference": "afx-live render --reference",
    }
    rows = [
        [
            names.get(k, k),
            f"{median_of(v)[0]:.2f} ({v.min():.2f})",
            f"{SECONDS / median_of(v)[0]:.0f}",
            "" if k == "ours" else ratio(took["ours"], v),
        ]
        for k, v in took.items()
    ]
    behind = [k for k in ("pedalboard", "SoX") if median_of(took["ours"] / took[k])[0] >= 1]
    verdict = "Bar, ahead of both: " + ("met" if not behind else f"missed, behind {' and '.join(behind)}")
    unsure = median_of(duel["ours"] / duel["pedalboard"])[2] >= 1
    verdict += ", by the median; the interval reaches beyond 1." if unsure and not behind else "."
    if hasattr(os, "SCHED_RR") and os.sched_getscheduler(0) == os.SCHED_RR:
        verdict += " All with real-time priority, as others worked on the machine."
    verdict += f" The preset asks for {told['target_lufs']:.1f} LUFS, the result has {told['lufs_after']:.1f}."
    print(
        TEXT.format(
            seconds=SECONDS,
            rounds=ROUNDS,
            duels=DUELS,
            duel=ratio(duel["ours"], duel["pedalboard"]),
            verdict=verdict,
            machine=machine("numba", "pedalboard", "soundfile"),
            sox=tool("sox", "--version").split("SoX")[-1].strip().join(("SoX ", "")),
            table=table(["", "seconds", "× real time", "ours takes, of theirs"], rows),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
