"""Level is solved exactly: in closed form, whatever the chain does and however loud the input is."""

from dataclasses import replace

import numpy as np
import pytest

from afx_live.chain import ChainPlayer, ChainSettings
from afx_live.dsp.loudness import integrated_loudness
from afx_live.effects import load
from afx_live.matching import Features, ReferenceClip, loudness, mean_lufs, solve_level
from afx_live.presets import clip
from support.chains import WORKING
from support.clips import RATE, bundled, played

CLIPS = ("voice", "guitar", "drums")
BACKWARDS = ChainSettings(tuple(reversed(WORKING.effects)))


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("settings", [WORKING, BACKWARDS, ChainSettings()], ids=["canonical", "backwards", "empty"])
@pytest.mark.parametrize("target", [-30.0, -16.0, None])
def test_solved_level_is_the_target_in_closed_form(name, settings, target):
    x = bundled(name)
    solved = solve_level(settings, x, RATE, target, -23.0)
    goal = integrated_loudness(x, RATE) if target is None else target
    assert integrated_loudness(played(solved, x), RATE) == pytest.approx(goal, abs=1e-6)
    assert solved.effects == settings.effects


def test_the_chain_is_entered_at_the_loudness_of_training():
    x = bundled("voice")
    solved = solve_level(WORKING, x, RATE, -16.0, -23.0)
    toned = played(ChainSettings(WORKING.effects[:1], input_gain_db=solved.input_gain_db), x)
    assert integrated_loudness(toned, RATE) == pytest.approx(-23.0, abs=1e-6)
    gain = solve_level(BACKWARDS, x, RATE, -16.0, -23.0).input_gain_db  # there the reverb comes first
    first = played(ChainSettings(BACKWARDS.linear_front, input_gain_db=gain), x)
    assert [e.effect for e in BACKWARDS.linear_front] == ["reverb"]
    assert integrated_loudness(first, RATE) == pytest.approx(-23.0, abs=1e-6)


def test_two_ears_of_one_sound_drive_the_chain_as_one_does():
    x = bundled("voice")
    chain = ChainSettings(WORKING.effects[:3])  # a reverb has two ears of its own
    one, two = (solve_level(chain, y, RATE, None, -23.0) for y in (x, np.repeat(x[:, None], 2, 1)))
    np.testing.assert_allclose(played(two, x), played(one, x), atol=1e-9)


def test_how_loud_the_input_comes_changes_no_sound():
    x = bundled("guitar")
    loud, faint = (played(solve_level(WORKING, g * x, RATE, -20.0, -23.0), g * x) for g in (1.0, 0.05))
    np.testing.assert_allclose(loud, faint, atol=1e-9)


def test_an_input_gain_that_is_given_is_kept():
    x = bundled("voice")
    solved = solve_level(WORKING, x, RATE, -18.0, -23.0, input_gain_db=12.0)
    assert solved.input_gain_db == 12.0
    assert integrated_loudness(played(solved, x), RATE) == pytest.approx(-18.0, abs=1e-6)


@pytest.mark.parametrize("x", [np.zeros(RATE), np.full(RATE, 1e-6), np.zeros((RATE, 2))])
def test_silence_changes_no_level(x):
    settings = replace(WORKING, input_gain_db=3.0, output_gain_db=-2.0)
    assert solve_level(settings, x, RATE, -16.0, -23.0) is settings


def test_gains_stay_in_their_range():
    gain = load("gain").params[0]
    solved = solve_level(ChainSettings(), 2e-3 * bundled("voice"), RATE, -10.0, 20.0)
    assert gain.low <= solved.input_gain_db <= gain.high
    assert gain.low <= solved.output_gain_db <= gain.high


def test_the_mean_loudness_of_references_is_never_over_full_scale():
    nothing = Features(np.zeros(1), np.zeros(1), 1.0)
    a, b, hot = (ReferenceClip(clip("voice"), nothing, lufs, 5.0) for lufs in (-20.0, -10.0, 2.5))
    assert mean_lufs([a, b]) == -15.0
    assert mean_lufs([hot]) == 0.0


@pytest.mark.parametrize("seconds", [0.3, 3.0, 40.0])
def test_a_sound_in_blocks_is_as_loud_as_in_one(seconds):
    x = 0.1 * np.random.default_rng(0).standard_normal((int(seconds * 16000), 2))
    assert loudness(x, 16000) == integrated_loudness(x, 16000)
    assert loudness(x, 16000, WORKING) == integrated_loudness(ChainPlayer(WORKING, 16000, 2).play(x), 16000)
