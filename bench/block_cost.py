"""Benchmark 1: what a block costs, against pedalboard's chain of the same kind and scipy's sosfilt.

    pip install . -r bench/requirements.txt
    python bench/block_cost.py > bench/BLOCK_COST.md

All play the same programme, block after block, and keep their state. Rounds of a few milliseconds go
round and round, so that a busy moment meets them all. About a minute.
"""

import ctypes
from collections.abc import Callable
from itertools import count

import numpy as np
from common import BANDS, RATE, machine, median_of, pedalboard_chain, programme, ratio, settings, table, take_turns
from scipy.signal import sosfilt

from afx_live.chain import ChainSettings
from afx_live.effects import load
from afx_live.realtime.audio.callback import callback
from afx_live.realtime.audio.engine import memory
from afx_live.realtime.audio.shared_memory import Shared

SIZES = (16, 32, 64, 128, 256, 512)
FRAMES, ROUNDS = 8192, 300  # frames that each plays in a round, and rounds for each size
Play = Callable[[int], object]
TEXT = """\
# Cost of a block

    python bench/block_cost.py > bench/BLOCK_COST.md

The full stereo chain at 48 kHz, microseconds a block: median of {rounds} rounds, each {frames} frames long, taken in
turns. Ratios are medians over rounds, with their 95 % intervals; under 1, ours is cheaper.

{table}

{verdict}

- **afx-live** is the very C function that the audio device calls, called from Python: input gain, six-band
  equaliser, compressor, four times oversampled distortion, eight-line reverb, output gain, NaN guard, look-ahead
  limiter, peak, RMS and loudness (BS.1770) meters in and out, all in float64 inside.
- **pedalboard**: low shelf, four peaks, high shelf, Compressor, Distortion (not oversampled), Reverb, Limiter;
  `process(block, 48000, reset=False)` with blocks of (2, frames), as it likes them. No meters.
- **equaliser alone**: ours as one effect with both gains, through the same function; scipy's `sosfilt` with `zi`
  runs the same six filters in float64.
- In a live stream pedalboard is called through Python, which costs more than here: see LATE.md.

{machine}
"""


def device(chosen: ChainSettings, size: int, sound: np.ndarray) -> Play:
    """Give a call of our callback on the i-th block, as PortAudio calls it."""
    shared = Shared.create(None, RATE)
    shared.play(chosen)
    ours = callback(memory(shared, RATE, fade_in=False), RATE, 2, 2)
    pointer, number = ctypes.c_void_p, ctypes.c_ulong
    function = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, number, pointer, number, pointer)(ours.address)
    out = np.zeros((size, 2), np.float32)
    begin, end, user, stride = sound.ctypes.data, out.ctypes.data, ours.user, 8 * size

    def play(i: int, keep: object = (ours, shared, sound, out)) -> None:
        function(begin + stride * i, end, size, None, 0, user)

    return play


def board(size: int, sound: np.ndarray) -> Play:
    """Give a call of pedalboard on the i-th block."""
    chain = pedalboard_chain()
    blocks = [np.ascontiguousarray(sound[k : k + size].T) for k in range(0, len(sound), size)]
    return lambda i: chain.process(blocks[i], RATE, reset=False)


def filters(size: int, sound: np.ndarray) -> Play:
    """Give a call of sosfilt on the i-th block."""
    effect = load("equaliser")
    rows = np.array(effect.design(float(RATE), *(v for band in BANDS for v in band[1:]))).reshape(6, 5)
    sos, state = np.insert(rows, 3, 1.0, axis=1), np.zeros((6, 2, 2))
    blocks = [np.ascontiguousarray(sound[k : k + size].T, np.float64) for k in range(0, len(sound), size)]

    def play(i: int) -> None:
        state[:] = sosfilt(sos, blocks[i], axis=1, zi=state)[1]

    return play


def in_rounds(play: Play, calls: int, blocks: int) -> Callable[[], None]:
    """Give a round: so many calls, going on through the programme and over again."""
    turn = count()

    def go() -> None:
        first = next(turn) * calls % (blocks - calls + 1)
        for i in range(first, first + calls):
            play(i)

    go()
    return go


def main() -> None:
    sound = programme(4.0)
    sound = np.ascontiguousarray(sound[: len(sound) // 512 * 512])
    whole = settings()
    only = ChainSettings((whole.effect("equaliser"),), input_gain_db=3.0, output_gain_db=-4.0)
    rows, over, under = [], [], []
    for size in SIZES:
        plays = {
            "ours": device(whole, size, sound),
            "board": board(size, sound),
            "eq": device(only, size, sound),
            "sos": filters(size, sound),
        }
        calls = FRAMES // size
        took = take_turns({k: in_rounds(p, calls, len(sound) // size) for k, p in plays.items()}, ROUNDS)
        cost = {k: 1e6 * median_of(v)[0] / calls for k, v in took.items()}
        middle = median_of(took["ours"] / took["board"])[0]
        over += [size] if middle > 1 else []
        under += [size] if middle <= 0.5 else []
        rows.append(
            [
                size,
                f"{cost['ours']:.1f}",
                f"{cost['board']:.1f}",
                ratio(took["ours"], took["board"]),
                f"{cost['eq']:.1f}",
                f"{cost['sos']:.1f}",
                ratio(took["eq"], took["sos"]),
                f"{cost['ours'] * RATE / size / 1e4:.2f} %",
            ]
        )
    head = ["frames", "afx-live", "pedalboard", "ratio", "equaliser alone", "sosfilt", "ratio", "ours, of real time"]
    verdict = "Bar, at most pedalboard's cost at every size: " + ("met." if not over else f"missed at {over} frames.")
    verdict += f" Aim, half of it: reached at {', '.join(map(str, under)) or 'no'} frames."
    words = machine("numba", "numpy", "scipy", "pedalboard")
    print(TEXT.format(rounds=ROUNDS, frames=FRAMES, table=table(head, rows), verdict=verdict, machine=words), end="")


if __name__ == "__main__":
    main()
