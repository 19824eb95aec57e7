"""A home of its own, the real engine without a device, and a session on it."""

from dataclasses import replace

import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.matching.reference import read_reference
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from support.clips import bundled
from support.in_process import InProcess


@pytest.fixture(scope="session")
def references(model):
    return {n: read_reference(presets.clip(n), model) for n in ("voice_reference", "guitar_reference")}


@pytest.fixture(autouse=True)
def home(home):
    return home


@pytest.fixture
def engine():
    return InProcess()


@pytest.fixture
def session(engine, model, references):
    """A guitar that is to sound like a guitar through an amplifier; nothing heard yet."""
    state = SessionState(ChainSettings.default(model.chain.order), references=(references["guitar_reference"],))
    made = Session(engine, model, state)
    made.edit(replace, "")  # the engine is to play it
    yield made
    made.close()


@pytest.fixture
def matched(session, engine):
    """The same, when six seconds of it were matched."""
    engine.feed(bundled("guitar", 6.0))
    assert session.follower.listen()
    return session
