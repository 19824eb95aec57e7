"""A place to run commands in, and `afx-live` in this process."""

import socket

import pytest

from afx_live.realtime.audio import live_engine
from afx_live.realtime.audio.devices import Listing
from afx_live.realtime.cli import devices as devices_command
from afx_live.realtime.cli import playing, sources
from afx_live.realtime.cli.main import main
from support.fake_live import FakeLive


@pytest.fixture
def place(tmp_path, home, monkeypatch):
    """An empty folder to work in, a home of our own, and no sound card."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    nothing = Listing((), {"ALSA": (-1, -1), "JACK": (-1, -1)})
    for module in (devices_command, live_engine):
        monkeypatch.setattr(module, "query", lambda *a, **k: nothing)
    monkeypatch.setattr(sources, "first_start", lambda files: False)
    return tmp_path / "here"


@pytest.fixture
def afx(capsys, place):
    """Run afx-live in this process; returns exit code, standard output, standard error."""

    def run(*words):
        with pytest.raises(SystemExit) as end:
            main([str(w) for w in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return end.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(playing, "LiveEngine", FakeLive)
    monkeypatch.setattr(FakeLive, "closed", 0)
    monkeypatch.setattr(FakeLive, "read", 0)
    return FakeLive


@pytest.fixture
def port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
