"""The spectra of the status view."""

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.matching.model import Features
from afx_live.matching.reference import ReferenceClip
from afx_live.realtime.session.spectra import HZ, spectrum_of
from afx_live.realtime.view import status_file
from support.view import DRIVEN, Sitting, publishing

RATE = 48000


@pytest.mark.parametrize("hz", [100.0, 1000.0, 8000.0])
def test_a_tone_is_a_peak_in_the_spectrum_of(tmp_path, hz):
    t = np.arange(int(2 * RATE)) / RATE
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(t))
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * hz * t) + noise, int(RATE))
    found = spectrum_of(tmp_path / "tone.wav")
    assert found is not None
    assert abs(np.log2(HZ[np.argmax(np.array(found, float))] / hz)) < 0.2


def test_pink_noise_is_flat(tmp_path):
    white = np.fft.rfft(np.random.default_rng(0).standard_normal(10 * 48000))
    pink = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1.0)))
    soundfile.write(tmp_path / "pink.wav", 0.1 * pink / pink.std(), 48000)
    assert np.abs(np.array(spectrum_of(tmp_path / "pink.wav"), float)).max() < 3.0


def test_what_is_no_sound_has_no_spectrum_of(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(48000), 48000)
    soundfile.write(tmp_path / "short.wav", np.ones(100), 48000)
    (tmp_path / "text.wav").write_text("no sound")
    assert [spectrum_of(tmp_path / f"{n}.wav") for n in ("silence", "short", "text", "missing")] == [None] * 4


def test_spectra_end_where_the_rate_ends(tmp_path):
    soundfile.write(tmp_path / "low.wav", 0.1 * np.random.default_rng(0).standard_normal(32000), 16000)
    found = spectrum_of(tmp_path / "low.wav")
    assert found is not None
    assert all(level is None for level, hz in zip(found, HZ, strict=True) if hz > 8000.0)


def test_the_reference_and_the_input_have_spectra(player):
    path = presets.clip("guitar_reference")
    sitting = Sitting(DRIVEN, references=[ReferenceClip(path, Features(np.zeros(1), np.zeros(1), 1.0), -16.0, 7.0)])
    made = publishing(player, sitting)
    made.publish()
    curves = made.state()["curves"]
    assert curves["reference_db"] == spectrum_of(path)
    clip = spectrum_of(presets.clip("guitar"))
    assert clip is not None
    apart = np.array(curves["input_db"], float) - np.array(clip, float)
    assert np.median(np.abs(apart[np.array(clip, float) > -20])) < 4.0  # two seconds of it, and it is a phrase
    assert max(curves["equaliser_db"]) == pytest.approx(4.5, abs=0.3)


def test_silence_keeps_the_last_spectrum_of(player):
    made = publishing(player, Sitting(DRIVEN))
    made.publish()
    before = made.state()["curves"]["input_db"]
    player.feed(4.0, gain=0.0)
    for _ in range(2 * status_file.SPECTRUM_PERIODS):
        made.publish()
    assert before is not None
    assert made.state()["curves"]["input_db"] == before
    player.feed(4.0)
