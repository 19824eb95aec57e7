"""What comes with the program: factory presets that are heard, and clips that are ours."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainPlayer
from afx_live.dsp.loudness import integrated_loudness
from afx_live.presets import load, to_json

HERE = Path(presets.__file__).resolve().parent
FACTORY = sorted(p.stem for p in HERE.glob("*.json"))
RATE = 48000


# --- factory --------------------------------------------------------------------------------------


def test_there_are_factory_presets():
    assert len(FACTORY) >= 8
    assert {"telephone", "warm", "bright", "broadcast", "podcast", "room", "hall", "lo-fi"} <= set(FACTORY)


@pytest.mark.parametrize("name", FACTORY)
def test_factory_preset_is_canonical(name):
    path = HERE / f"{name}.json"
    found = load(path)
    assert found.name == name
    assert found.notes.endswith(".")
    assert len(found.notes) < 100
    assert found.target_lufs is not None
    assert path.read_text() == to_json(found)


def material() -> np.ndarray:
    """Voice, guitar and drums in a row, at the loudness presets are made for: -23 LUFS."""
    x = np.concatenate([soundfile.read(presets.clip(name))[0][: 4 * RATE] for name in ("voice", "guitar", "drums")])
    return x * 10 ** ((-23.0 - integrated_loudness(x, RATE)) / 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", FACTORY)
@pytest.mark.parametrize("channels", [1, 2])
def test_factory_preset_is_heard_and_sane(name, channels):
    found = load(name)
    x = np.repeat(material()[:, None], channels, 1)
    y = ChainPlayer(found.settings.scaled(found.amount), RATE, channels).play(x)
    assert np.isfinite(y).all()
    mono = y[:, 0]
    lufs = integrated_loudness(mono, RATE)
    assert found.target_lufs is not None
    assert abs(lufs - found.target_lufs) < 5.0
    assert np.max(np.abs(mono)) < 4.0  # +12 dBFS: the safety stage has little to do
    louder = mono * 10 ** ((-23.0 - lufs) / 20)
    apart = integrated_loudness(louder - x[:, 0], RATE)  # how loud the difference is at equal loudness
    assert apart > -23.0 - 20.0


# --- clips ----------------------------------------------------------------------------------------

DRY = ("drums", "guitar", "voice")


def test_clips_are_there():
    assert presets.clips() == ("drums", "guitar", "guitar_reference", "voice", "voice_reference")
    with pytest.raises(KeyError, match="voice_reference"):
        presets.clip("flute")


@pytest.mark.parametrize("name", ["drums", "guitar", "guitar_reference", "voice", "voice_reference"])
def test_clip_is_short_and_heard(name):
    path = presets.clip(name)
    info = soundfile.info(path)
    x = soundfile.read(path)[0]
    assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
    assert 5.0 < info.duration < 8.5
    assert path.stat().st_size < 400_000
    assert np.max(np.abs(x)) < 0.98
    assert integrated_loudness(x, RATE) == pytest.approx(-26.0 if name in DRY else -16.0, abs=0.1)


@pytest.mark.slow
def test_dry_clips_are_made_by_our_program():
    place = Path(__file__).resolve().parents[2] / "bench" / "make_clips.py"
    spec = importlib.util.spec_from_file_location("make_clips", place)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    for name, x in program.dry_clips().items():
        kept = soundfile.read(presets.clip(name))[0]
        assert len(kept) == len(x)
        assert np.max(np.abs(kept - x)) < 1e-3
