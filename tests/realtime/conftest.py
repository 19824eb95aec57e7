"""Fixtures for the live engine's tests."""

import shutil
import tempfile
import time
from collections import deque
from pathlib import Path

import pytest

from afx_live.realtime.view.keyboard import HELP
from support.terminals import Pty
from support.view import DRIVEN, Player, Sitting, publishing


@pytest.fixture(scope="module")
def home():
    """A folder as the engine's, where it would be."""
    folder = Path(tempfile.mkdtemp(prefix="afx-live-test-screen-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def player(home):
    made = Player(home, DRIVEN)
    made.feed(4.0)
    return made


@pytest.fixture(scope="module")
def publisher(player):
    said = deque([(time.time(), "OSC        udp 127.0.0.1:9123"), (time.time(), "Chain      one\n           two")])
    made = publishing(player, Sitting(DRIVEN, (0.12, 0.34, 0.56, 0.78)), said, "127.0.0.1:9123", HELP)
    made.publish()
    return made


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
