"""The session: what it chooses, who may change it, and that it goes on whatever happens. The engine is the real one."""

import threading
import time

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.dsp.loudness import integrated_loudness
from afx_live.matching import ClipError, MatchModel, read_reference
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.session import listener
from afx_live.realtime.session import session as session_module
from afx_live.realtime.session.listener import InputAnalyser, allowed_clip, allowed_preset
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.undo import UndoHistory
from support.in_process import RATE, InProcess, clip, until


@pytest.fixture(scope="module")
def model():
    return MatchModel(SHIPPED_MODEL)


@pytest.fixture(scope="module")
def references(model):
    return {n: read_reference(presets.clip(n), model) for n in ("voice_reference", "guitar_reference")}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path / "home"))


@pytest.fixture
def engine():
    return InProcess()


@pytest.fixture
def session(engine, model, references):
    """A guitar that is to sound like a guitar through an amplifier; nothing heard yet."""
    made = Session(engine, model, ChainSettings.default(model.chain.order), [references["guitar_reference"]])
    with made._lock:
        made._send()
    yield made
    made.close()


def matched(session, engine):
    engine.feed(clip("guitar"))
    assert session.look()
    return session


# --- matching -------------------------------------------------------------------------------------


def test_the_first_look_applies_a_match(session, engine, references):
    matched(session, engine)
    assert session.prediction is not None
    assert session.playing.effect("distortion").enabled
    settings, flags = engine.asked[-1]
    assert settings == session.playing
    assert flags["cross_over"]
    out = engine.feed(clip("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)


def test_solved_levels_come_to_rest_and_follow_a_knob():
    ear = InputAnalyser(None, None)  # pyright: ignore[reportArgumentType]
    solved = [ear._rested(("chain",), {"output": db})["output"] for db in (0.0, 1.0, -1.0, 0.0, 1.0, -1.0)]
    assert max(map(abs, solved[2:])) <= 0.4
    assert ear._rested(("chain",), {"output": -6.0})["output"] == -6.0
    assert ear._rested(("another",), {"output": -5.0})["output"] == -5.0


@pytest.mark.parametrize("left", [1.0, 0.0], ids=["two instruments", "one side"])
def test_wide_stereo_gets_the_loudness_of_the_reference(session, engine, references, left):
    """Channels that have little in common are louder than their mean by up to 3 LU, and by more on one side."""
    both = np.stack([left * clip("drums", 20.0), clip("guitar", 20.0)], 1)
    engine.feed(both[: 6 * RATE])
    assert session.look()
    out = engine.feed(both[6 * RATE : 14 * RATE])[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)
    session.apply({"/afx/bypass": 1.0})
    out = engine.feed(both[6 * RATE : 14 * RATE])[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_ignored(session, engine, level):
    engine.feed(level * clip("guitar"))
    before = len(engine.asked)
    assert not session.look()
    assert session.prediction is None
    assert len(engine.asked) == before


def test_too_little_is_not_judged(session, engine):
    engine.feed(clip("guitar", 2.0))
    assert not session.look()


def test_a_pause_keeps_the_match(session, engine):
    playing = matched(session, engine).playing
    engine.feed(np.zeros(6 * RATE))
    assert not session.look()
    assert session.playing == playing


def test_settings_come_to_rest_on_steady_material(session, engine):
    x, seen = clip("guitar", 60.0), []
    for i in range(15):
        engine.feed(x[i * 2 * RATE : (i + 1) * 2 * RATE] if i else clip("guitar"))
        session.look()
        seen.append(session.playing)
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


def test_freeze_holds_until_it_is_let_go(session, engine):
    playing = matched(session, engine).playing
    session.apply({"/afx/freeze": 1.0})
    engine.feed(0.2 * clip("drums", 14.0))
    session.look()
    assert session.playing == playing
    session.apply({"/afx/freeze": 0.0})
    session.look()
    assert session.playing != playing


def test_what_is_set_by_hand_is_left_alone(session, engine):
    matched(session, engine)
    session.apply(
        {
            "/afx/distortion/drive_db": 7.0,
            "/afx/reverb/bypass": 1.0,
            "/afx/compressor/bypass": 0.0,
            "/afx/output/gain_db": -3.0,
        }
    )
    engine.feed(clip("voice", 14.0))
    for _ in range(3):
        session.look()
        engine.feed(clip("drums", 3.0))
    playing = session.playing
    assert playing.effect("distortion").values["drive_db"] == 7.0
    assert not playing.effect("reverb").enabled
    assert playing.effect("compressor").enabled
    assert playing.output_gain_db == -3.0


def test_with_the_input_gain_by_hand_the_loudness_is_right(session, engine, references):
    matched(session, engine)
    session.apply({"/afx/input/gain_db": 15.0})
    session.look()
    assert session.playing.input_gain_db == 15.0
    out = engine.feed(clip("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)


def test_a_new_reference_is_matched_while_running(session, engine, references):
    matched(session, engine)
    session.apply({"/afx/distortion/drive_db": 7.0})
    session.use_reference(presets.clip("voice_reference"))
    assert session.value("/afx/reference") == "voice_reference.flac"
    assert session.prediction is not None
    assert session.playing.effect("distortion").values["drive_db"] != 7.0
    out = engine.feed(clip("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["voice_reference"].lufs, abs=1.0)


def test_a_reference_that_is_none_changes_nothing(session, engine, tmp_path):
    playing = matched(session, engine).playing
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(ClipError):
        session.use_reference(tmp_path / "text.wav")
    assert (session.playing, session.value("/afx/reference")) == (playing, "guitar_reference.flac")


def test_a_preset_takes_the_place_of_matching(session, engine, model):
    matched(session, engine)
    preset = presets.load("telephone")
    session.use_preset(preset)
    assert (session.value("/afx/preset/load"), session.value("/afx/reference")) == ("telephone", "")
    assert engine.asked[-1][1]["cross_over"]
    for _ in range(2):
        out = engine.feed(clip("guitar", 7.6))[RATE // 2 :]
        session.look()
        assert session.playing.effects == preset.settings.scaled(preset.amount).effects
    assert preset.target_lufs is not None
    assert integrated_loudness(out, RATE) == pytest.approx(preset.target_lufs, abs=1.0)
    session.use_reference(presets.clip("guitar_reference"))  # and back
    assert [s.effect for s in session.playing.effects] == list(model.chain.order)


def test_the_session_is_a_preset_at_any_time(session, engine, model):
    matched(session, engine).apply({"/afx/amount": 0.5})
    made = session.preset("mine")
    again = presets.from_json(presets.to_json(made))
    assert again.amount == 0.5
    assert again.target_lufs == pytest.approx(-16.0, abs=0.1)
    assert again.source["references"][0]["file"] == "guitar_reference.flac"
    assert again.source["model"] == model.name
    for mine, other in zip(session._base.effects, again.settings.effects, strict=True):
        assert (mine.effect, mine.enabled) == (other.effect, other.enabled)
        assert other.values == pytest.approx(mine.values, rel=1e-5)


def test_a_reference_that_has_gone_since_costs_no_setting(engine, model, tmp_path):
    path = tmp_path / "r.wav"
    soundfile.write(path, clip("guitar", 2.0), RATE)
    session = Session(engine, model, presets.load("warm").settings, [read_reference(path, model)])
    path.unlink()
    made = session.preset("last")
    assert made.settings == presets.load("warm").settings
    assert made.source["references"] == []


# --- amount, bypass, panic ------------------------------------------------------------------------


def test_amount_moves_sound_and_loudness_even_when_frozen(session, engine, references):
    session.start()
    engine.feed(clip("guitar", 13.0))
    session.look()
    session.apply({"/afx/freeze": 1.0})
    full = session.playing
    dry = integrated_loudness(np.repeat(clip("guitar", 7.6)[:, None], 2, 1), RATE)
    wet = references["guitar_reference"].lufs
    for amount in (0.0, 0.5, 1.0):
        before = len(engine.asked)
        session.apply({"/afx/amount": amount})
        until(lambda before=before: len(engine.asked) >= before + 2)
        out = engine.feed(clip("guitar", 7.6))[RATE // 2 :]
        assert integrated_loudness(out, RATE) == pytest.approx(dry + amount * (wet - dry), abs=1.0)
        drive = session.playing.effect("distortion")
        assert drive.values["mix"] == pytest.approx(amount * full.effect("distortion").values["mix"], abs=1e-6)
    assert session.playing.effects == full.effects


def test_bypass_is_as_loud_as_the_sound(session, engine, references):
    matched(session, engine)
    session.apply({"/afx/bypass": 1.0})
    x = clip("guitar", 7.6)
    out = engine.feed(x)[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(references["guitar_reference"].lufs, abs=1.0)
    late = x[RATE // 2 - 63 : len(x) - 63]  # the same sound, but for its level
    assert np.corrcoef(out[:, 0], late)[0, 1] > 0.999


def test_panic_mutes_and_does_not_wait_for_matching(session, engine, monkeypatch):
    matched(session, engine)
    busy, go_on = threading.Event(), threading.Event()

    def slow(*a):
        busy.set()
        assert go_on.wait(10.0)
        return a[0]

    monkeypatch.setattr(listener, "solve_level", slow)
    look = threading.Thread(target=session.look)
    look.start()
    assert busy.wait(10.0)
    begin = time.monotonic()
    session.apply({"/afx/panic": 1.0})
    assert session.value("/afx/panic") is True
    assert time.monotonic() - begin < 0.1
    assert np.abs(engine.feed(clip("guitar", 1.0))[RATE // 10 :]).max() == 0.0
    go_on.set()
    look.join()
    session.look()
    assert np.abs(engine.feed(clip("guitar", 1.0))).max() == 0.0
    session.apply({"/afx/panic": 0.0})  # a pad let go
    assert session.value("/afx/panic") is True
    session.apply({"/afx/panic/clear": 1.0, "/afx/panic": 1.0})  # in one breath: what mutes wins
    assert np.abs(engine.feed(clip("guitar", 1.0))).max() == 0.0
    session.apply({"/afx/panic/clear": 1.0})
    assert np.abs(engine.feed(clip("guitar", 1.0))).max() > 0.01


# --- what OSC asks for ----------------------------------------------------------------------------


def test_apply_is_one_command_to_the_engine(session, engine):
    before = len(engine.asked)
    session.apply(
        {
            "/afx/compressor/ratio": 5.0,
            "/afx/compressor/threshold_db": -31.0,
            "/afx/equaliser/bypass": 0.0,
            "/afx/input/gain_db": 3.0,
            "/afx/bypass": 1.0,
        }
    )
    assert len(engine.asked) == before + 1
    settings, flags = engine.asked[-1]
    assert settings.effect("compressor").values["ratio"] == pytest.approx(5.0)
    assert settings.effect("compressor").values["threshold_db"] == pytest.approx(-31.0)
    assert settings.effect("equaliser").enabled
    assert settings.input_gain_db == 3.0
    assert flags["bypass"]


def test_every_address_has_a_value_and_keeps_what_is_set(session):
    for a in addresses():
        value = session.value(a.target)
        assert isinstance(value, float | str | bool), a.path
        assert isinstance(value, str) == (a.kind == "string"), a.path
        if a.kind != "float" or a.param is not None:
            continue
        session.apply({a.path: a.low + 0.25 * (a.high - a.low)})
        in_chain = a.path.split("/")[2] in (
            *[s.effect for s in session.playing.effects],
            "amount",
            "morph",
            "input",
            "output",
        )
        assert session.value(a.path) == pytest.approx(a.low + 0.25 * (a.high - a.low) if in_chain else 0.0)


def test_switches_are_answered_as_they_were_set(session):
    for path in ("/afx/bypass", "/afx/freeze", "/afx/reverb/bypass"):
        for value in (1.0, 0.0):
            session.apply({path: value})
            assert session.value(path) is bool(value)
    assert session.value("/afx/limiter/bypass") is True  # not in the chain


def test_references_are_read_only_from_allowed_folders(session, tmp_path):
    inside, outside = tmp_path / "clips", tmp_path / "secret"
    for folder in (inside / "deep", outside):
        folder.mkdir(parents=True)
        soundfile.write(folder / "a.wav", clip("voice", 2.0), RATE)
    (inside / "link.wav").symlink_to(outside / "a.wav")
    (inside / "linked").symlink_to(outside)
    (inside / "here.wav").symlink_to(inside / "deep" / "a.wav")
    folders = [inside.resolve()]
    assert (
        allowed_clip("deep/a.wav", folders)
        == allowed_clip("here.wav", folders)
        == (inside / "deep" / "a.wav").resolve()
    )
    assert allowed_clip("voice_reference", folders) == presets.clip("voice_reference")
    for name in (
        "../../etc/passwd",
        "/etc/passwd",
        str(outside / "a.wav"),
        "../secret/a.wav",
        "deep/../../secret/a.wav",
        "link.wav",
        "linked/a.wav",
        "",
        ".",
        "deep",
        "nothing.wav",
        "~/a.wav",
        "../clips",
    ):
        with pytest.raises(ClipError, match="neither a bundled clip nor in"):
            allowed_clip(name, folders)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "x.json", "", "no such preset", "a/b"])
def test_presets_are_loaded_only_by_name(session, name):
    with pytest.raises(presets.PresetError, match="is not a preset; there are"):
        allowed_preset(name)


def test_names_that_the_system_refuses_do_no_harm(session):
    session.start()
    for name in ("\0", "a" * 5000, "\ud800", "x\0.wav"):
        for path in ("/afx/reference", "/afx/preset/load"):
            session.error = ""
            session.command(path, name)
            until(lambda: session.error)
    assert session._worker.alive


# --- undo -----------------------------------------------------------------------------------------


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
    session._history = UndoHistory(made := Clock())
    return made


def gains(session, path, count):
    """Undo or redo so often; returns the output gain after each."""
    found = []
    for _ in range(count):
        session.apply({path: 1.0})
        found.append(session.value("/afx/output/gain_db"))
    return found


def test_undo_goes_back_through_the_last_fifty_states_and_redo_forth(session, engine, clock):
    for n in range(60):
        clock.wait()
        session.apply({"/afx/output/gain_db": n / 2})
    wanted = [n / 2 for n in range(58, 8, -1)]
    assert gains(session, "/afx/undo", 52) == [*wanted, 4.5, 4.5]  # 50 steps, and no further
    assert engine.asked[-1][0].output_gain_db == 4.5
    assert gains(session, "/afx/redo", 51) == [*wanted[-2::-1], 29.5, 29.5]


def test_a_change_after_an_undo_ends_the_future(session, clock):
    for value in (1.0, 2.0, 3.0):
        session.apply({"/afx/output/gain_db": value})
        clock.wait()
    assert gains(session, "/afx/undo", 1) == [2.0]
    session.apply({"/afx/output/gain_db": 9.0})
    assert gains(session, "/afx/redo", 1) == [9.0]
    assert gains(session, "/afx/undo", 1) == [2.0]


def test_a_fader_is_one_change_until_it_rests(session, clock):
    """Two faders at once are two, however often they take turns."""
    session.apply({"/afx/output/gain_db": -1.0})
    clock.wait()
    for n in range(100):
        session.apply({"/afx/output/gain_db": 0.1 * n})
        session.apply({"/afx/compressor/ratio": 2.0 + 0.1 * n})
        clock.wait(0.1)
    clock.wait(0.5)
    session.apply({"/afx/output/gain_db": 20.0})
    assert gains(session, "/afx/undo", 3) == pytest.approx([9.9, 0.0, -1.0])
    assert session._history.depth == (1, 3)


def test_what_changes_nothing_is_no_state(session, clock):
    for values in ({"/afx/output/gain_db": 0.0}, {"/afx/limiter/ceiling_db": -3.0}, {"/afx/undo": 1.0}):
        clock.wait()
        session.apply(values)
    for switch in ("/afx/bypass", "/afx/freeze", "/afx/panic", "/afx/ab", "/afx/panic/clear"):
        session.apply({switch: 1.0})
    assert session._history.depth == (0, 0)


def test_undo_never_lets_the_sound_back_in(session, clock):
    session.apply({"/afx/amount": 0.5})
    clock.wait()
    session.apply({"/afx/amount": 0.7, "/afx/panic": 1.0, "/afx/bypass": 1.0})
    session.apply({"/afx/undo": 1.0})
    assert session.value("/afx/amount") == 0.5
    assert (session.value("/afx/panic"), session.value("/afx/bypass")) == (True, True)


def test_undo_brings_back_reference_preset_and_settings_and_they_hold(session, engine, clock):
    guitar = matched(session, engine).playing
    clock.wait()
    session.use_reference(presets.clip("voice_reference"))
    voice = session.playing
    clock.wait()
    session.use_preset(presets.load("telephone"))
    telephone = session.playing
    assert len({str(p.effects) for p in (guitar, voice, telephone)}) == 3

    def step(path):
        session.apply({path: 1.0})
        engine.feed(clip("drums", 3.0))
        session.look()
        return session.playing, session.value("/afx/reference"), session.value("/afx/freeze")

    assert step("/afx/undo") == (voice, "voice_reference.flac", True)
    assert step("/afx/undo") == (guitar, "guitar_reference.flac", True)  # the new reference and its match: one change
    step("/afx/undo")  # to before the very first match
    assert session._base.effects == ChainSettings.default(session._predictor.chain.order).effects
    assert session.value("/afx/reference") == "guitar_reference.flac"
    assert step("/afx/redo") == (guitar, "guitar_reference.flac", True)
    step("/afx/redo")
    session.apply({"/afx/redo": 1.0})
    assert (session.value("/afx/preset/load"), session.playing.effects) == ("telephone", telephone.effects)
    assert session.value("/afx/freeze") is False  # as it was before the first undo


def test_after_an_undo_matching_goes_on_when_it_is_let(session, engine, clock):
    matched(session, engine)
    clock.wait()
    session.apply({"/afx/distortion/drive_db": 3.0})
    session.apply({"/afx/undo": 1.0})
    assert session.value("/afx/freeze") is True
    held = session.playing
    engine.feed(0.2 * clip("drums", 14.0))
    session.look()
    assert session.playing == held
    session.apply({"/afx/freeze": 0.0})
    for _ in range(3):
        session.look()
        engine.feed(0.2 * clip("drums", 3.0))
    assert session.playing != held
    assert session.playing.effect("distortion").values["drive_db"] != 3.0  # it is not set by hand any more


def test_an_undo_during_a_match_wins(session, engine, model, clock, monkeypatch):
    matched(session, engine)
    session.apply({"/afx/output/gain_db": -3.0})
    session.apply({"/afx/undo": 1.0})
    session.apply({"/afx/freeze": 0.0})
    settings, redone = model.settings, []

    def meanwhile(*a):
        session.apply({"/afx/redo": 1.0})
        redone.append(session.playing)
        return settings(*a)

    monkeypatch.setattr(model, "settings", meanwhile)
    engine.feed(clip("voice", 14.0))
    session.look()
    assert redone[0].output_gain_db == -3.0
    assert session.playing == redone[0]


# --- A/B ------------------------------------------------------------------------------------------


def test_ab_is_one_trigger_and_both_sides_are_equally_loud(session, engine):
    matched(session, engine)
    x, heard = clip("guitar", 7.6), []
    for bypassed in (True, False, True):
        session.apply({"/afx/ab": 1.0})
        assert session.value("/afx/bypass") is bypassed
        heard.append(integrated_loudness(engine.feed(x)[RATE // 2 :], RATE))
    assert heard[0] == pytest.approx(heard[1], abs=1.0)
    assert heard[2] == pytest.approx(heard[1], abs=1.0)


# --- the thread -----------------------------------------------------------------------------------


def test_a_session_matches_by_itself_and_follows_commands(session, engine):
    session.start()
    engine.feed(clip("guitar"))
    until(lambda: session.prediction is not None)
    session.command("/afx/preset/load", "telephone")
    until(lambda: session.value("/afx/preset/load") == "telephone")
    session.command("/afx/reference", "guitar_reference")
    until(lambda: session.value("/afx/reference") == "guitar_reference.flac")
    session.command("/afx/reference", "nothing.wav")
    until(lambda: "'nothing.wav' is neither a bundled clip" in session.error)
    assert session.value("/afx/reference") == "guitar_reference.flac"


def test_a_fault_in_matching_does_not_end_it(session, engine, model, monkeypatch):
    monkeypatch.setattr(session_module, "LOOK_S", 0.05)
    predict, faults = model.predict, []

    def broken(*a):
        faults.append(1)
        if len(faults) < 4:
            raise RuntimeError("a fault")
        return predict(*a)

    monkeypatch.setattr(model, "predict", broken)
    session.start()
    engine.feed(clip("guitar"))
    until(lambda: "matching failed" in session.error)
    until(lambda: session.prediction is not None)
    until(lambda: session.error == "")
    assert session._worker.alive


def test_closing_is_quick_and_may_be_done_twice(session):
    session.start()
    for _ in range(30):
        session.command("/afx/reference", "nothing.wav")
    begin = time.monotonic()
    session.close()
    session.close()
    assert time.monotonic() - begin < 2.0
    assert not session._worker.alive
    assert "too many at once" in session.error or "neither a bundled clip" in session.error


def test_without_a_model_presets_are_followed_and_references_refused(engine):
    preset = presets.load("warm")
    session = Session(engine, None, preset.settings, (), preset.amount, preset.target_lufs, preset_name="warm")
    assert session.value("/afx/preset/load") == "warm"
    with session._lock:
        session._send()
    engine.feed(0.3 * clip("guitar", 13.0))
    assert session.look()
    out = engine.feed(0.3 * clip("guitar", 7.6))[RATE // 2 :]
    assert integrated_loudness(out, RATE) == pytest.approx(preset.target_lufs, abs=1.0)
    with pytest.raises(ValueError, match="no model is loaded"):
        session.use_reference(presets.clip("voice_reference"))
    session.close()
