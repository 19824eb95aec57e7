"""The drop-out test counts what goes wrong, and says what to do about it."""

import os
import signal
import sys
import time
from dataclasses import replace

import pytest

from afx_live.realtime.audio.live_engine import LiveEngine
from afx_live.realtime.audio.options import StreamOptions
from afx_live.realtime.doctor import dropouts
from afx_live.realtime.doctor.dropouts import DropOuts, diagnosis, smallest

RATE = 48000


SAFE = DropOuts(64, callbacks=7500, speed=1.0, load=0.01, load_max=0.05, latency_ms=4.0, priority=10)


def rows(**bad):
    """Rows for 512 to 32 frames; keywords name those that drop out."""
    return [replace(SAFE, block=b, late=bad.get(f"b{b}", 0)) for b in dropouts.BLOCKS]


@pytest.mark.parametrize(
    ("found", "block"),
    [
        (rows(), 32),
        (rows(b32=1), 64),
        (rows(b32=9, b64=1), 128),
        (rows(b32=9, b128=1), 256),  # 64 came through by luck
        (rows(b512=1), 32),
        (rows(b512=1, b128=1), 256),
        (rows(b512=1, b256=1, b128=1, b64=1, b32=1), None),
        ([], None),
    ],
)
def test_the_smallest_safe_block(found, block):
    best = smallest(found)
    assert (best.block if best else None) == block


@pytest.mark.parametrize("bad", [{"late": 1}, {"xruns": 1}, {"speed": 0.9}, {"error": "E306 busy"}])
def test_what_is_not_safe(bad):
    assert SAFE.safe
    assert not replace(SAFE, **bad).safe


@pytest.mark.parametrize(
    ("found", "empty", "said"),
    [
        (rows(b32=3), replace(SAFE, block=32, late=2), "it is the machine"),
        (rows(b32=3), replace(SAFE, block=32), "may be chance"),
        ([replace(SAFE, block=32, late=3, load_max=1.4)], replace(SAFE, block=32), "the effects took up to 140%"),
        (rows(b256=3), replace(SAFE, block=256), "a longer block dropped out"),
    ],
)
def test_drop_outs_are_explained(found, empty, said):
    told = list(diagnosis(found, empty))
    assert any(said in c.text for c in told)
    assert all(c.fix for c in told if c.state != "ok")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_an_audio_thread_without_priority_is_a_problem():
    (good,) = diagnosis(rows(), None)
    (bad,) = diagnosis([replace(row, priority=0) for row in rows()], None)
    assert (good.state, bad.state) == ("ok", "problem")
    assert "rtprio" in bad.fix


@pytest.mark.jack
@pytest.mark.slow
def test_a_stream_that_is_held_up_is_not_safe(jack, monkeypatch):
    """Stop the stream process for a tenth of a second: less than what the supervisor takes for a loss."""
    opened, held = [], []

    class Watched(LiveEngine):
        def __enter__(self):
            opened.append(self)
            return super().__enter__()

    def hold(seconds):
        if not held:
            held.append(seconds)
            os.kill(opened[0].pid, signal.SIGSTOP)
            time.sleep(0.1)  # is what it is about: how long it stands still
            os.kill(opened[0].pid, signal.SIGCONT)

    monkeypatch.setattr(dropouts, "LiveEngine", Watched)
    row = dropouts.drop_outs(128, 0.5, StreamOptions(), hold, env=jack.env)
    assert held
    assert row.late + row.xruns > 0
    assert not row.safe


@pytest.mark.jack
@pytest.mark.slow
def test_a_block_that_does_not_open_is_told(jack):
    row = dropouts.drop_outs(128, 0.5, StreamOptions(sample_rate=44100.0), lambda seconds: None, env=jack.env)
    assert row.error.startswith("E305")
    assert not row.safe
