"""Fixtures for the live engine's tests."""

import shutil
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.matching.reference import read_reference
from afx_live.realtime.session import matcher
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from afx_live.realtime.view.keyboard import HELP
from support.clips import bundled
from support.in_process import InProcess
from support.terminals import Pty
from support.view import DRIVEN, Player, Sitting, publishing


@pytest.fixture(scope="module")
def engine_folder():
    """A folder as the engine's, where it would be."""
    folder = Path(tempfile.mkdtemp(prefix="afx-live-test-screen-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def player(engine_folder):
    made = Player(engine_folder, DRIVEN)
    made.feed(4.0)
    return made


@pytest.fixture(scope="module")
def publisher(player):
    said = deque([(time.time(), "OSC        udp 127.0.0.1:9123"), (time.time(), "Chain      one\n           two")])
    made = publishing(player, Sitting(DRIVEN, (0.12, 0.34, 0.56, 0.78)), said, "127.0.0.1:9123", HELP)
    made.publish()
    return made


@pytest.fixture
def matching(model, monkeypatch):
    """A session that listens twenty times a second, and hears a guitar."""
    monkeypatch.setattr(matcher, "INTERVAL_S", 0.05)
    engine: Any = InProcess()
    found = read_reference(presets.clip("guitar_reference"), model)
    made = Session(engine, model, SessionState(ChainSettings.default(model.chain.order), references=(found,)))
    engine.feed(bundled("guitar", 6.0))
    yield made
    made.close()


@pytest.fixture
def terminal():
    made = Pty()
    yield made
    made.close()


@pytest.fixture
def on_jack(jack, monkeypatch):
    for name, value in jack.env.items():
        monkeypatch.setenv(name, value)
    return jack
