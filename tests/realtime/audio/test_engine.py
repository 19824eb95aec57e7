"""The engine: no click, whatever changes, and nothing above the ceiling."""

import numpy as np
import pytest

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.effects import load, names
from afx_live.realtime.audio.callback import callback
from afx_live.realtime.audio.engine import Engine, memory
from afx_live.realtime.audio.safety import CEILING
from support.sounds import noise

RATE = 48000


ORDER = ("equaliser", "compressor", "distortion", "reverb", "limiter")


def roughness(x):
    """The largest second difference: a click has it large at any level."""
    return np.abs(np.diff(x.astype(np.float64), 2, axis=0)).max()


def click(old, new, **flags):
    """How much rougher a 220 Hz tone is while settings change than before and after."""
    tone = 0.25 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)
    x, engine = tone.astype(np.float32)[:, None].repeat(2, 1), Engine(old, RATE)
    blocks, change = [], 180
    for i in range(RATE // 128):
        if i == change:
            engine.shared.play(new, **flags)
        blocks.append(engine.process(x[i * 128 : (i + 1) * 128]))
    before, during, after = blocks[change - 80 : change - 2], blocks[change - 2 : -60], blocks[-60:]
    return roughness(np.concatenate(during)) / max(roughness(np.concatenate(p)) for p in (before, after))


PARAMS = [(e, p.name) for e in names() if e != "gain" for p in load(e).params]


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "name"), PARAMS)
def test_parameter_step_does_not_click(effect, name):
    """From end to end of the range at once, which no hand does; an unsmoothed gain gives 960 (pedalboard 0.9)."""
    p = load(effect).param(name)
    low, high = (ChainSettings((EffectSettings(effect, {name: v}),)) for v in (p.low, p.high))
    assert max(click(low, high), click(high, low)) < 30


def test_preset_change_bypass_and_mute_do_not_click():
    one = ChainSettings(tuple(EffectSettings(e) for e in ORDER))
    other = ChainSettings(tuple(EffectSettings(e) for e in ORDER[::-1]), output_gain_db=-6.0)
    assert max(click(one, other), click(other, one)) < 3
    assert max(click(one, one, cross_over=True), click(one, one, bypass=True), click(one, one, muted=True)) < 5
    assert click(ChainSettings(), ChainSettings(output_gain_db=-20.0)) < 5


@pytest.mark.parametrize("seed", range(4))
def test_nothing_gets_past_the_ceiling(seed):
    """Random chains and values, every block another; NaN, Inf, and noise far beyond full scale."""
    random = np.random.default_rng(seed)
    engine, x = Engine(ChainSettings(), RATE), noise(2.0, 1.0)
    x[RATE : RATE + 9600] *= 1e6
    x[random.integers(0, len(x), 40)] = np.nan
    x[random.integers(0, len(x), 40)] = np.inf
    x[random.integers(0, len(x), 40)] = -3e38
    at = 0
    while at < len(x):
        size = int(random.integers(1, 512))
        engine.shared.play(
            _random_settings(random), bypass=bool(random.integers(2)), dry_gain_db=random.uniform(-60, 60)
        )
        y = engine.process(x[at : at + size])
        assert np.isfinite(y).all()
        assert np.abs(y).max() <= np.float32(CEILING)
        at += size


def _random_settings(random):
    chosen = random.permutation([e for e in names() if e != "gain"])[: random.integers(0, 6)]
    steps = []
    for effect in chosen:
        values = {p.name: p.clip(p.value(random.uniform())) for p in load(effect).params}
        steps.append(EffectSettings(str(effect), values, bool(random.integers(2))))
    gain = load("gain").params[0]
    return ChainSettings(tuple(steps), *(gain.clip(gain.value(random.uniform())) for _ in range(2)))


def test_what_starts_again_fades_in_with_the_same_settings():
    """A new stream process maps the block that the old one used."""
    from afx_live.realtime.audio.safety import FADE_IN_S

    old = Engine(ChainSettings(output_gain_db=-6.0), RATE, fade_in=True)
    tone = np.tile(np.array([[0.5], [-0.5]], np.float32), (RATE // 2, 2))  # no direct current: it would be taken off
    old.process(tone)
    new = callback(memory(old.shared, RATE), RATE, 2, 2)
    y = np.zeros_like(tone)
    new.call(tone, y)
    rise = int(FADE_IN_S * RATE)
    assert np.abs(y[: rise // 100]).max() < 0.01
    swing = (y[1::2, 0] - y[::2, 0]) / 2  # an odd LOOKAHEAD turns the sign
    assert np.all(np.diff(swing[50 : rise // 2]) >= 0.0)
    assert swing[-1] == pytest.approx(0.5 * 10 ** (-6 / 20), rel=1e-4)


def test_direct_current_is_taken_off_before_anything_hears_it():
    """Ring, meters, bypass and chain: a sound card's 0.5 is neither amplified nor played, and it is shown."""
    engine = Engine(ChainSettings(output_gain_db=20.0), RATE)
    x = noise(8.0, 0.01) + np.array([0.5, -0.25], np.float32)
    for at in range(0, len(x), 4800):
        if at == 4 * RATE:
            engine.shared.play(ChainSettings(output_gain_db=20.0), bypass=True)
        y = engine.process(x[at : at + 4800])
        if at > RATE:
            assert np.abs(y.mean(0)).max() < 0.01
    meters = engine.shared.read()
    assert np.abs(engine.shared.recent_input(2.0, RATE).mean(0)).max() < 1e-3
    assert meters["in_dc"] == pytest.approx([0.5, -0.25], abs=0.05)
    assert meters["in_rms"] == pytest.approx(0.01, rel=0.1)


def test_bypass_of_an_offset_does_not_click():
    x, engine = np.full((RATE, 2), 0.4, np.float32), Engine(ChainSettings(output_gain_db=12.0), RATE)
    engine.process(x)
    engine.shared.play(ChainSettings(output_gain_db=12.0), bypass=True)
    assert np.abs(engine.process(x)).max() < 1e-6


def test_without_meters_it_plays_the_same_bits():
    x = np.random.default_rng(5).uniform(-1.5, 1.5, (9000, 2))
    settings = ChainSettings((EffectSettings("compressor", {"threshold_db": -30.0}),), 6.0, 3.0)
    metered, bare = Engine(settings, RATE), Engine(settings, RATE, metered=False)
    assert np.array_equal(metered.process(x), bare.process(x))
    assert metered.shared.read()["out_lufs"] > -30.0
    assert not bare.shared.read()["out_lufs"] > -np.inf


def test_the_input_stage_can_be_left_out_to_the_bit():
    """A file's chain is played in two parts: the second gets what the first has left."""
    x = noise(0.2, 0.05) + np.float32(0.1)
    assert np.array_equal(Engine(ChainSettings(), RATE, input_stage=False).process(x)[63:], x[:-63])
