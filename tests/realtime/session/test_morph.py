"""Morphing: even to the ear on the way, exact at both ends, and as loud as it should be everywhere."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from afx_live import effects, presets
from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.dsp.loudness import integrated_loudness
from afx_live.effects import load
from afx_live.matching.clips import ClipError
from afx_live.matching.reference import mean_lufs
from afx_live.realtime.session.controls import MORPH, MORPH_B, UNDO, place_control
from afx_live.realtime.session.level import Levels
from afx_live.realtime.session.morph import Morph, Side, morph
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from support.clips import RATE, bundled
from support.in_process import InProcess
from support.waiting import until

QUIET, LOUD = "telephone", "driven-guitar"


def sound(settings, seconds=0.5):
    x = 0.15 * np.random.default_rng(0).standard_normal((int(seconds * RATE), 1))
    return ChainPlayer(settings, RATE, 1).play(x)


def one(effect, **values):
    return ChainSettings((EffectSettings(effect, values),))


# --- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", presets.names())
def test_the_ends_sound_as_the_presets_do(other):
    a, b = presets.load("hall").settings, presets.load(other).settings
    for position, end in ((0.0, a), (1.0, b)):
        np.testing.assert_allclose(sound(morph(a, b, position)), sound(end), atol=1e-9)


def test_half_way_is_half_way_to_the_ear():
    a = one("equaliser", peak_1_db=-12.0, peak_1_hz=100.0, peak_2_db=6.0)
    b = one("equaliser", peak_1_db=6.0, peak_1_hz=400.0, peak_2_db=6.0)
    between = morph(a, b, 0.5).effect("equaliser").values
    assert between["peak_1_db"] == pytest.approx(-3.0)
    assert between["peak_1_hz"] == pytest.approx(200.0)
    assert between["peak_2_db"] == 6.0
    a, b = one("compressor", ratio=2.0, attack_ms=1.0), one("compressor", ratio=4.0, attack_ms=100.0)
    between = morph(a, b, 0.5).effect("compressor").values
    assert 1.0 / between["ratio"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert between["attack_ms"] == pytest.approx(10.0)


@pytest.mark.parametrize("effect", [n for n in effects.names() if n != "gain"])
def test_every_parameter_moves_evenly_on_its_curve(effect):
    params = load(effect).params
    a = one(effect, **{p.name: p.clip(p.value(0.2)) for p in params})
    b = one(effect, **{p.name: p.clip(p.value(0.8)) for p in params})
    values = morph(a, b, 0.25).effect(effect).values
    assert {p.name: pytest.approx(0.35) for p in params} == {p.name: p.unit(values[p.name]) for p in params}


def test_a_flat_band_takes_the_place_of_the_other():
    a = one("equaliser", peak_1_db=0.0, peak_1_hz=60.0, peak_1_q=8.0, peak_2_db=3.0)
    b = one("equaliser", peak_1_db=12.0, peak_1_hz=500.0, peak_1_q=1.0, peak_2_db=3.0)
    for first, second, position in ((a, b, 0.25), (b, a, 0.75)):
        values = morph(first, second, position).effect("equaliser").values
        assert values["peak_1_db"] == pytest.approx(3.0)
        assert (values["peak_1_hz"], values["peak_1_q"]) == (500.0, 1.0)


def test_what_is_on_in_one_of_them_fades_by_its_amount():
    a = ChainSettings(
        (
            EffectSettings("equaliser"),
            EffectSettings("reverb", {"mix": 0.4}),
            EffectSettings("distortion", enabled=False),
        )
    )
    b = ChainSettings((EffectSettings("equaliser"), EffectSettings("distortion", {"mix": 0.8, "drive_db": 20.0})))
    between = morph(a, b, 0.25)
    assert between.effect("reverb").values["mix"] == pytest.approx(0.3)
    assert between.effect("distortion").values["mix"] == pytest.approx(0.2)
    assert between.effect("distortion").values["drive_db"] == 20.0
    assert [s.enabled for s in between.effects if s.effect != "equaliser"] == [True, True]
    assert not morph(a, b, 0.0).effect("distortion").enabled
    assert not morph(a, b, 1.0).effect("reverb").enabled


def test_what_is_off_in_both_stays_off():
    off = ChainSettings((EffectSettings("reverb", enabled=False),))
    assert not any(morph(off, ChainSettings(), p).effect("reverb").enabled for p in (0.0, 0.5, 1.0))


def test_an_order_that_fits_both_stays_on_the_way():
    a = ChainSettings((EffectSettings("equaliser"), EffectSettings("compressor"), EffectSettings("reverb")))
    b = ChainSettings(
        (
            EffectSettings("compressor"),
            EffectSettings("distortion"),
            EffectSettings("reverb"),
            EffectSettings("limiter"),
        )
    )
    orders = {tuple(s.effect for s in morph(a, b, p).effects) for p in np.linspace(0, 1, 11)}
    assert orders == {("equaliser", "compressor", "distortion", "reverb", "limiter")}


def test_other_orders_change_once_in_the_middle():
    a, b = (
        ChainSettings((EffectSettings("reverb"), EffectSettings("distortion"))),
        ChainSettings((EffectSettings("distortion"), EffectSettings("reverb"))),
    )
    orders = [[s.effect for s in morph(a, b, p).effects] for p in (0.0, 0.5, 0.51, 1.0)]
    assert orders == [["reverb", "distortion"]] * 2 + [["distortion", "reverb"]] * 2


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("hall", "telephone"), ("driven-guitar", "lo-fi"), ("warm", "room")])
def test_no_step_on_the_way_is_large(first, second):
    """2 % of the way changes no third of an octave by more than 1.3 dB, where the whole way is up to 34 dB."""
    a, b = presets.load(first).settings, presets.load(second).settings
    on_the_way = [thirds_db(sound(morph(a, b, p), 0.2)) for p in np.linspace(0, 1, 51)]
    assert max(np.abs(y - x).max() for x, y in pairwise(on_the_way)) < 1.3
    assert np.abs(on_the_way[-1] - on_the_way[0]).max() > 5.0


def thirds_db(y):
    """Give the level in thirds of an octave from 60 Hz to 15 kHz: phase, which no one hears, does not count."""
    power, hz = np.abs(np.fft.rfft(y[:, 0] * np.hanning(len(y)))) ** 2, np.fft.rfftfreq(len(y), 1 / RATE)
    edges = 60.0 * 2.0 ** (np.arange(25) / 3)
    return np.array([10 * np.log10(power[(hz >= low) & (hz < high)].mean()) for low, high in pairwise(edges)])


def test_gains_move_in_decibels():
    a, b = ChainSettings(input_gain_db=-12.0, output_gain_db=4.0), ChainSettings(input_gain_db=12.0)
    assert morph(a, b, 0.75) == ChainSettings(input_gain_db=6.0, output_gain_db=1.0)


def test_goals_between_ends_that_have_one_and_ends_that_keep_the_input():
    a, b = Side("a", ChainSettings(), -20.0), Side("b", ChainSettings(), None)
    assert Morph(b, b, 0.5).goal(lambda: math.nan) is None
    assert Morph(a, a, 0.5).goal(lambda: math.nan) == -20.0
    assert Morph(a, b, 0.25).goal(lambda: -40.0) == pytest.approx(-25.0)
    assert Morph(replace(a, pull=0.5), b, 0.0).goal(lambda: -40.0) == pytest.approx(-30.0)
    assert Morph(a, b, 0.25).goal(lambda: -math.inf) == -20.0


def test_gains_move_as_far_as_those_of_the_ends():
    a, b = Side("a", ChainSettings(output_gain_db=-12.0), None), Side("b", ChainSettings(input_gain_db=8.0), None)
    playing = ChainSettings(input_gain_db=1.0, output_gain_db=-5.0)
    new, moved = Morph(a, b, 0.5).moved(0.75, playing, [])
    assert new.position == 0.75
    assert (moved.input_gain_db, moved.output_gain_db) == (3.0, -2.0)
    _, moved = Morph(a, b, 0.5).moved(0.75, playing, [("output", "gain_db")])
    assert (moved.input_gain_db, moved.output_gain_db) == (3.0, -5.0)
    assert Morph().moved(0.75, playing, [])[1] == playing


def test_each_end_is_levelled_once():
    a, b = Side("a", ChainSettings(), -20.0), Side("b", ChainSettings(), -30.0)
    asked = []

    def solve(settings, goal):
        asked.append(goal)
        return Levels(1.0, goal, 0.0)

    once = Morph(a, b, 0.5).with_levels(solve, lambda: -40.0)
    assert asked == [-20.0, -30.0]
    assert once.settings(ChainSettings()).output_gain_db == -25.0
    again = once.with_levels(solve, lambda: -40.0)
    assert again.same_ends(once)
    assert Morph(a, b).with_levels(lambda *_: None, lambda: -math.inf).with_levels(solve, lambda: -40.0).a is not a


# --- a session --------------------------------------------------------------------------------------


@pytest.fixture
def engine():
    made = InProcess()
    made.feed(bundled("guitar", 6.0))
    return made


@pytest.fixture
def session(engine, model):
    """A guitar played as it is, with 6 s heard."""
    made = Session(engine, model, SessionState(ChainSettings.default(model.chain.order), preset_name="none"))
    made.edit(replace, "")
    yield made
    made.close()


def loudness(engine):
    return integrated_loudness(engine.feed(bundled("guitar", 8.0))[RATE:], RATE)


def at(session, position):
    session.apply({MORPH: position})
    session.follower.follow_level(at_once=True)  # what the session's thread does next


@pytest.mark.slow
def test_morphing_between_presets_is_as_loud_as_it_should_be_everywhere(session, engine):
    for name, lufs in (("quiet", -30.0), ("loud", -18.0)):
        old = presets.load(QUIET if name == "quiet" else LOUD)
        presets.save(replace(old, name=name, target_lufs=lufs), presets.folder() / f"{name}.json")
        session.matcher.use_morph("a" if name == "quiet" else "b", name)
    for position in (0.0, 0.25, 0.5, 0.75, 1.0):
        at(session, position)
        assert loudness(engine) == pytest.approx(-30.0 + 12.0 * position, abs=1.0)
    assert session.state.playing.effects == presets.load(LOUD).settings.effects


@pytest.mark.slow
def test_morphing_between_references(session, engine, model):
    session.matcher.use_morph("a", "voice_reference")
    session.matcher.use_morph("b", "guitar_reference")
    assert session.state.morph.name("a") == "voice_reference.flac"
    assert session.state.reference_name == ""
    goals = [mean_lufs([session.state.morph.a.reference]), mean_lufs([session.state.morph.b.reference])]
    assert session.follower.listen()
    ends = []
    for position in (0.0, 1.0):
        at(session, position)
        assert loudness(engine) == pytest.approx(goals[round(position)], abs=1.0)
        ends.append(session.state.playing)
    assert session.state.playing.effect("distortion").enabled  # the guitar's amplifier
    assert ends[0].effects != ends[1].effects
    at(session, 0.5)
    assert session.state.playing.effects == morph(ends[0], ends[1], 0.5).effects
    assert loudness(engine) == pytest.approx(np.mean(goals), abs=1.0)


def test_an_end_without_a_name_is_what_played_before(session, engine):
    session.matcher.use_preset(presets.load(LOUD))
    before = session.state.playing
    session.matcher.use_morph("b", QUIET)
    assert session.state.morph.name("a") == ""
    assert session.state.playing.effect("distortion") == before.effect("distortion")
    at(session, 1.0)
    assert session.state.playing.effect("equaliser") == presets.load(QUIET).settings.effect("equaliser")


def test_the_fader_can_be_moved_before_and_between(session, engine):
    session.apply({MORPH: 1.0})
    session.matcher.use_morph("b", QUIET)
    assert session.state.morph.position == 1.0
    assert session.state.playing.effect("equaliser") == presets.load(QUIET).settings.effect("equaliser")


@pytest.mark.slow
def test_the_level_stays_near_while_it_moves(session, engine):
    """Between two solutions of the level, the gains move as those of the ends do."""
    session.matcher.use_morph("a", QUIET)
    session.matcher.use_morph("b", LOUD)
    at(session, 0.5)
    before = loudness(engine)
    session.apply({MORPH: 0.6})
    assert loudness(engine) == pytest.approx(before, abs=3.0)


def test_what_is_set_by_hand_is_left_alone(session):
    session.matcher.use_morph("a", QUIET)
    session.matcher.use_morph("b", LOUD)
    session.apply({place_control("distortion", "drive_db"): 7.0, place_control("output", "gain_db"): -3.0})
    at(session, 0.7)
    session.follower.listen()
    assert session.state.playing.effect("distortion").values["drive_db"] == 7.0
    assert session.state.playing.output_gain_db == -3.0


@pytest.mark.slow
def test_a_preset_or_a_reference_ends_it(session):
    for end_it in (
        lambda: session.matcher.use_preset(presets.load("hall")),
        lambda: session.matcher.use_reference(presets.clip("voice")),
    ):
        session.matcher.use_morph("a", QUIET)
        session.matcher.use_morph("b", LOUD)
        end_it()
        steps = session.state.playing.effects
        session.apply({MORPH: 0.9})
        assert session.state.playing.effects == steps
        assert (session.state.morph.name("a"), session.state.morph.position) == ("", 0.9)


def test_undo_glides_back_along_it_and_crosses_over_to_what_was_before(session, engine):
    session.matcher.use_morph("b", LOUD)
    session.apply({MORPH: 1.0})
    crossed = []
    for _ in range(2):
        session.apply({UNDO: 1.0})
        crossed.append(engine.asked[-1][1]["cross_over"])
    assert crossed == [False, True]


def test_undo_goes_back_before_it(session):
    before = session.state.playing
    session.matcher.use_morph("b", LOUD)
    at(session, 1.0)
    session.apply({UNDO: 1.0})
    assert session.state.morph.position == 0.0
    session.apply({UNDO: 1.0})
    assert session.state.playing.effects == before.effects
    assert session.state.morph.name("b") == ""


@pytest.mark.parametrize("name", ["../../etc/passwd", "no such thing", "/etc/passwd"])
def test_no_other_file_is_read(session, name):
    with pytest.raises(ClipError):
        session.matcher.use_morph("a", name)
    assert not session.state.morph.active


@pytest.mark.slow
def test_through_commands_and_silence(engine, model):
    """Ends chosen before anything is heard are matched as soon as there is."""
    silent: Any = InProcess()
    session = Session(silent, model, SessionState(ChainSettings.default(model.chain.order), preset_name="none"))
    session.start()
    session.request(MORPH_B, "guitar_reference")
    until(lambda: session.state.morph.name("b") == "guitar_reference.flac")
    session.apply({MORPH: 1.0})
    silent.feed(bundled("guitar", 6.0))
    until(
        lambda: (
            session.state.playing.effects[-1].effect == "reverb" and session.state.playing.effect("distortion").enabled
        ),
        20.0,
    )
    assert session.state.error == ""
    session.close()
