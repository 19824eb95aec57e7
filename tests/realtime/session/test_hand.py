"""The user's hand on the matching: boldness, effects that are known or unwanted, locks, how much of each effect."""

import time

import numpy as np
import pytest

from afx_live import presets
from afx_live.realtime.session import matcher
from afx_live.realtime.session.controls import AMOUNT, BOLDNESS, FREEZE, UNDO, controls, hand_controls
from afx_live.realtime.session.state import SessionState
from support.clips import RATE, bundled

EFFECTS = ("equaliser", "compressor", "distortion", "reverb")


def hand(effect):
    return dict(zip(("amount", "only", "without", "lock"), hand_controls(effect), strict=True))


def decided(session, values):
    """Set values, and do at once what the matching thread would do about them; nothing is listened to."""
    session.apply(values)
    jobs = session.matcher._jobs
    assert not jobs.empty()
    while not jobs.empty():
        session.matcher._guarded(jobs.get())
    assert not session.state.error
    return session.state


def on(state):
    return {e.effect for e in state.settings.effects if e.enabled}


def test_every_control_has_a_name_of_its_own():
    names = [control.name for control in controls()]
    assert len(names) == len({*names})


def test_a_session_is_as_bold_as_its_model_until_somebody_says_otherwise(session, model):
    assert BOLDNESS.read(session.state) == model.decision.boldness


@pytest.mark.slow
def test_boldness_decides_anew_from_what_was_heard_in_silence_and_frozen(matched, engine):
    timid = decided(matched, {BOLDNESS: 0.0})
    engine.feed(np.zeros(RATE * 13))  # nothing to hear any more
    matched.apply({FREEZE: 1.0})
    bold = decided(matched, {BOLDNESS: 1.0})
    assert on(timid) < on(bold)
    assert "equaliser" in on(bold)
    assert bold.frozen
    assert decided(matched, {BOLDNESS: 0.0}).settings.effects == timid.settings.effects
    assert engine.asked[-1][0].effects == timid.settings.effects


@pytest.mark.slow
def test_a_change_of_boldness_is_undone_as_one_step(matched):
    first = matched.state
    assert decided(matched, {BOLDNESS: 1.0}).settings != first.settings
    matched.apply({UNDO: 1.0})
    assert BOLDNESS.read(matched.state) == BOLDNESS.read(first)
    assert matched.state.settings == first.settings


@pytest.mark.slow
def test_a_change_of_boldness_makes_no_click(matched, engine):
    """A tone stays a tone: nothing comes up above it while the equaliser moves."""
    decided(matched, {hand("distortion")["without"]: 1.0, hand("compressor")["without"]: 1.0})
    tone = 0.1 * np.sin(2 * np.pi * 300 * np.arange(RATE // 2) / RATE)
    y = [engine.feed(tone)]
    for boldness in (1.0, 0.0, 1.0):
        decided(matched, {BOLDNESS: boldness})
        y.append(engine.feed(tone))
    frames = np.concatenate(y)[RATE // 4 :, 0]
    frames = frames[: len(frames) // 480 * 480].reshape(-1, 480)
    spectra = np.abs(np.fft.rfft(frames * np.hanning(480), axis=1))
    assert spectra[:, 3].min() > 1.0  # it sounds
    assert (spectra[:, 100:].max(1) < 1e-3 * spectra[:, 3].max()).all()


@pytest.mark.slow
def test_what_is_named_is_used_and_nothing_else(matched):
    state = decided(matched, {hand("compressor")["only"]: 1.0})
    assert on(state) == {"compressor"}
    state = decided(matched, {hand("reverb")["only"]: 1.0})
    assert on(state) == {"compressor", "reverb"}


def test_what_is_unwanted_is_not_used(matched):
    state = decided(matched, {hand(effect)["without"]: 1.0 for effect in EFFECTS})
    assert not on(state)


@pytest.mark.slow
def test_a_locked_effect_stays_to_the_digit_and_what_was_set_by_hand_is_given_back(matched):
    named = {c.name: c for c in controls()}
    matched.apply({named["reverb/mix"]: 0.4, named["reverb/bypass"]: 0.0, hand("reverb")["lock"]: 1.0})
    reverb = matched.state.settings.effect("reverb")
    state = decided(matched, {BOLDNESS: 0.0})
    assert state.settings.effect("reverb") == reverb
    assert hand("reverb")["lock"].read(state)
    state = decided(matched, {hand("reverb")["lock"]: 0.0})
    assert state.settings.effect("reverb") != reverb
    assert not state.locked


def test_a_part_of_an_effect_is_heard_and_the_level_follows(matched, engine):
    matched.apply({hand("equaliser")["amount"]: 0.5})
    whole, half = matched.state.settings.effect("equaliser"), engine.asked[-1][0].effect("equaliser")
    assert half == whole.scaled(0.5)
    matched.apply({hand("equaliser")["amount"]: 1.0})
    assert engine.asked[-1][0].effect("equaliser") == whole
    assert not matched.state.shares


def test_what_was_asked_survives_in_the_autosave(matched, tmp_path):
    matched.apply({BOLDNESS: 0.8, hand("reverb")["without"]: 1.0, hand("equaliser")["amount"]: 0.25})
    presets.save(matched.preset(resumable=True), tmp_path / "saved.json")
    found = presets.load(tmp_path / "saved.json")
    state = SessionState(found.settings).with_choices(found.source["choices"])
    assert state.boldness == 0.8
    assert state.without == {"reverb"}
    assert state.shares == {"equaliser": 0.25}
    for mine, kept in ((matched.state.settings, state.settings), (matched.state.playing, state.playing)):
        for name, value in mine.effect("equaliser").values.items():
            assert kept.effect("equaliser").values[name] == pytest.approx(value, rel=1e-4)


def test_a_preset_says_how_it_was_matched_and_not_what_only_a_session_needs(matched):
    matched.apply({BOLDNESS: 0.8, hand("equaliser")["amount"]: 0.25})
    assert matched.preset().source["choices"] == {"boldness": 0.8}


@pytest.mark.slow
def test_it_is_explained_while_it_plays(matched, engine):
    matched.follower.explain()
    told = matched.state.explanation
    assert [e.effect for e in told.effects] == list(EFFECTS)
    assert {e.effect for e in told.effects if e.amount > 0.0} == on(matched.state)
    assert not told.enough  # a single look
    for _ in range(8):
        engine.feed(bundled("guitar", 2.0))
        matched.follower.listen()
    matched.follower.explain()
    assert matched.state.explanation.heard_s > told.heard_s
    assert matched.plain()["explanation"]["heard_s"] > 5


def test_what_is_set_by_hand_is_not_said_to_be_matched(matched):
    named = {c.name: c for c in controls()}
    matched.apply({named["reverb/mix"]: 0.4, named["reverb/bypass"]: 0.0})
    matched.follower.explain()
    told = next(e for e in matched.state.explanation.effects if e.effect == "reverb")
    assert told.why == "by hand"
    assert "set by hand" in str(told)


def test_a_fader_that_never_rests_does_not_keep_it_from_listening(matched, monkeypatch):
    heard: list[int] = []
    monkeypatch.setattr(matcher, "INTERVAL_S", 0.05)
    monkeypatch.setattr(matched.follower, "listen", lambda: heard.append(1))
    monkeypatch.setattr(matched.follower, "follow_level", lambda at_once: None)
    matched.matcher.start()
    end, n = time.monotonic() + 20.0, 0
    while len(heard) < 3:
        assert time.monotonic() < end
        matched.apply({AMOUNT: 0.01 * (n := (n + 1) % 90)})
