"""Reading recordings, drawing stretches of them, and varying them."""

import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from afx_live.training.recordings import (
    Recording,
    Variation,
    find,
    mix,
    read,
    read_mono,
    stretch,
    two_stretches,
    usable_for_pairs,
)
from afx_live.training.recordings.reading import MIN_STRETCH_S
from support.recordings import noise, one, write

# --- reading


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("name", ["x.wav", "x.flac"])
def test_lengths_are_exact_at_every_rate(tmp_path, rate, name):
    recording = one(tmp_path, noise(3.0, rate, 2), rate, name)
    for target in (44100, 48000, 24000):
        for start_s, seconds in ((0.0, 3.0), (0.3333, 1.0), (1.7, 1.3), (2.9999, 0.0001), (0.1, 0.7777)):
            x = read(recording, start_s, seconds, target)
            assert x.shape == (round(seconds * target), 2)
            assert x.dtype == np.float32
            assert x.flags["C_CONTIGUOUS"]


def test_without_resampling_the_samples_are_the_files(tmp_path):
    x = noise(2.0, 8000, 2)
    recording = one(tmp_path, x)
    np.testing.assert_array_equal(read(recording, 0.5, 1.0, 8000), x[4000:12000])
    np.testing.assert_allclose(read_mono(recording, 0.5, 1.0, 8000), x[4000:12000].mean(axis=1), atol=1e-7)


@pytest.mark.parametrize(("rate", "target"), [(44100, 48000), (48000, 44100), (16000, 48000), (96000, 44100)])
def test_a_stretch_is_the_same_cut_out_or_read_whole(tmp_path, rate, target):
    x = noise(2.0, rate)
    recording = one(tmp_path, x, rate)
    whole = soxr.resample(x, rate, target, quality="HQ")
    for start_s, seconds in ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0)):
        first = round(start_s * target)
        error = read(recording, start_s, seconds, target) - whole[first : first + round(seconds * target)]
        assert np.abs(error).max() < 1e-5


def test_only_the_stretch_is_decoded(tmp_path, monkeypatch):
    recording = one(tmp_path, noise(60.0, 8000))
    asked = []
    original = soundfile.SoundFile.read
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda s, n, *a, **kw: asked.append(n) or original(s, n, *a, **kw))
    read(recording, 30.0, 1.0, 48000)
    assert sum(asked) < 8000 + 2 * 300


def test_a_part_of_a_file_can_be_a_recording(tmp_path):
    x = noise(4.0)
    whole = one(tmp_path, x)
    part = Recording(whole.path, 1.0, 2.0, 8000, 1, "g", "speech")
    np.testing.assert_array_equal(read(part, 0.5, 1.0, 8000), x[12000:20000])
    with pytest.raises(ValueError, match="not inside"):
        read(part, 1.5, 1.0, 8000)


def test_reading_outside_or_from_a_broken_file_says_where(tmp_path):
    recording = one(tmp_path, noise(2.0), name="x.flac")
    for start_s, seconds in ((-0.1, 1.0), (1.5, 1.0), (0.0, 0.0), (3.0, 1.0)):
        with pytest.raises(ValueError, match=r"x\.flac: .* is not inside the recording's 2\.000 s"):
            read(recording, start_s, seconds, 8000)
    whole = recording.path.read_bytes()
    recording.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"x\.flac: (can't be decoded|ends \d+ frames before)"):
        read(recording, 0.0, 2.0, 8000)
    recording.path.unlink()
    with pytest.raises(ValueError, match=r"x\.flac: can't be decoded"):
        read(recording, 0.0, 1.0, 8000)


def test_a_number_that_is_none_is_refused(tmp_path):
    x = noise(2.0)
    x[100] = np.nan
    with pytest.raises(ValueError, match=r"x\.wav holds NaN or Inf"):
        read(one(tmp_path, x), 0.0, 1.0, 8000)


@pytest.mark.parametrize("name", ["x.mp3", "x.ogg"])
def test_lossy_files_read_to_their_end(tmp_path, name):
    recording = one(tmp_path, noise(3.0, 48000, 2), 48000, name)
    assert read(recording, 0.0, recording.seconds, 48000).shape == (recording.frames, 2)
    assert read(recording, recording.seconds - 1.0, 1.0, 44100).shape == (44100, 2)


# --- choosing stretches


def test_stretches_are_reproducible_inside_and_spread(tmp_path):
    recording = one(tmp_path, noise(20.0))
    chosen = [stretch(recording, 3.0, np.random.default_rng(i)) for i in range(50)]
    assert chosen == [stretch(recording, 3.0, np.random.default_rng(i)) for i in range(50)]
    starts = [s.start_s for s in chosen if s]
    assert len(starts) == 50
    assert min(starts) < 2.0
    assert 15.0 < max(starts) <= 17.0
    assert all(len(read(recording, *s, 48000)) == 144000 for s in chosen if s)


def test_silence_is_not_chosen(tmp_path):
    x = noise(20.0)
    x[: 15 * 8000] *= 1e-4  # -100 dB
    recording = one(tmp_path, x)
    chosen = [stretch(recording, 4.0, np.random.default_rng(i)) for i in range(30)]
    starts = [s.start_s for s in chosen if s]
    assert len(starts) > 20
    assert min(starts) > 12.5  # half of it is heard, give or take half a second
    assert stretch(one_more(tmp_path, 1e-4 * noise(20.0)), 4.0, np.random.default_rng(0)) is None


