"""`afx-live` in a process of its own, and a JACK client that plays into it.

Run as a program, `python programs.py clip.npy heard.bin` is that client: it plays a clip into afx-live for
ever and keeps the last seconds of what comes back.
"""

import ctypes
import ctypes.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from afx_live import presets
from afx_live.dsp.loudness import integrated_loudness
from support.jack import need

RATE = 48000
PROGRAM = [sys.executable, "-m", "afx_live.realtime.cli.main"]


KEPT = 16 * RATE


HEAD = np.dtype([("at", "i8"), ("size", "i8"), ("source", "i8"), ("sink", "i8")])


def _play_for_ever(given, kept):
    from numba import carray, cfunc, types  # pyright: ignore[reportPrivateImportUsage]

    from afx_live.dsp.compiler import at_address

    def run(indata, outdata, frames, when, flags, user):
        job = carray(at_address(user), (1,), HEAD)[0]
        x = carray(at_address(indata), (frames, 2), np.float32)
        y = carray(at_address(outdata), (frames, 2), np.float32)
        source = carray(at_address(job.source), (job.size,), np.float32)
        sink = carray(at_address(job.sink), (KEPT, 2), np.float32)
        for n in range(frames):
            for c in range(2):
                y[n, c] = source[job.at % job.size]
                sink[job.at % KEPT, c] = x[n, c]
            job.at += 1
        return 0

    long, pointer = types.uint64, types.int64
    compiled = cfunc(types.int32(pointer, pointer, long, pointer, long, pointer))(run)
    ctypes.CDLL(ctypes.util.find_library("portaudio")).PaJack_SetClientName(b"looper")
    import sounddevice as sd

    source, raw = np.load(given), np.memmap(kept, np.uint8, "r+")
    job, sink = raw[: HEAD.itemsize].view(HEAD), raw[HEAD.itemsize :].view(np.float32)
    job["at"], job["size"], job["source"], job["sink"] = 0, len(source), source.ctypes.data, sink.ctypes.data
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
    os._exit(0)


class Looper:
    """The client that plays; `heard` is what came back to it."""

    def __init__(self, jack, folder, clip):
        self._jack, self.clip = jack, clip.astype(np.float32)
        np.save(folder / "clip.npy", self.clip)
        (folder / "heard.bin").write_bytes(bytes(HEAD.itemsize + 8 * KEPT))
        self._raw = np.memmap(folder / "heard.bin", np.uint8, "r")
        words = [sys.executable, __file__, str(folder / "clip.npy"), str(folder / "heard.bin")]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **jack.env}
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def connect(self):
        for c in range(2):
            self._jack.connect(f"looper:out_{c}", f"afx-live:in_{c}")
            self._jack.connect(f"afx-live:out_{c}", f"looper:in_{c}")

    def heard(self, seconds):
        """Wait that long, and return what came back meanwhile: (frames, 2)."""
        job, sink = self._raw[: HEAD.itemsize].view(HEAD), self._raw[HEAD.itemsize :].view(np.float32).reshape(-1, 2)
        begin = int(job["at"][0])
        while (end := int(job["at"][0])) < begin + seconds * RATE:
            time.sleep(0.02)
        return sink[np.arange(begin, end) % KEPT].copy()

    def lufs(self, seconds=3.0):
        return integrated_loudness(self.heard(seconds), RATE)

    def likeness(self, seconds=2.0):
        """Find how much of what comes back is the clip, delayed and louder: 1 is all of it."""
        y = self.heard(seconds)[:, 0].astype(np.float64)
        x = np.resize(self.clip, len(y) + len(self.clip)).astype(np.float64)
        size = len(x) + len(y)
        cross = np.fft.irfft(np.fft.rfft(x, size) * np.conj(np.fft.rfft(y, size)))[: len(self.clip)]
        power = np.cumsum(np.concatenate([[0.0], x * x]))
        energy = (power[len(y) :] - power[: -len(y)])[: len(self.clip)]
        return np.max(np.abs(cross[: len(energy)]) / np.sqrt(energy * (y @ y) + 1e-12))


class Program:
    """`afx-live` in a process of its own, and what it says."""

    def __init__(self, jack, home, *words):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        env = {**os.environ, **jack.env, "AFX_LIVE_HOME": str(home)}
        words = [*PROGRAM, *words, "--osc", f"127.0.0.1:{self.port}"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, env=env, stdout=pipe, stderr=pipe, text=True)
        self.said = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self):
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line

    def until(self, text, seconds, after=0):
        """Wait until it says something; returns where in all it said."""
        end = time.monotonic() + seconds
        while text not in self.said[after:]:
            assert time.monotonic() < end, f"not said within {seconds} s: {text!r}\n{self.said}"
            assert self.process.poll() is None, self.said
            time.sleep(0.02)
        return self.said.index(text, after)

    def osc(self, *words):
        program = need("oscsend", "liblo-tools")
        subprocess.run([program, "127.0.0.1", str(self.port), *map(str, words)], check=True)

    def end(self, number=signal.SIGTERM):
        """Ask it to end; returns exit code and standard output."""
        self.process.send_signal(number)
        assert self.process.stdout
        out = self.process.stdout.read()
        code = self.process.wait(15)
        self._listener.join(5)
        return code, out


@contextmanager
def running(jack, folder, clip, *words):
    program, looper = Program(jack, folder / "home", *words), None
    try:
        program.until("OSC        udp", 180)  # it compiles if a source has changed since
        looper = Looper(jack, folder, soundfile.read(presets.clip(clip))[0])
        looper.connect()
        yield program, looper
    finally:
        for process in (program.process, looper.process if looper else None):
            if process and process.poll() is None:
                process.kill()
                process.wait()


def children(pid):
    return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]


if __name__ == "__main__":
    _play_for_ever(*sys.argv[1:])
