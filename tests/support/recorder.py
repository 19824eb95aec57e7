"""A JACK client that plays a sound into the engine and records what comes back.

Run as a program, `python recorder.py noise.npy heard.npy` is that client.
"""

import ctypes
import ctypes.util
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from afx_live.realtime.audio.engine import Engine

RATE = 48000


def _play_and_record(given, kept):
    """Play a file from the moment that stdin says so, and keep as many frames of what comes in."""
    from numba import carray, cfunc, types  # pyright: ignore[reportPrivateImportUsage]

    from afx_live.dsp.compiler import at_address

    row = np.dtype([("go", "i8"), ("at", "i8"), ("end", "i8"), ("source", "i8"), ("sink", "i8")])

    def run(indata, outdata, frames, when, flags, user):
        job = carray(at_address(user), (1,), row)[0]
        x = carray(at_address(indata), (frames, 2), np.float32)
        y = carray(at_address(outdata), (frames, 2), np.float32)
        source = carray(at_address(job.source), (job.end, 2), np.float32)
        sink = carray(at_address(job.sink), (job.end, 2), np.float32)
        for n in range(frames):
            playing = job.go == 1 and job.at < job.end
            for c in range(2):
                y[n, c] = source[job.at, c] if playing else 0.0
                if playing:
                    sink[job.at, c] = x[n, c]
            if playing:
                job.at += 1
        return 0

    long, pointer = types.uint64, types.int64
    compiled = cfunc(types.int32(pointer, pointer, long, pointer, long, pointer))(run)
    client = ctypes.CDLL(ctypes.util.find_library("portaudio"))
    client.PaJack_SetClientName(b"player")
    import sounddevice as sd

    source = np.ascontiguousarray(np.load(given), np.float32)
    sink, job = np.zeros_like(source), np.zeros(1, row)
    job["end"], job["source"], job["sink"] = len(source), source.ctypes.data, sink.ctypes.data
    cast = sd._ffi.cast
    stream = sd._StreamBase(
        "duplex",
        RATE,
        128,
        None,
        2,
        "float32",
        "low",
        callback=cast("void *", compiled.address or 0),
        userdata=cast("void *", job.ctypes.data),
    )
    stream.start()
    print("ready", flush=True)
    sys.stdin.readline()
    job["go"] = 1
    while job["at"][0] < len(source):
        time.sleep(0.05)
    np.save(kept, sink)
    print("done", flush=True)
    os._exit(0)


def through(jack, folder, sound):
    """Send a sound (frames, 2) through the engine that runs; returns as many frames of what it plays."""
    np.save(folder / "given.npy", sound)
    command = [sys.executable, __file__, str(folder / "given.npy"), str(folder / "kept.npy")]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **jack.env}
    ) as player:
        try:
            assert player.stdin
            assert player.stdout
            assert player.stdout.readline() == "ready\n"
            for c in range(2):
                jack.connect(f"player:out_{c}", f"afx-live:in_{c}")
                jack.connect(f"afx-live:out_{c}", f"player:in_{c}")
            time.sleep(0.2)
            player.stdin.write("go\n")
            player.stdin.flush()
            assert player.stdout.readline() == "done\n"
        finally:
            player.kill()
    return np.load(folder / "kept.npy")


def first(x):
    """The first frame that is not silence, nor what the input's high-pass still remembers of a sound before."""
    return int(np.argmax(np.abs(x).sum(axis=1) > 1e-12))


def offset_of(heard, expected):
    """Frames by which what is heard comes later, or None if it is not the same, sample for sample."""
    begin, there = first(heard), first(expected)
    delay, count = begin - there, len(heard) - begin
    return delay if 0 <= delay < 2048 and np.array_equal(heard[begin:], expected[there : there + count]) else None


def assert_same(jack, tmp_path, engine, settings, sound, channels=2):
    """What the stream makes of a sound is what `Engine` does, at one place of the stream's clock modulo 64.

    The server does not wait for a client that the machine's other work keeps waiting; a take in which
    it counted a drop-out proves nothing and is done again.
    """
    for _take in range(5):
        engine.play(settings, cross_over=True)  # a fresh chain: no tail of what was played before
        time.sleep(1.0)  # and an input whose high-pass remembers less than a bit of it
        before = engine.meters()
        heard = through(jack, tmp_path, sound)
        after = engine.meters()
        for k in range(64):
            pad = np.zeros((k, channels), np.float32)
            reference = Engine(settings, RATE, channels).process(np.concatenate([pad, sound[:, :channels]]))
            if offset_of(heard, reference[k:]) is not None:
                return
        if all(after[name] == before[name] for name in ("input_overflows", "output_underflows", "late")):
            break
    pytest.fail("the stream plays other samples than Engine")


if __name__ == "__main__":
    _play_and_record(*sys.argv[1:])
