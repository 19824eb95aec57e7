"""What cannot be trained on is told before the work, and why."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from afx_live.training import datamodules
from afx_live.training.datamodules import NoRoom, TakesDataModule
from afx_live.training.recordings import NoRecordings, Recording, check_sides


def recording(name, seconds):
    return Recording(Path(name), 0.0, seconds, 48000, 1, name, "speech")


def test_one_group_cannot_be_held_out():
    with pytest.raises(NoRecordings, match=r'all 1 recordings are of one group \("a.wav"\).*--data.held_out'):
        check_sides([recording("a.wav", 60.0)], [])


@pytest.mark.parametrize(("train", "held_out", "side"), [(3.9, 9.0, "train on"), (9.0, 3.9, "validate on")])
def test_recordings_that_are_too_short_are_told_with_the_longest(train, held_out, side):
    with pytest.raises(NoRecordings, match=rf"none of the 2 recordings to {side}.* lasts 4 s.*the longest has 3\.9 s"):
        check_sides([recording("a", train), recording("b", 1.0)], [recording("c", held_out), recording("d", 1.0)])


def test_sides_that_work_pass():
    check_sides([recording("a", 4.0), recording("b", 1.0)], [recording("c", 5.0)])


@pytest.fixture
def folder(tmp_path):
    """Two sources of 6 s, each in a folder of its own."""
    for name in ("one/deep", "two/deep"):
        (tmp_path / "recordings" / name).mkdir(parents=True)
        noise = 0.1 * np.random.default_rng(0).standard_normal(6 * 16000)
        soundfile.write(tmp_path / "recordings" / name / "a.wav", noise, 16000)
    return tmp_path / "recordings"


def module(folder, tmp_path, **given):
    return TakesDataModule(str(folder), cache=str(tmp_path / "cache"), workers=0, **given)


@pytest.mark.parametrize("part", [slice(None), slice(0, 3 * 16000)])
def test_silence_is_told_and_not_drawn_for_ever(folder, tmp_path, part):
    for path in folder.rglob("*.wav"):
        x = soundfile.read(path)[0]
        x[part] = 0.0
        soundfile.write(path, x, 16000)
    with pytest.raises(NoRecordings, match="all 1 recordings to train on are silent in one of their halves"):
        module(folder, tmp_path, keep=1).prepare_data()


def test_a_full_disk_is_told_before_the_work(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(datamodules.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    with pytest.raises(NoRoom, match=r"room for 1\.0 GB.*need 1\.3 GB.*--data\.cache.*--data\.keep"):
        module(folder, tmp_path).prepare_data()
    assert not list((tmp_path / "cache").iterdir())


def test_a_disk_that_will_be_full_is_warned_of(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(datamodules.shutil, "disk_usage", lambda path: SimpleNamespace(free=5e9))
    monkeypatch.setattr(datamodules, "decoded", lambda *_: pytest.fail("enough"))
    with pytest.raises(pytest.fail.Exception, match="enough"):
        module(folder, tmp_path).prepare_data()
    assert "the takes will need 18." in caplog.text
