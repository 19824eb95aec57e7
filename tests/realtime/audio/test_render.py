"""Files: what is rendered is the engine's own sound, at the loudness asked for."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.dsp.loudness import integrated_loudness
from afx_live.matching import ClipError, Match, given_settings, match_clip, read_clip, read_reference
from afx_live.realtime.audio import render as rendering
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.render import render
from afx_live.realtime.audio.safety import CEILING, LOOKAHEAD
from support.chains import WORKING
from support.clips import put, sound
from support.sounds import without_dc


def no_step(frames):
    pass


def rendered(path, settings, out, target=None, **more):
    heard = read_clip(path)
    done = render(heard, given_settings(heard, settings, target), out, no_step, **more)
    return done.settings, done.lufs


# --- what is rendered -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_output_has_the_inputs_length_rate_and_channels(tmp_path, rate, channels):
    path = put(tmp_path / "in.wav", sound(rate, channels, 1.7), rate)
    _, lufs = rendered(path, WORKING, tmp_path / "out.wav", -20.0)
    y, at = soundfile.read(tmp_path / "out.wav", always_2d=True)
    assert (y.shape, at) == ((int(1.7 * rate), channels), rate)
    assert lufs == pytest.approx(integrated_loudness(y, rate), abs=0.01)
    assert lufs == pytest.approx(-20.0, abs=0.5)
    assert np.abs(y).max() <= CEILING + 1e-6


@pytest.mark.parametrize("suffix", [".flac", ".aiff", ".ogg", ".WAV", ""])
def test_the_name_says_the_format(tmp_path, suffix):
    path, out = put(tmp_path / "in.wav", sound(44100, 2, 1.0), 44100), tmp_path / f"out{suffix}"
    rendered(path, ChainSettings(), out)
    assert soundfile.info(out).format == (suffix.upper().lstrip(".") or "WAV")
    assert soundfile.info(out).frames == 44100


def test_more_channels_and_unknown_formats_are_refused_before_any_work(tmp_path):
    path = put(tmp_path / "in.wav", sound(48000, 6, 1.0), 48000)
    with pytest.raises(ClipError, match=r"6 channels \(5\.1\); afx-live plays mono and stereo: choose"):
        rendered(path, ChainSettings(), tmp_path / "out.wav")
    put(path, sound(48000, 2, 1.0), 48000)
    with pytest.raises(ClipError, match=r"\.xyz cannot be written"):
        rendered(path, ChainSettings(), tmp_path / "out.xyz")
    assert [p.name for p in tmp_path.iterdir()] == ["in.wav"]


def test_there_is_no_delay(tmp_path):
    x = np.zeros((48000, 1))
    x[[100, 30000, 47999]] = 0.5
    path = put(tmp_path / "in.wav", x, 48000)
    heard = read_clip(path)
    render(heard, Match(ChainSettings(), 48000, heard.lufs, None), tmp_path / "out.wav", no_step)
    y, _ = soundfile.read(tmp_path / "out.wav", always_2d=True)
    np.testing.assert_allclose(y, without_dc(x), atol=1e-6)


def test_rendering_twice_gives_the_same_bytes(tmp_path):
    path = put(tmp_path / "in.wav", sound(48000, 2), 48000)
    for name in ("a.wav", "b.wav"):
        rendered(path, WORKING, tmp_path / name, -18.0)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize("name", ["telephone", "drum-punch", "hall"])
def test_a_rendered_preset_is_what_the_engine_plays(tmp_path, name):
    x = sound(48000, 2, 3.0)
    path, preset = put(tmp_path / "in.wav", x, 48000), presets.load(name)
    settings, _ = rendered(path, preset.settings, tmp_path / "out.wav", preset.target_lufs)
    assert settings.effects == preset.settings.effects
    y, _ = soundfile.read(tmp_path / "out.wav", always_2d=True)
    given, _ = soundfile.read(path, dtype="float32")
    late = LOOKAHEAD + settings.latency
    played = Engine(settings, 48000, 2).process(np.concatenate([given, np.zeros((late, 2), np.float32)]))
    np.testing.assert_allclose(y, played[late:], atol=2**-23)


def test_a_rendered_distortion_is_in_time(tmp_path):
    """What the half-bands delay is taken off again, as a DAW would: the result lies over the input."""
    path = put(tmp_path / "in.wav", sound(48000, 1, 2.0), 48000)
    bare = ChainSettings((EffectSettings("distortion", {"drive_db": 0.0, "mix": 0.0}),))
    assert bare.latency > 0
    rendered(path, bare, tmp_path / "out.wav", None)
    x, y = (soundfile.read(p)[0] for p in (path, tmp_path / "out.wav"))
    spectrum = np.fft.rfft(x) * np.conj(np.fft.rfft(y))
    assert abs(np.argmax(np.roll(np.fft.irfft(spectrum, len(x)), 32)) - 32) <= 1


LOUD = ChainSettings(
    (EffectSettings("equaliser"), EffectSettings("reverb")), 48.0, -40.0
)  # between its effects far over what is let in


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("settings", "takes"), [(ChainSettings(), 1), (WORKING, 1), (LOUD, 2)])
def test_a_chain_in_two_parts_plays_the_bits_of_the_whole(tmp_path, monkeypatch, channels, settings, takes):
    """Where the engine would limit what goes from part to part, the whole is played in a second take."""
    path, played, play = put(tmp_path / "in.wav", sound(48000, channels, 3.0), 48000), [], rendering._played

    def listening(*given):
        played.append([])
        for block in play(*given):
            played[-1].append(block)
            yield block

    monkeypatch.setattr(rendering, "_played", listening)
    heard = read_clip(path)
    render(heard, Match(settings, 48000, heard.lufs, None), tmp_path / "out.wav", no_step)
    given, _ = soundfile.read(path, dtype="float32", always_2d=True)
    given = np.concatenate([given, np.zeros((LOOKAHEAD + settings.latency, channels), np.float32)])
    assert np.array_equal(np.concatenate(played[-1]), Engine(settings, 48000, channels).process(given))
    assert len(played) == takes


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["voice", "drums", "guitar"])
@pytest.mark.parametrize("target", [-35.0, -23.0, -16.0, -11.0])
def test_loudness_is_what_was_asked_even_where_the_ceiling_works(tmp_path, clip, target):
    path = put(tmp_path / "in.wav", sound(48000, 1, 6.0, clip), 48000)
    _, lufs = rendered(path, WORKING, tmp_path / "out.wav", target)
    y, _ = soundfile.read(tmp_path / "out.wav")
    assert integrated_loudness(y, 48000) == pytest.approx(target, abs=0.5)
    assert lufs == pytest.approx(target, abs=0.5)
    assert np.abs(y).max() <= 10 ** (-1 / 20) + 1e-6


def test_a_loudness_out_of_reach_ends_loud_and_under_the_ceiling(tmp_path):
    path = put(tmp_path / "in.wav", sound(48000, 1, 3.0, "drums"), 48000)
    _, lufs = rendered(path, ChainSettings(), tmp_path / "out.wav", 0.0)
    y, _ = soundfile.read(tmp_path / "out.wav")
    assert -12.0 < lufs < 0.0
    assert np.abs(y).max() <= CEILING + 1e-6


@pytest.mark.parametrize("frames", [1, 70, 4000, 19000, 24000])
def test_a_short_sound_can_be_rendered(tmp_path, frames):
    x = 0.1 * np.random.default_rng(0).standard_normal((frames, 1))
    path = put(tmp_path / "in.wav", x, 48000)
    _, lufs = rendered(path, ChainSettings(), tmp_path / "out.wav", -20.0)
    assert np.isfinite(lufs)
    assert soundfile.info(tmp_path / "out.wav").frames == frames
    if frames >= 4000:
        assert lufs == pytest.approx(-20.0, abs=0.5)


def test_nothing_is_overwritten_unasked(tmp_path):
    path = put(tmp_path / "in.wav", sound(48000, 1, 1.0), 48000)
    out = tmp_path / "out.wav"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match=r"out\.wav exists; add --force"):
        rendered(path, ChainSettings(), out)
    assert out.read_text() == "mine"
    rendered(path, ChainSettings(), out, force=True)
    assert soundfile.info(out).frames == 48000
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="is the input itself"):
        rendered(path, ChainSettings(), path, force=True)
    assert path.read_bytes() == before


def test_a_failed_write_leaves_no_file_and_the_old_one(tmp_path, monkeypatch):
    path = put(tmp_path / "in.wav", sound(48000, 1, 3.0), 48000)
    out = put(tmp_path / "out.wav", sound(48000, 1, 1.0), 48000)
    before, written = out.read_bytes(), soundfile.SoundFile.write

    def full(self, data):
        written(self, data)
        if self.tell() > 65536:
            raise soundfile.LibsndfileError(2, "disk full: ")

    monkeypatch.setattr(soundfile.SoundFile, "write", full)
    with pytest.raises(OSError, match="cannot be written"):
        rendered(path, ChainSettings(), out, force=True)
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav", "out.wav"]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    path = put(tmp_path / "in.wav", sound(48000, 1, 1.0), 48000)
    with pytest.raises(OSError, match="no such folder"):
        rendered(path, ChainSettings(), tmp_path / "nowhere" / "out.wav")


def test_progress_counts_the_frames_of_every_take(tmp_path):
    path, seen = put(tmp_path / "in.wav", sound(48000, 1, 2.0), 48000), []
    heard = read_clip(path)
    render(heard, given_settings(heard, ChainSettings(), -25.0), tmp_path / "out.wav", seen.append)
    assert sum(seen) == heard.frames  # the level that was solved is right
    wrong = replace(given_settings(heard, ChainSettings(), -25.0), target_lufs=-28.0)
    seen.clear()
    lufs = render(heard, wrong, tmp_path / "again.wav", seen.append).lufs
    assert sum(seen) == 2 * heard.frames
    assert lufs == pytest.approx(-28.0, abs=0.2)


@pytest.mark.slow
def test_a_matched_file_reaches_the_references_loudness(tmp_path, model):
    path = put(tmp_path / "in.wav", sound(44100, 2, 6.0, "guitar"), 44100)
    heard, wanted = read_clip(path), read_reference(presets.clip("guitar_reference"), model)
    found = match_clip(heard, model, [wanted])
    assert (found.input_lufs, found.target_lufs) == (heard.lufs, pytest.approx(wanted.lufs))
    lufs = render(heard, found, tmp_path / "out.wav", no_step).lufs
    assert lufs == pytest.approx(wanted.lufs, abs=0.5)


LONG = """
import json, resource, sys
from pathlib import Path
from afx_live import presets
from afx_live.matching import given_settings, read_clip
from afx_live.realtime.audio.render import render
peaks = []
for name in sys.argv[1:]:
    clip = read_clip(name)
    found = given_settings(clip, presets.load("warm").settings, -20.0)
    render(clip, found, Path(name).with_suffix(".flac"), lambda n: None)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps(peaks))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    piece = sound(16000, 2, 6.0)
    for name, times in (("minutes_2.wav", 20), ("minutes_8.wav", 80)):
        put(tmp_path / name, np.tile(piece, (times, 1)), 16000, "PCM_16")
    words = [sys.executable, "-c", LONG, str(tmp_path / "minutes_2.wav"), str(tmp_path / "minutes_8.wav")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    two, eight = json.loads(done.stdout)
    assert eight - two < 8.0  # MiB; the sound itself is 58 MiB in float32
    assert soundfile.info(Path(tmp_path / "minutes_8.flac")).duration == pytest.approx(480, rel=0.01)
