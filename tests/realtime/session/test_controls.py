"""What clients may ask of a session: values by control, clips and presets by name, all of it as plain data."""

import json
import threading
from dataclasses import replace

import pytest
import soundfile

from afx_live import presets
from afx_live.matching.clips import ClipError
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.session.allowed import allowed_clip, allowed_preset
from afx_live.realtime.session.controls import (
    BYPASS,
    FREEZE,
    PRESET,
    REFERENCE,
    UNDO,
    controls,
    place_control,
)
from support.clips import RATE, bundled
from support.waiting import until

# --- values ---------------------------------------------------------------------------------------


def test_apply_is_one_command_to_the_engine(session, engine):
    before = len(engine.asked)
    session.apply(
        {
            place_control("compressor", "ratio"): 5.0,
            place_control("compressor", "threshold_db"): -31.0,
            place_control("equaliser", "bypass"): 0.0,
            place_control("input", "gain_db"): 3.0,
            BYPASS: 1.0,
        }
    )
    assert len(engine.asked) == before + 1
    settings, flags = engine.asked[-1]
    assert settings.effect("compressor").values["ratio"] == pytest.approx(5.0)
    assert settings.effect("compressor").values["threshold_db"] == pytest.approx(-31.0)
    assert settings.effect("equaliser").enabled
    assert settings.input_gain_db == 3.0
    assert flags["bypass"]


def test_every_control_has_a_value_of_its_kind(session):
    kinds = {"number": float, "switch": bool, "trigger": bool, "text": str, "told": str}
    for control in controls():
        assert isinstance(control.read(session.state), kinds[control.kind]), control.name


def test_every_address_has_a_control_that_keeps_what_is_set(session):
    for a in addresses():
        if a.kind != "float" or a.param is not None:
            continue
        assert a.control
        session.apply({a.control: a.low + 0.25 * (a.high - a.low)})
        in_chain = a.path.split("/")[2] in (
            *[s.effect for s in session.state.playing.effects],
            "amount",
            "boldness",
            "morph",
            "input",
            "output",
        )
        idle = 1.0 if a.path.endswith("/amount") else 0.0
        assert a.control.read(session.state) == pytest.approx(a.low + 0.25 * (a.high - a.low) if in_chain else idle)


def test_switches_are_answered_as_they_were_set(session):
    for control in (BYPASS, FREEZE, place_control("reverb", "bypass")):
        for value in (1.0, 0.0):
            session.apply({control: value})
            assert control.read(session.state) is bool(value)
    assert place_control("limiter", "bypass").read(session.state) is True  # not in the chain


# --- as plain data --------------------------------------------------------------------------------


def test_the_whole_state_is_json_and_its_values_can_be_sent_back(matched, engine):
    matched.send({"compressor/ratio": 5, "distortion/drive_db": 7.5, "reverb/bypass": True, "morph": 0.25})
    first = json.loads(json.dumps(matched.plain()))
    assert first["values"]["compressor/ratio"] == 5.0
    assert first["values"]["reverb/bypass"] is True
    assert first["values"]["reference"] == "guitar_reference.flac"
    assert first["locked"] == ["compressor/ratio", "distortion/drive_db", "reverb/bypass"]
    assert list(first["probability"]) == first["chain"]
    assert first["undo"] == 2  # the match, and what was sent
    assert first["target_lufs"] == pytest.approx(-16.0, abs=0.1)
    before = len(engine.asked)
    matched.send({name: value for name, value in first["values"].items() if not isinstance(value, str)})
    assert len(engine.asked) == before + 1
    assert matched.plain()["values"] == first["values"]


def test_texts_are_requested_and_triggers_pulled_by_name(session):
    session.start()
    session.send({"preset": "telephone", "amount": 0.5})
    until(lambda: session.state.preset_name == "telephone")
    session.send({"mute": True, "ab": 1})
    assert (session.state.muted, session.state.bypass) == (True, True)
    session.send({"unmute": 1, "ab": 0})
    assert (session.state.muted, session.state.bypass) == (False, True)
    session.send({"undo": True})
    assert session.state.preset_name == ""


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"compresor/ratio": 2.0}, r'"compresor/ratio" is not a control \(did you mean compressor/ratio\?\)'),
        ({"x" * 5000: 2.0}, "is not a control"),
        ({"amount": "1"}, 'amount: a finite number or true or false is needed, not "1"'),
        ({"amount": float("nan")}, "not nan"),
        ({"amount": None}, "not nothing"),
        ({"amount": [1.0] * 500}, "not a list"),
        ({"amount": 10**400}, "not a huge number"),
        ({"reference": 3}, "reference: a text is needed, not 3"),
    ],
)
def test_what_is_sent_wrongly_is_refused_whole(session, sent, words):
    before = session.state
    with pytest.raises(ValueError, match=words) as error:
        session.send({"bypass": True, **sent})
    assert session.state is before
    assert len(str(error.value)) < 250


def test_values_out_of_range_are_clipped(session):
    session.send({"amount": 7.0, "morph": -1.0, "output/gain_db": 1e9, "compressor/threshold_db": -1e300})
    state = session.state
    assert (state.amount, state.morph.position, state.settings.output_gain_db) == (1.0, 0.0, 48.0)
    assert state.settings.effect("compressor").values["threshold_db"] == -60.0


def test_one_may_wait_for_a_change(session):
    seen = session.state
    assert session.wait(seen, 0.01) is seen
    timer = threading.Timer(0.05, session.apply, [{BYPASS: 1.0}])
    timer.start()
    assert session.wait(seen, 10.0).bypass
    assert session.wait(seen, 10.0) is session.state  # it has changed already
    timer.join()


def test_any_function_of_the_state_is_an_edit_that_undo_knows(session, engine):
    before = session.state
    session.edit(lambda state: replace(state, amount=0.25, locked=state.locked | {("reverb", "mix")}))
    assert engine.asked[-1][0] == session.state.playing
    assert session.edit(lambda state: state) is session.state  # nothing: no step
    session.apply({UNDO: 1.0})
    assert (session.state.amount, session.state.locked) == (before.amount, before.locked)


# --- names ----------------------------------------------------------------------------------------


def test_references_are_read_only_from_allowed_folders(session, tmp_path):
    inside, outside = tmp_path / "clips", tmp_path / "secret"
    for folder in (inside / "deep", outside):
        folder.mkdir(parents=True)
        soundfile.write(folder / "a.wav", bundled("voice", 2.0), RATE)
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
        for control in (REFERENCE, PRESET):
            session.edit(lambda state: replace(state, error=""), "")
            session.request(control, name)
            until(lambda: session.state.error)
    assert session.matcher.thread.alive
