"""What is heard depends neither on where silence stands, nor on level, polarity or direct current."""

import numpy as np
import pytest

from afx_live.dsp.loudness import integrated_loudness
from afx_live.dsp.polarity import mono
from afx_live.matching import ClipError, ModelError, feature_distance, read_clip
from afx_live.matching.level import SILENT_LUFS, solve_level
from afx_live.matching.model import MatchModel
from support.chains import WORKING
from support.clips import RATE, bundled, played, put

pytestmark = pytest.mark.slow  # minutes of sound are listened to

HISS = np.random.default_rng(3).standard_normal(6 * RATE)


@pytest.mark.parametrize("floor_db", [-np.inf, -90.0, -70.0])
@pytest.mark.parametrize("milliseconds", [20, 150, 900])
@pytest.mark.parametrize("name", ["guitar", "drums"])
def test_a_window_may_be_silent_but_for_its_end_or_its_beginning(model, name, milliseconds, floor_db):
    loud = np.abs(bundled(name)[: 3 * RATE]).argmax()
    some = bundled(name)[loud : loud + RATE * milliseconds // 1000]
    for place in (slice(-len(some), None), slice(0, len(some))):
        x = 10 ** (floor_db / 20) * HISS[: 5 * RATE]
        x[place] += some
        heard = model.analyse(x, RATE)
        assert np.isfinite(heard.statistics).all()
        assert np.isfinite(heard.embedding).all()


def test_where_the_silence_stands_changes_nothing(model):
    x, rest = bundled("guitar")[: 5 * RATE], np.zeros(7 * RATE)
    here = model.analyse(x, RATE)
    apart = feature_distance(model.analyse(bundled("drums"), RATE), here)
    for other in (np.concatenate([rest, x]), np.concatenate([x, rest]), np.concatenate([rest, x, rest])):
        assert feature_distance(model.analyse(other, RATE), here) < 0.25 * apart


def test_a_long_file_is_heard_where_it_sounds(tmp_path):
    """A stem: 20 s of silence, then playing; and only the last tenth of a window would be sound."""
    x = np.concatenate([np.zeros(20 * 16000), np.resize(bundled("guitar")[::3], 75 * 16000)])
    heard = read_clip(put(tmp_path / "stem.wav", x, 16000))
    windows = np.square(heard.excerpts[:, 0]).reshape(16, 50, -1).mean(2)
    assert ((windows > 1e-7).mean(1) > 0.4).all()


@pytest.mark.parametrize("lufs", [-64.0, -75.0, -88.0])
def test_quiet_is_not_silent(model, tmp_path, lufs):
    x = bundled("guitar")
    faint = x * 10 ** ((lufs - integrated_loudness(x, RATE)) / 20)
    heard = read_clip(put(tmp_path / "faint.wav", faint, RATE, "FLOAT"))
    assert heard.lufs == pytest.approx(lufs, abs=0.5)
    assert feature_distance(model.analyse(heard.excerpts, RATE), model.analyse(x, RATE)) < 0.1
    solved = solve_level(WORKING, heard.excerpts, RATE, -20.0)
    assert integrated_loudness(played(solved, heard.excerpts), RATE) == pytest.approx(-20.0, abs=0.1)


def test_silence_is_silent(tmp_path):
    for level in (0.0, 1e-6):
        with pytest.raises(ClipError, match=rf"is silent: .* at least {SILENT_LUFS:.0f} LUFS are needed"):
            read_clip(put(tmp_path / "silent.wav", level * HISS, RATE, "FLOAT"))


@pytest.mark.parametrize("right", [-1.0, -0.9, -0.2])
def test_sides_of_opposite_polarity_are_heard_and_told(model, tmp_path, right):
    x = bundled("guitar")
    heard = read_clip(put(tmp_path / "opposite.wav", np.stack([x, right * x], 1), RATE))
    assert "its sides are of opposite polarity" in heard.note
    assert feature_distance(model.analyse(heard.excerpts, RATE), model.analyse(x, RATE)) < 0.05


def test_opposite_surrounds_are_heard(model, tmp_path):
    x, other = bundled("guitar")[: 4 * RATE], bundled("voice")[: 4 * RATE]
    six = np.stack([x, x, 0 * x, 0 * x, other, -other], 1)
    heard = read_clip(put(tmp_path / "six.wav", six, RATE))
    assert "channel 6 is of opposite polarity" in heard.note
    wanted = model.analyse(2 * x + 2 * other, RATE)
    assert feature_distance(model.analyse(heard.excerpts, RATE), wanted) < 0.05


def test_ordinary_stereo_is_its_mean_and_no_word_is_said(tmp_path):
    x = np.stack([bundled("guitar")[:RATE], np.roll(bundled("guitar")[:RATE], 40)], 1)
    assert np.array_equal(mono(x), x.mean(1))
    assert read_clip(put(tmp_path / "stereo.wav", x, RATE)).note == ""


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (2**15, "16-bit numbers were stored as float. Divide them by 32768"),
        (2**23, "24-bit numbers"),
        (2**31, "32-bit numbers"),
        (20.0, "turn it down"),
    ],
)
def test_samples_in_another_scale_are_refused_with_their_likely_cause(tmp_path, scale, words):
    x = bundled("guitar")[: 2 * RATE]
    path = put(tmp_path / "big.wav", x / np.abs(x).max() * scale, RATE, "FLOAT")
    with pytest.raises(ClipError, match=words) as error:
        read_clip(path)
    assert "dBFS" in str(error.value)


def test_float_over_full_scale_is_a_clip(tmp_path):
    x = bundled("guitar")
    assert read_clip(put(tmp_path / "hot.wav", 3.9 * x / np.abs(x).max(), RATE, "FLOAT")).lufs > -20.0


def test_direct_current_is_not_heard_and_told(model, tmp_path):
    x = bundled("guitar")
    heard = read_clip(put(tmp_path / "dc.wav", 0.5 * x + 0.2, RATE))
    assert "a DC offset of 20.0% of full scale was removed" in heard.note
    assert heard.dc == pytest.approx([0.2], abs=0.001)
    assert abs(heard.excerpts.mean()) < 1e-3
    assert heard.lufs == pytest.approx(integrated_loudness(0.5 * x, RATE), abs=0.1)
    with pytest.raises(ClipError, match="is silent but for a DC offset"):
        read_clip(put(tmp_path / "only.wav", np.full(3 * RATE, 0.3), RATE))


def test_what_the_model_has_no_answer_to_is_named_not_the_model(model, monkeypatch):
    encode = MatchModel._encode
    monkeypatch.setattr(MatchModel, "_encode", lambda self, w: None if np.abs(w).max() > 0.5 else encode(self, w))
    with pytest.raises(ClipError, match="take 7 cannot be described"):
        model.analyse(np.where(HISS > 3.0, HISS, 0.0), RATE, "take 7")
    monkeypatch.setattr(MatchModel, "_encode", lambda self, w: None)
    with pytest.raises(ModelError, match="answers with NaN"):
        model.analyse(bundled("guitar"), RATE, "take 7")
