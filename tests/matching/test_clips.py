"""Audio files: what is not a clip is refused in words, and what is, is read where it is loud."""

import hashlib

import numpy as np
import pytest

from afx_live import presets
from afx_live.dsp.loudness import integrated_loudness
from afx_live.matching import ClipError, read_clip, read_reference
from afx_live.matching.clips import MAX_WINDOWS
from support.clips import put, sound


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 88200, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_reference_has_any_rate_and_channel_count(tmp_path, model, rate, channels):
    x = sound(rate, channels)
    found = read_reference(put(tmp_path / "r.wav", x, rate), model)
    assert found.seconds == pytest.approx(2.0, abs=0.01)
    assert found.lufs == pytest.approx(integrated_loudness(x, rate), abs=0.01)
    assert np.isfinite(found.features.statistics).all()
    assert np.isfinite(found.features.embedding).all()


@pytest.mark.slow
def test_a_long_reference_is_heard_where_it_is_loud(tmp_path):
    voice = sound(16000, 1, 6.0)
    quiet = 1e-4 * np.random.default_rng(0).standard_normal((16000 * 60, 1))
    heard = read_clip(put(tmp_path / "r.flac", np.concatenate([quiet, *[voice] * 5, quiet]), 16000))
    assert heard.seconds == pytest.approx(150.0, abs=0.01)
    assert len(heard.excerpts) == MAX_WINDOWS * 5 * 16000
    assert integrated_loudness(heard.excerpts, 16000) == pytest.approx(integrated_loudness(voice, 16000), abs=1.0)
    assert np.abs(heard.excerpts[:, 0]).reshape(MAX_WINDOWS, -1).max(1).min() > 0.01


BAD = {
    "missing.wav": "is not there",
    "folder.wav": "is not a file",
    "text.wav": "cannot be read as audio",
    "empty.wav": r"is empty \(0 bytes\)",
    "no_frames.wav": "has no sound in it",
    "silent.wav": "is silent",
    "faint.wav": "is silent",
    "nan.wav": "holds NaN or Inf",
    "inf.wav": "holds NaN or Inf",
    "late_nan.wav": "holds NaN or Inf",
    "slow.wav": "4000 Hz",
    "cut.flac": "damaged",
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "folder.wav").mkdir()
    (folder / "text.wav").write_text("no sound")
    (folder / "empty.wav").touch()
    noise = 0.1 * np.random.default_rng(0).standard_normal((48000 * 2, 1))
    for name, value, at in (("nan", np.nan, 100), ("inf", np.inf, 5), ("late_nan", np.nan, -1)):
        x = noise.copy()
        x[at] = value
        put(folder / f"{name}.wav", x, 48000, "FLOAT")
    put(folder / "no_frames.wav", noise[:0], 48000)
    put(folder / "silent.wav", 0 * noise, 48000)
    put(folder / "faint.wav", 1e-4 * noise, 48000)
    put(folder / "slow.wav", noise, 4000)
    put(folder / "whole.flac", noise, 48000)
    whole = (folder / "whole.flac").read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_clip_is_refused_by_name(bad, name):
    with pytest.raises(ClipError, match=BAD[name]) as error:
        read_clip(bad / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_clip_of_less_than_a_second_is_no_reference(tmp_path, model):
    path = put(tmp_path / "short.wav", sound(48000, 1, 0.9), 48000)
    with pytest.raises(ClipError, match=r"short\.wav has 0\.9 s of sound; 1 s are needed"):
        read_reference(path, model)


def test_a_reference_knows_its_file(model):
    path = presets.clip("guitar_reference")
    found = read_reference(path, model)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    source = presets.provenance([found], model.name)
    assert source["references"] == [{"file": path.name, "sha256": found.sha256, "lufs": found.lufs}]
