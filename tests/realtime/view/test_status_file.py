"""What a second process can read."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from afx_live.realtime.audio import shared_folder
from afx_live.realtime.view import status_reader
from afx_live.realtime.view.status_reader import Ended, StatusReader
from support.view import DRIVEN, Sitting, publishing

RATE = 48000


def test_a_second_process_reads_what_the_engine_writes(player, publisher):
    source = StatusReader(player.folder)
    assert source.state() == json.loads(json.dumps(publisher.state()))
    player.feed(0.1)
    expected = player.meters()
    assert source.meters() == {name: expected[name] for name in expected}
    assert expected["callbacks"] > 0


def test_the_file_is_written_when_something_has_changed_and_whole(player):
    sitting = Sitting(DRIVEN)
    made = publishing(player, sitting)
    made.publish()
    made.publish()
    before = os.stat(player.folder / status_reader.FILE)
    made._round = 1  # no look at the spectrum
    made.publish()
    assert os.stat(player.folder / status_reader.FILE).st_mtime_ns == before.st_mtime_ns
    source = StatusReader(player.folder)
    old = source.state()
    assert source.state() is old
    sitting.state = replace(sitting.state, amount=0.5)
    made.publish()
    after = os.stat(player.folder / status_reader.FILE)
    assert after.st_ino != before.st_ino  # replaced as a whole
    assert source.state()["amount"] == 0.5


def test_trouble_with_the_file_is_logged_once_and_no_more(player, tmp_path, caplog):
    away = {"folder": tmp_path / "gone", "running": False, "sample_rate": RATE}
    made = publishing(SimpleNamespace(**{**vars(player), **away}), Sitting(DRIVEN))
    for _ in range(3):
        made._guarded()
    assert len(caplog.records) == 1
    (tmp_path / "gone").mkdir()
    made._guarded()
    assert (tmp_path / "gone" / status_reader.FILE).exists()


def test_a_source_that_vanishes_has_ended(tmp_path, player, publisher):
    shutil.copytree(player.folder, tmp_path / "copy")
    source = StatusReader(tmp_path / "copy")
    source.meters()
    shutil.rmtree(tmp_path / "copy")
    with pytest.raises(Ended):
        source.state()


def test_only_what_runs_is_found(tmp_path, monkeypatch, publisher):
    monkeypatch.setattr(shared_folder, "MEMORY", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    known = publisher.state()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    texts = {
        "old": json.dumps(known),
        "new": json.dumps(known),
        "dead": json.dumps({**known, "pid": dead.pid}),
        "broken": "{",
        "strange": "[]",
    }
    for i, (name, text) in enumerate(texts.items()):
        folder = tmp_path / f"afx-live-{name}"
        folder.mkdir()
        (folder / status_reader.FILE).write_text(text)
        os.utime(folder / status_reader.FILE, (i, i))
    assert [f.name for f in status_reader.running()] == ["afx-live-new", "afx-live-old"]
