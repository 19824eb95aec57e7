"""The round trip is what the server makes it, and what differs is reported."""

import os
import re
import subprocess
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from afx_live.realtime.audio.devices import DeviceError
from afx_live.realtime.audio.options import StreamOptions
from afx_live.realtime.audio.safety import LOOKAHEAD
from afx_live.realtime.audio.test_signal import PERIOD
from afx_live.realtime.cli import loopback as report
from afx_live.realtime.doctor import loopback
from support.jack import need
from support.loop import came_back

RATE = 48000


@contextmanager
def patched(jack, source, sink):
    """Connect two ports whenever both are there."""
    done = threading.Event()

    def connect():
        while not done.is_set():
            if {source, sink} <= {*jack.ports()}:
                jack.tool("jack_connect", source, sink)
            done.wait(0.2)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def loop_of_jack(jack):
    """Frames that a client's output takes to its own input, by JACK's own meter."""
    command = ["stdbuf", "-oL", need("jack_iodelay", "jackd2")]
    with (
        patched(jack, "jack_delay:out", "jack_delay:in"),
        subprocess.Popen(command, env={**os.environ, **jack.env}, stdout=subprocess.PIPE, text=True) as meter,
    ):
        assert meter.stdout
        before = 0
        try:
            for line in meter.stdout:  # the first one may lack a tone's period, or several: two must agree
                if (found := re.search(r"([\d.]+) frames .* total roundtrip", line)) and "??" not in line:
                    frames = round(float(found[1]))
                    if frames == before > 0:
                        return frames
                    before = frames
        finally:
            meter.kill()
    return pytest.fail("jack_iodelay heard nothing")


@pytest.fixture
def periods(jack):
    """Set JACK's period; it is as before at the end."""
    before = jack.tool("jack_bufsize").split()[0]

    def put(frames):
        jack.tool("jack_bufsize", str(frames))
        assert jack.tool("jack_bufsize").split()[0] == str(frames)

    yield put
    put(before)


@pytest.mark.jack
@pytest.mark.slow
@pytest.mark.parametrize("period", [64, 128, 256])
def test_the_round_trip_is_what_jack_makes_it(jack, periods, monkeypatch, period):
    """JACK delays a loop by a period, which its own meter confirms; PortAudio adds a block of ours."""
    periods(period)
    monkeypatch.setattr(loopback, "TAKES", 1)
    truth = loop_of_jack(jack)
    assert truth == period
    block = 128  # shorter than the period, as long, and longer
    with patched(jack, "afx-live:out_1", "afx-live:in_0"):
        trip = loopback.measure(StreamOptions(block_size=block, output_channels=[2]), print, env=jack.env)
    assert trip.frames == truth + block
    assert trip.claimed == truth + block
    assert trip.alike
    assert trip.parts == {"algorithmic": LOOKAHEAD, "block": block, "device": period}
    assert trip.takes[0].gain == pytest.approx(1.0, abs=1e-3)


STATUS = {
    "sample_rate": 48000.0,
    "block_size": 128,
    "input_latency": 0.0,
    "output_latency": 256 / 48000,
    "input": "USB",
    "output": "USB",
    "api": "ALSA",
}


def test_takes_that_differ_are_told(played, monkeypatch):
    """A driver that begins with another delay at each opening: what JACK never does."""
    delays = iter((300, 364, 364))

    class Moody:
        status, sample_rate, running = STATUS, 48000.0, True

        def __init__(self, settings, options, **more):
            self.ring, self.delay = 0, next(delays)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def meters(self):
            self.ring += PERIOD
            return {"ring": self.ring}

        def recent_input(self, seconds):
            return np.stack([came_back(played, self.delay, -0.5), played], 1)[-int(seconds * RATE) :]

    monkeypatch.setattr(loopback, "LiveEngine", Moody)
    trip = loopback.measure(StreamOptions(), print)
    assert [take.frames for take in trip.takes] == [300, 300, 364, 364, 364, 364]
    assert (trip.frames, trip.alike) == (364, False)
    text = report.text(trip)
    assert "TAKES DIFFER: 300, 300, 364, 364, 364, 364" in text
    assert "level -6.0 dB, polarity inverted" in text
    assert "PortAudio claims 256 for block and device: 108 too few" in text
    assert f"{364 + LOOKAHEAD} frames" in text
    plain = report.data(trip)
    assert plain["parts_frames"] == {"algorithmic": LOOKAHEAD, "block": 128, "device": 364 - 128}
    assert plain["total_ms"] == pytest.approx((364 + LOOKAHEAD) / 48)


def test_a_stream_that_is_lost_is_told(monkeypatch):
    class Lost:
        status, sample_rate, running = STATUS, 48000.0, False
        meters = staticmethod(lambda: {"ring": 0})

    with pytest.raises(DeviceError, match="E307 The stream was lost"):
        loopback.listen(Lost())  # pyright: ignore[reportArgumentType]
