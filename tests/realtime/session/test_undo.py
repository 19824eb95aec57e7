"""Undo: what is a step, and what it brings back."""

import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.realtime.session.controls import (
    AB,
    AMOUNT,
    BYPASS,
    FREEZE,
    MUTE,
    REDO,
    UNDO,
    UNMUTE,
    place_control,
)
from afx_live.realtime.session.undo import UndoHistory
from support.clips import bundled

OUTPUT_GAIN, RATIO = place_control("output", "gain_db"), place_control("compressor", "ratio")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds=1.0):
        self.now += seconds


@pytest.fixture
def clock(session):
    session.history = UndoHistory(made := Clock())
    return made


@pytest.fixture
def matched(clock, matched):
    """A first match that undo knows of."""
    return matched


def gains(session, control, count):
    """Undo or redo so often; returns the output gain after each."""
    found = []
    for _ in range(count):
        session.apply({control: 1.0})
        found.append(session.state.settings.output_gain_db)
    return found


def test_undo_goes_back_through_the_last_fifty_states_and_redo_forth(session, engine, clock):
    for n in range(60):
        clock.wait()
        session.apply({OUTPUT_GAIN: n / 2})
    wanted = [n / 2 for n in range(58, 8, -1)]
    assert gains(session, UNDO, 52) == [*wanted, 4.5, 4.5]  # 50 steps, and no further
    assert engine.asked[-1][0].output_gain_db == 4.5
    assert gains(session, REDO, 51) == [*wanted[-2::-1], 29.5, 29.5]


def test_a_change_after_an_undo_ends_the_future(session, clock):
    for value in (1.0, 2.0, 3.0):
        session.apply({OUTPUT_GAIN: value})
        clock.wait()
    assert gains(session, UNDO, 1) == [2.0]
    session.apply({OUTPUT_GAIN: 9.0})
    assert gains(session, REDO, 1) == [9.0]
    assert gains(session, UNDO, 1) == [2.0]


def test_a_fader_is_one_change_until_it_rests(session, clock):
    """Two faders at once are two, however often they take turns."""
    session.apply({OUTPUT_GAIN: -1.0})
    clock.wait()
    for n in range(100):
        session.apply({OUTPUT_GAIN: 0.1 * n})
        session.apply({RATIO: 2.0 + 0.1 * n})
        clock.wait(0.1)
    clock.wait(0.5)
    session.apply({OUTPUT_GAIN: 20.0})
    assert gains(session, UNDO, 3) == pytest.approx([9.9, 0.0, -1.0])
    assert session.history.depth == (1, 3)


def test_what_changes_nothing_is_no_state(session, clock):
    for values in (
        {OUTPUT_GAIN: 0.0},
        {place_control("limiter", "ceiling_db"): -3.0},
        {UNDO: 1.0},
    ):
        clock.wait()
        session.apply(values)
    for switch in (BYPASS, FREEZE, MUTE, AB, UNMUTE):
        session.apply({switch: 1.0})
    assert session.history.depth == (0, 0)


def test_undo_never_lets_the_sound_back_in(session, clock):
    session.apply({AMOUNT: 0.5})
    clock.wait()
    session.apply({AMOUNT: 0.7, MUTE: 1.0, BYPASS: 1.0})
    session.apply({UNDO: 1.0})
    assert session.state.amount == 0.5
    assert (session.state.muted, session.state.bypass) == (True, True)


def test_undo_brings_back_reference_preset_and_settings_and_they_hold(matched, engine, model, clock):
    guitar = matched.state.playing
    clock.wait()
    matched.matcher.use_reference(presets.clip("voice_reference"))
    voice = matched.state.playing
    clock.wait()
    matched.matcher.use_preset(presets.load("telephone"))
    telephone = matched.state.playing
    assert len({str(p.effects) for p in (guitar, voice, telephone)}) == 3

    def step(control):
        matched.apply({control: 1.0})
        engine.feed(bundled("drums", 3.0))
        matched.follower.listen()
        return matched.state.playing, matched.state.reference_name, matched.state.frozen

    assert step(UNDO) == (voice, "voice_reference.flac", True)
    assert step(UNDO) == (guitar, "guitar_reference.flac", True)  # the new reference and its match: one change
    step(UNDO)  # to before the very first match
    assert matched.state.settings.effects == ChainSettings.default(model.chain.order).effects
    assert matched.state.reference_name == "guitar_reference.flac"
    assert step(REDO) == (guitar, "guitar_reference.flac", True)
    step(REDO)
    matched.apply({REDO: 1.0})
    assert (matched.state.preset_name, matched.state.playing.effects) == ("telephone", telephone.effects)
    assert matched.state.frozen is False  # as it was before the first undo


@pytest.mark.slow
def test_after_an_undo_matching_goes_on_when_it_is_let(matched, engine, clock):
    clock.wait()
    matched.apply({place_control("distortion", "drive_db"): 3.0})
    matched.apply({UNDO: 1.0})
    assert matched.state.frozen is True
    held = matched.state.playing
    engine.feed(0.2 * bundled("drums", 14.0))
    matched.follower.listen()
    assert matched.state.playing == held
    matched.apply({FREEZE: 0.0})
    for _ in range(3):
        matched.follower.listen()
        engine.feed(0.2 * bundled("drums", 3.0))
    assert matched.state.playing != held
    assert matched.state.playing.effect("distortion").values["drive_db"] != 3.0  # it is not set by hand any more


def test_an_undo_during_a_match_wins(matched, engine, model, clock, monkeypatch):
    matched.apply({OUTPUT_GAIN: -3.0})
    matched.apply({UNDO: 1.0})
    matched.apply({FREEZE: 0.0})
    settings, redone = model.settings, []

    def meanwhile(*a):
        matched.apply({REDO: 1.0})
        redone.append(matched.state.playing)
        return settings(*a)

    monkeypatch.setattr(model, "settings", meanwhile)
    engine.feed(bundled("voice", 14.0))
    matched.follower.listen()
    assert redone[0].output_gain_db == -3.0
    assert matched.state.playing == redone[0]
