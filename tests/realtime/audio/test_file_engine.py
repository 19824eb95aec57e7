"""The engine for recordings: stretches are what the whole recording would be there, soon after a change too."""

import time

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.file_engine import FileEngine, Recording, fields
from afx_live.realtime.audio.safety import LOOKAHEAD

CHAIN = ChainSettings(
    (
        EffectSettings("equaliser", {"peak_1_db": 6.0}),
        EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}),
        EffectSettings("distortion", {"drive_db": 12.0}),
        EffectSettings("reverb", {"rt60_s": 0.6, "mix": 0.3}),
    ),
    3.0,
    -2.0,
)


@pytest.fixture(scope="module", params=["guitar", "stereo"])
def recording(request, tmp_path_factory):
    if request.param == "guitar":
        return Recording.open(presets.clip("guitar"))
    path = tmp_path_factory.mktemp("clips") / "stereo.wav"
    x, rate = soundfile.read(presets.clip("drums"), dtype="float32")
    soundfile.write(path, np.stack([x, np.roll(x, 99)], 1), rate, subtype="FLOAT")
    return Recording.open(path)


@pytest.fixture
def engine(recording):
    engine = FileEngine()
    engine.open(recording)
    engine.play(CHAIN)
    return engine


def whole(recording):
    """The recording as the engine plays it from the beginning, without its delay."""
    clip = recording.clip
    x = soundfile.read(clip.path, dtype="float32", always_2d=True)[0]
    delay = LOOKAHEAD + CHAIN.latency
    return Engine(CHAIN, clip.sample_rate, clip.channels).process(np.pad(x, ((0, delay), (0, 0))))[delay:]


def test_stretches_one_after_the_other_are_the_whole_to_the_bit(engine, recording):
    wanted, at, found = whole(recording), 0, []
    for frames in (1, 999, 48000, 12345, 100000):
        sound, _ = engine.stretch(at, frames)
        assert len(sound) == frames
        found.append(sound)
        at += frames
    assert np.array_equal(np.concatenate(found), wanted[:at])


def test_a_stretch_in_the_middle_is_nearly_what_the_whole_is_there(engine, recording):
    wanted = whole(recording)
    start = 3 * recording.clip.sample_rate
    sound, _ = engine.stretch(start, 24000)
    error = np.abs(sound - wanted[start : start + 24000]).max()
    assert error < 0.01 * np.abs(wanted).max()


def test_a_change_is_heard_at_once_and_tells_that_it_is_one(engine):
    told = []
    engine._on_change = lambda: told.append(engine.revision)
    before, _ = engine.stretch(48000, 4800)
    engine.play(CHAIN)
    assert not told
    engine.play(ChainSettings(CHAIN.effects, 3.0, -8.0))
    assert len(told) == 1
    after, _ = engine.stretch(48000, 4800)
    np.testing.assert_allclose(after, before * 10 ** (-6 / 20), atol=1e-5)


def test_a_changed_stretch_costs_under_a_fifth_of_a_second_of_a_core(engine):
    engine.stretch(48000, 100)
    times = []
    for gain_db in (-3.0, -4.0, -5.0):
        engine.play(ChainSettings(CHAIN.effects, 3.0, gain_db))
        began = time.thread_time()
        engine.stretch(2 * 48000, 28800)
        times.append(time.thread_time() - began)
    assert min(times) < 0.2


def test_two_listeners_at_two_places_do_not_disturb_each_other(engine, recording):
    wanted = whole(recording)
    engine.stretch(0, 4800)
    engine.stretch(96000, 4800)
    first, _ = engine.stretch(4800, 4800)
    assert np.array_equal(first, wanted[4800:9600])


def test_meters_come_with_the_sound(engine):
    sound, rows = engine.stretch(0, 48000)
    names = [name for name, _ in fields()]
    assert rows.shape == (30, sum(count for _, count in fields()))
    column = sum(count for name, count in fields()[: names.index("out_peak")])
    assert rows[:, column].max() == pytest.approx(np.abs(sound).max(), rel=0.2)
    first = sum(count for name, count in fields()[: names.index("gain_reduction_db")])
    assert rows[:, first + 2].min() < -1.0  # the compressor: slot 0 is the input gain


def test_the_end_is_the_end(engine, recording):
    frames = recording.clip.frames
    sound, _ = engine.stretch(frames - 100, 48000)
    assert len(sound) == 100
    for start in (-1, frames, frames + 5):
        with pytest.raises(ValueError, match="not in the recording"):
            engine.stretch(start, 10)


def test_to_a_session_it_is_an_engine(engine, recording):
    assert engine.sample_rate == recording.clip.sample_rate
    assert engine.meters()["in_lufs"] == recording.clip.lufs
    x = engine.recent_input(12.0)
    assert x.shape[1] == recording.clip.channels
    empty = FileEngine()
    assert empty.meters()["in_lufs"] == -np.inf
    assert len(empty.recent_input(5.0)) == 0


def test_the_outline_and_the_peak_are_those_of_the_recording(recording):
    x = soundfile.read(recording.clip.path, dtype="float32", always_2d=True)[0]
    assert recording.peak == pytest.approx(np.abs(x).max())
    assert 300 < len(recording.outline) <= 600
    assert recording.outline.max() == pytest.approx(recording.peak)
