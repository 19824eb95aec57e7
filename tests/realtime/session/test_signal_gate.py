"""A signal is heard however low it comes in; a room's noise is not, however long it lasts."""

import numpy as np
import pytest

from afx_live.dsp.loudness import integrated_loudness
from afx_live.realtime.session.signal_gate import SignalGate
from support.clips import RATE, bundled

RANDOM = np.random.default_rng(2)


def at(x, lufs):
    return (x * 10 ** ((lufs - integrated_loudness(x, RATE)) / 20))[:, None]


HISS = RANDOM.standard_normal(5 * RATE)
HUM = np.sin(2 * np.pi * 50 * np.arange(5 * RATE) / RATE) + 0.01 * HISS


@pytest.mark.parametrize("name", ["guitar", "voice", "drums"])
@pytest.mark.parametrize("lufs", [-20.0, -64.0, -80.0])
def test_playing_is_a_signal_at_any_level(name, lufs):
    assert SignalGate().open(at(bundled(name, 5.0), lufs), RATE)


@pytest.mark.parametrize("noise", [HISS, HUM], ids=["hiss", "hum"])
@pytest.mark.parametrize("lufs", [-58.0, -70.0, -85.0])
def test_the_noise_of_a_room_is_none(noise, lufs):
    assert not SignalGate().open(at(noise, lufs), RATE)


def held(*notes_hz, vibrato=0.0):
    t = np.arange(5 * RATE) / RATE
    swing = vibrato * np.sin(2 * np.pi * 5.5 * t)
    return sum(np.sin(2 * np.pi * h * (f * t + swing)) / h for f in notes_hz for h in range(1, 8))


@pytest.mark.parametrize("lufs", [-58.0, -70.0, -85.0])
@pytest.mark.parametrize(
    "notes", [held(110.0), held(48.9995), held(261.63, 329.63, 392.0), held(440.0, vibrato=0.4)],
    ids=["a", "low g", "chord", "vibrato"],
)  # fmt: skip
def test_held_notes_are_playing(notes, lufs):
    assert SignalGate().open(at(notes + 0.02 * HISS, lufs), RATE)


@pytest.mark.parametrize("mains_hz", [50.0, 50.04, 60.0])
def test_the_mains_with_all_its_harmonics_is_no_playing(mains_hz):
    assert not SignalGate().open(at(held(mains_hz) + 0.02 * HISS, -60.0), RATE)


def test_nor_is_a_chair_that_moves():
    x = 1e-4 * HISS
    x[RATE : RATE + 2000] += 0.01 * RANDOM.standard_normal(2000)
    assert not SignalGate().open(at(x, -62.0), RATE)


def test_between_two_takes_nothing_is_heard_until_the_input_has_stayed_low():
    gate, low = SignalGate(), at(bundled("voice", 5.0), -62.0)
    assert gate.open(at(bundled("voice", 5.0), -20.0), RATE)
    assert not gate.open(low, RATE)
    heard = [gate.open(low, RATE) for _ in range(40)]
    assert heard[-1]
    assert not heard[5]


def test_of_a_recording_everything_counts_that_is_no_silence():
    gate = SignalGate(live=False)
    assert gate.open(at(HISS, -80.0), RATE)
    assert not gate.open(1e-7 * HISS[:, None], RATE)
    assert not gate.open(np.zeros((0, 2)), RATE)