def one_more(tmp_path: Path, x: np.ndarray) -> Recording:
    folder = tmp_path / "more"
    folder.mkdir()
    return one(folder, x)


def test_a_short_recording_is_taken_whole(tmp_path):
    recording = one(tmp_path, noise(1.5))
    assert stretch(recording, 3.0, np.random.default_rng(0)) == (0.0, 1.5)


def test_a_file_broken_half_way_is_reported_and_passed_over(tmp_path, caplog):
    recording = one(tmp_path, noise(10.0), name="x.flac")
    whole = recording.path.read_bytes()
    recording.path.write_bytes(whole[: len(whole) // 8])
    assert two_stretches(recording, 4.0, np.random.default_rng(0)) is None
    assert "x.flac" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(("length", "seconds"), [(30.0, 5.0), (10.0, 5.0), (7.3, 5.0), (4.0, 2.0), (4.0, 5.0)])
@pytest.mark.parametrize("rate", [8000, 11025])
def test_two_stretches_never_overlap(tmp_path, length, seconds, rate):
    recording = one(tmp_path, noise(length, rate), rate)
    orders = set()
    for i in range(40):
        pair = two_stretches(recording, seconds, np.random.default_rng(i))
        assert pair == two_stretches(recording, seconds, np.random.default_rng(i))
        assert pair
        early, late = sorted(pair)
        orders.add(pair[0] == early)
        assert early.seconds == late.seconds
        assert early.seconds == pytest.approx(min(seconds, length / 2), abs=1 / rate)
        assert early.seconds >= MIN_STRETCH_S - 1 / rate
        assert early.start_s >= 0.0
        assert early.start_s + early.seconds <= late.start_s + 1e-9
        assert late.start_s + late.seconds <= recording.seconds + 1e-9
        assert len(read(recording, *late, 48000)) == round(late.seconds * 48000)
    assert orders == {True, False}


def test_a_recording_too_short_for_a_pair_is_told(tmp_path):
    recording = one(tmp_path, noise(3.9))
    assert not usable_for_pairs(recording)
    with pytest.raises(ValueError, match=r"x\.wav: no two stretches of 5\.0 s in 3\.90 s: each must last 2 s"):
        two_stretches(recording, 5.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"no two stretches of 1\.0 s"):
        two_stretches(one_more(tmp_path, noise(9.0)), 1.0, np.random.default_rng(0))


# --- making more of little


def test_speed_moves_pitch_and_length(tmp_path):
    rate = 48000
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)[:, None].astype(np.float32)
    y = Variation(speed=1.1).apply(tone, rate)
    assert abs(len(y) - rate / 1.1) <= 1
    spectrum = np.abs(np.fft.rfft(y[:, 0] * np.hanning(len(y))))
    assert np.argmax(spectrum) * rate / len(y) == pytest.approx(1100, abs=1.5)


def test_augmentation_is_reproducible_and_within_its_bounds():
    x = noise(1.0, 8000, 2)
    y = Variation.draw(np.random.default_rng(3)).apply(x, 8000)
    np.testing.assert_array_equal(y, Variation.draw(np.random.default_rng(3)).apply(x, 8000))
    assert y.dtype == np.float32
    drawn = [Variation.draw(np.random.default_rng(i)) for i in range(300)]
    for values, (low, high) in (
        ([v.speed for v in drawn], Variation.SPEEDS),
        ([v.gain_db for v in drawn], Variation.GAINS_DB),
    ):
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
    assert 100 < sum(v.inverted for v in drawn) < 200
    slow = Variation(speed=Variation.SPEEDS[1])
    assert len(slow.apply(noise(1.0 * Variation.SPEEDS[1]), 8000)) >= 8000


def test_level_and_polarity_are_what_they_say():
    x = noise(0.1)
    np.testing.assert_allclose(Variation(gain_db=-6.0206, inverted=True).apply(x, 8000), -0.5 * x, rtol=1e-4)
    np.testing.assert_array_equal(Variation().apply(x, 8000), x)


def test_a_mix_has_the_level_asked_for_whatever_the_levels_were():
    x, y = noise(1.0, seed=1), noise(1.0, channels=2, seed=2) * 0.01
    rng = np.random.default_rng(0)
    both = mix(x, y, rng, -12.0, -12.0)
    assert both.shape == (8000, 2)
    added = both - x
    ratio_db = 20 * math.log10(float(np.sqrt(np.mean(added**2)) / np.sqrt(np.mean(x**2))))
    assert ratio_db == pytest.approx(-12.0, abs=0.01)
    np.testing.assert_array_equal(mix(x, np.zeros_like(x), rng), x)
    np.testing.assert_array_equal(mix(np.zeros_like(x), x, rng), np.zeros_like(x))
    np.testing.assert_array_equal(
        mix(x, y, np.random.default_rng(5)),
        mix(x, y, np.random.default_rng(5)),
    )
    with pytest.raises(ValueError, match=r"mix: shapes \(8000, 1\) and \(400, 1\) differ"):
        mix(x, x[:400], rng)


# --- living in workers


def test_recordings_travel_to_workers(tmp_path):
    write(tmp_path / "a" / "x.wav")
    write(tmp_path / "b" / "y.flac")
    found = find(tmp_path)
    assert len(found) == 2
    assert pickle.loads(pickle.dumps(found)) == found


def test_torch_is_not_loaded():
    code = "import sys; import afx_live.training.recordings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
