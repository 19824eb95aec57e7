"""The compiled callback, called as PortAudio calls it, without a device."""

import time

import numpy as np

from afx_live.chain import ChainSettings
from afx_live.realtime.audio.callback import PORT, callback, port_of
from afx_live.realtime.audio.engine import MEMORY, Engine, memory, memory_at
from afx_live.realtime.audio.shared_memory import Shared
from support.chains import full
from support.sounds import noise, without_dc

RATE = 48000


def test_the_audio_thread_sees_the_very_arrays():
    """A swapped type or size would be silent corruption."""
    made = memory(Shared.create(None, RATE), RATE)
    port = port_of(made, RATE, 2, 2)[0]
    seen = memory_at(port["at"], port["ring_frames"], port["slot_size"], port["loudness_size"], port["effects"])
    for name, here, there, spec in zip(made._fields, made, seen, MEMORY.fields, strict=True):
        assert spec.matches(here), name
        assert (there.ctypes.data, there.dtype, there.shape) == (here.ctypes.data, here.dtype, here.shape), name


def test_callback_counts():
    shared = Shared.create(None, RATE)
    shared.play(ChainSettings())
    one = callback(memory(shared, RATE), RATE, 2, 2)
    assert one.port.dtype == PORT
    x = np.zeros((4800, 2), np.float32)  # 100 ms
    y = x.copy()
    one.call(x, y)
    one.call(x, y, flags=2 | 4)  # at once: the host's block is twice as long as ours
    time.sleep(0.25)
    one.call(x, y, flags=4)
    assert shared.read()["late"] == 0
    time.sleep(0.25)
    one.call(x, y)
    m = shared.read()
    assert (m["callbacks"], m["input_overflows"], m["output_underflows"], m["late"]) == (4, 1, 2, 1)
    assert 0 < m["load"] < m["load_max"] < 1


def test_empty_callback_copies():
    one = callback(memory(Shared.create(None, RATE), RATE), RATE, 1, 2, empty=True)
    x = noise(0.1, channels=1)
    y = np.zeros((len(x), 2), np.float32)
    one.call(x, y)
    assert np.array_equal(y, x.repeat(2, axis=1))


def test_callback_is_the_engine_at_any_block_size():
    shared = Shared.create(None, RATE)
    shared.play(full())
    one = callback(memory(shared, RATE, fade_in=False), RATE, 2, 2)
    x = noise(0.5)
    y, at = np.zeros_like(x), 0
    for size in np.random.default_rng(1).integers(1, 700, 200):
        one.call(x[at : at + size], y[at : at + size]) if at < len(x) else None
        at += size
    assert np.array_equal(y, Engine(full(), RATE).process(x))


def test_one_output_gets_the_mean_and_others_are_silent():
    shared = Shared.create(None, RATE)
    shared.play(ChainSettings())
    one = callback(memory(shared, RATE, (0, 1), (2, 2), fade_in=False), RATE, 2, 4)
    x = noise(0.1)
    y = np.ones((len(x), 4), np.float32)
    one.call(x, y)
    assert not y[:, [0, 1, 3]].any()
    np.testing.assert_allclose(y[63:, 2], without_dc(x)[:-63].mean(axis=1), atol=1e-7)
