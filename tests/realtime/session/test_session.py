"""What a session chooses, how loud it is, and that it goes on whatever happens. The engine is the real one."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.dsp.loudness import integrated_loudness
from afx_live.matching.clips import ClipError
from afx_live.matching.reference import read_reference
from afx_live.realtime.session import level, matcher
from afx_live.realtime.session.controls import (
    AB,
    AMOUNT,
    BYPASS,
    FREEZE,
    MUTE,
    PRESET,
    REFERENCE,
    UNMUTE,
    place_control,
)
from afx_live.realtime.session.level import LevelAverage, Levels
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from support.clips import RATE, bundled
from support.waiting import until

# --- matching ----------------------------------------------------------------------------------------


def test_the_first_look_applies_a_match(matched, engine, references):
    assert matched.state.prediction is not None
    assert matched.state.playing.effect("distortion").enabled
    settings, flags = engine.asked[-1]
    assert settings == matched.state.playing
    assert flags["cross_over"]
    out = engine.feed(bundled("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)


def test_solved_levels_come_to_rest_and_follow_a_knob():
    average = LevelAverage()

    def solved(db, chain="chain"):
        return average.add(chain, Levels(0.0, db, 0.0)).output_gain_db

    assert max(map(abs, [solved(db) for db in (0.0, 1.0, -1.0, 0.0, 1.0, -1.0)][2:])) <= 0.4
    assert solved(-6.0) == -6.0
    assert solved(-5.0, "another") == -5.0


@pytest.mark.slow
@pytest.mark.parametrize("left", [1.0, 0.0], ids=["two instruments", "one side"])
def test_wide_stereo_gets_the_loudness_of_the_reference(session, engine, references, left):
    """Channels that have little in common are louder than their mean by up to 3 LU, and by more on one side."""
    both = np.stack([left * bundled("drums", 20.0), bundled("guitar", 20.0)], 1)
    engine.feed(both[: 6 * RATE])
    assert session.follower.listen()
    out = engine.feed(both[6 * RATE : 14 * RATE])[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)
    session.apply({BYPASS: 1.0})
    out = engine.feed(both[6 * RATE : 14 * RATE])[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_ignored(session, engine, level):
    engine.feed(level * bundled("guitar", 6.0))
    before = len(engine.asked)
    assert not session.follower.listen()
    assert session.state.prediction is None
    assert len(engine.asked) == before


def test_too_little_is_not_judged(session, engine):
    engine.feed(bundled("guitar", 2.0))
    assert not session.follower.listen()


def test_a_pause_keeps_the_match(matched, engine):
    playing = matched.state.playing
    engine.feed(np.zeros(6 * RATE))
    assert not matched.follower.listen()
    assert matched.state.playing == playing


@pytest.mark.slow
def test_settings_come_to_rest_on_steady_material(session, engine):
    x, seen = bundled("guitar", 60.0), []
    for i in range(15):
        engine.feed(x[i * 2 * RATE : (i + 1) * 2 * RATE] if i else bundled("guitar", 6.0))
        session.follower.listen()
        seen.append(session.state.playing)
    first, *later = seen[-6:]
    for playing in later:
        assert abs(playing.input_gain_db - first.input_gain_db) <= 0.5
        assert abs(playing.output_gain_db - first.output_gain_db) <= 0.5
        for now, then in zip(playing.effects, first.effects, strict=True):
            assert now.enabled == then.enabled
            for name, value in now.values.items():
                if name.endswith("_db"):
                    assert abs(value - then.values[name]) <= 0.5
                elif name.endswith("_hz"):
                    assert abs(np.log2(value / then.values[name])) <= 1 / 12


@pytest.mark.slow
def test_freeze_holds_until_it_is_let_go(matched, engine):
    playing = matched.state.playing
    matched.apply({FREEZE: 1.0})
    engine.feed(0.2 * bundled("drums", 14.0))
    matched.follower.listen()
    assert matched.state.playing == playing
    matched.apply({FREEZE: 0.0})
    matched.follower.listen()
    assert matched.state.playing != playing


@pytest.mark.slow
def test_what_is_set_by_hand_is_left_alone(matched, engine):
    matched.apply(
        {
            place_control("distortion", "drive_db"): 7.0,
            place_control("reverb", "bypass"): 1.0,
            place_control("compressor", "bypass"): 0.0,
            place_control("output", "gain_db"): -3.0,
        }
    )
    engine.feed(bundled("voice", 14.0))
    for _ in range(3):
        matched.follower.listen()
        engine.feed(bundled("drums", 3.0))
    playing = matched.state.playing
    assert playing.effect("distortion").values["drive_db"] == 7.0
    assert not playing.effect("reverb").enabled
    assert playing.effect("compressor").enabled
    assert playing.output_gain_db == -3.0


def test_with_the_input_gain_by_hand_the_loudness_is_right(matched, engine, references):
    matched.apply({place_control("input", "gain_db"): 15.0})
    matched.follower.listen()
    assert matched.state.playing.input_gain_db == 15.0
    out = engine.feed(bundled("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)


@pytest.mark.slow
def test_a_new_reference_is_matched_while_running(matched, engine, references):
    matched.apply({place_control("distortion", "drive_db"): 7.0})
    matched.matcher.use_reference(presets.clip("voice_reference"))
    assert matched.state.reference_name == "voice_reference.flac"
    assert matched.state.prediction is not None
    assert matched.state.playing.effect("distortion").values["drive_db"] != 7.0
    out = engine.feed(bundled("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["voice_reference"].lufs, abs=1.0)


def test_a_reference_that_is_none_changes_nothing(matched, engine, tmp_path):
    playing = matched.state.playing
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(ClipError):
        matched.matcher.use_reference(tmp_path / "text.wav")
    assert (matched.state.playing, matched.state.reference_name) == (playing, "guitar_reference.flac")


@pytest.mark.slow
def test_a_preset_takes_the_place_of_matching(matched, engine, model):
    preset = presets.load("telephone")
    matched.matcher.use_preset(preset)
    assert (matched.state.preset_name, matched.state.reference_name) == ("telephone", "")
    assert engine.asked[-1][1]["cross_over"]
    for _ in range(2):
        out = engine.feed(bundled("guitar", 7.6))[RATE // 2 :]
        matched.follower.listen()
        assert matched.state.playing.effects == preset.settings.scaled(preset.amount).effects
    assert preset.target_lufs is not None
    assert integrated_loudness(out, RATE) == pytest.approx(preset.target_lufs, abs=1.0)
    matched.matcher.use_reference(presets.clip("guitar_reference"))  # and back
    assert [s.effect for s in matched.state.playing.effects] == list(model.chain.order)


def test_the_session_is_a_preset_at_any_time(matched, engine, model):
    matched.apply({AMOUNT: 0.5})
    made = matched.preset("mine")
    again = presets.from_json(presets.to_json(made))
    assert again.amount == 0.5
    assert again.target_lufs == pytest.approx(-16.0, abs=0.1)
    assert again.source["references"][0]["file"] == "guitar_reference.flac"
    assert again.source["model"] == model.name
    for mine, other in zip(matched.state.settings.effects, again.settings.effects, strict=True):
        assert (mine.effect, mine.enabled) == (other.effect, other.enabled)
        assert other.values == pytest.approx(mine.values, rel=1e-5)


def test_a_reference_that_has_gone_since_costs_no_setting(engine, model, tmp_path):
    path = tmp_path / "r.wav"
    soundfile.write(path, bundled("guitar", 2.0), RATE)
    session = Session(
        engine, model, SessionState(presets.load("warm").settings, references=(read_reference(path, model),))
    )
    path.unlink()
    made = session.preset("last")
    assert made.settings == presets.load("warm").settings
    assert made.source["references"] == []


# --- amount, bypass, panic ---------------------------------------------------------------------------


@pytest.mark.slow
def test_amount_moves_sound_and_loudness_even_when_frozen(session, engine, references):
    session.start()
    engine.feed(bundled("guitar", 13.0))
    session.follower.listen()
    session.apply({FREEZE: 1.0})
    full = session.state.playing
    dry = integrated_loudness(np.repeat(bundled("guitar", 7.6)[:, None], 2, 1), RATE)
    wet = references["guitar_reference"].lufs
    for amount in (0.0, 0.5, 1.0):
        before = len(engine.asked)
        session.apply({AMOUNT: amount})
        until(lambda before=before: len(engine.asked) >= before + 2)
        out = engine.feed(bundled("guitar", 7.6))[RATE // 2 :]
        assert integrated_loudness(out, RATE) == pytest.approx(dry + amount * (wet - dry), abs=1.0)
        drive = session.state.playing.effect("distortion")
        assert drive.values["mix"] == pytest.approx(amount * full.effect("distortion").values["mix"], abs=1e-6)
    assert session.state.playing.effects == full.effects


def test_bypass_is_as_loud_as_the_sound(matched, engine, references):
    matched.apply({BYPASS: 1.0})
    x = bundled("guitar", 7.6)
    out = engine.feed(x)[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)
    late = x[RATE // 2 - 63 : len(x) - 63]  # the same sound, but for its level
    assert np.corrcoef(out[:, 0], late)[0, 1] > 0.999


@pytest.mark.slow
def test_panic_mutes_and_does_not_wait_for_matching(matched, engine, monkeypatch):
    busy, go_on = threading.Event(), threading.Event()

    def slow(*a):
        busy.set()
        assert go_on.wait(10.0)
        return a[0]

    monkeypatch.setattr(level, "solve_level", slow)
    look = threading.Thread(target=matched.follower.listen)
    look.start()
    assert busy.wait(10.0)
    begin = time.monotonic()
    matched.apply({MUTE: 1.0})
    assert matched.state.muted is True
    assert time.monotonic() - begin < 0.1
    assert np.abs(engine.feed(bundled("guitar", 1.0))[RATE // 10 :]).max() == 0.0
    go_on.set()
    look.join()
    matched.follower.listen()
    assert np.abs(engine.feed(bundled("guitar", 1.0))).max() == 0.0
    matched.apply({MUTE: 0.0})  # a pad let go
    assert matched.state.muted is True
    matched.apply({UNMUTE: 1.0, MUTE: 1.0})  # in one breath: what mutes wins
    assert np.abs(engine.feed(bundled("guitar", 1.0))).max() == 0.0
    matched.apply({UNMUTE: 1.0})
    assert np.abs(engine.feed(bundled("guitar", 1.0))).max() > 0.01


# --- A/B ---------------------------------------------------------------------------------------------


def test_ab_is_one_trigger_and_both_sides_are_equally_loud(matched, engine):
    x, heard = bundled("guitar", 7.6), []
    for bypassed in (True, False, True):
        matched.apply({AB: 1.0})
        assert matched.state.bypass is bypassed
        heard.append(integrated_loudness(engine.feed(x)[RATE // 2 :], RATE))
    assert heard[0] == pytest.approx(heard[1], abs=1.0)
    assert heard[2] == pytest.approx(heard[1], abs=1.0)


# --- the thread --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_session_matches_by_itself_and_follows_commands(session, engine):
    session.start()
    engine.feed(bundled("guitar", 6.0))
    until(lambda: session.state.prediction is not None)
    session.request(PRESET, "telephone")
    until(lambda: session.state.preset_name == "telephone")
    session.request(REFERENCE, "guitar_reference")
    until(lambda: session.state.reference_name == "guitar_reference.flac")
    session.request(REFERENCE, "nothing.wav")
    until(lambda: "'nothing.wav' is neither a bundled clip" in session.state.error)
    assert session.state.reference_name == "guitar_reference.flac"


def test_a_fault_in_matching_does_not_end_it(session, engine, model, monkeypatch):
    monkeypatch.setattr(matcher, "INTERVAL_S", 0.05)
    predict, faults = model.predict, []

    def broken(*a):
        faults.append(1)
        if len(faults) < 4:
            raise RuntimeError("a fault")
        return predict(*a)

    monkeypatch.setattr(model, "predict", broken)
    session.start()
    engine.feed(bundled("guitar", 6.0))
    until(lambda: "matching failed" in session.state.error)
    until(lambda: session.state.prediction is not None)
    until(lambda: session.state.error == "")
    assert session.matcher.thread.alive


def test_closing_is_quick_and_may_be_done_twice(session):
    session.start()
    for _ in range(30):
        session.request(REFERENCE, "nothing.wav")
    begin = time.monotonic()
    session.close()
    session.close()
    assert time.monotonic() - begin < 2.0
    assert not session.matcher.thread.alive
    assert "too many at once" in session.state.error or "neither a bundled clip" in session.state.error


def test_without_a_model_presets_are_followed_and_references_refused(engine):
    preset = presets.load("warm")
    session = Session(
        engine, None, SessionState(preset.settings, preset.amount, preset.target_lufs, preset_name="warm")
    )
    assert session.state.preset_name == "warm"
    session.edit(replace, "")
    engine.feed(0.3 * bundled("guitar", 13.0))
    assert session.follower.listen()
    out = engine.feed(0.3 * bundled("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(preset.target_lufs, abs=1.0)
    with pytest.raises(ValueError, match="no model is loaded"):
        session.matcher.use_reference(presets.clip("voice_reference"))
    session.close()
