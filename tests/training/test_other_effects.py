"""Effects of other kinds than ours, and what they say our own would have to be set to."""

import math

import numpy as np
import pytest
import torch

from afx_live.chain import CANONICAL, ChainParameters, ChainPlayer, ChainSettings, EffectSettings
from afx_live.effects import load
from afx_live.training.features import BANDS, band_centres, level
from afx_live.training.other_effects import chains, compressors, distortions, filters, reverbs
from afx_live.training.priors import draw, is_learned
from afx_live.training.response_losses import errors
from afx_live.training.shards import Batch
from afx_live.training.system import SettingsSystem

pytestmark = pytest.mark.slow  # chains are drawn and played

RATE = 48000.0
MODULES = {"equaliser": filters, "compressor": compressors, "distortion": distortions, "reverb": reverbs}


def clip(seed: int = 0, seconds: float = 2.0, tone: float = 0.3) -> np.ndarray:
    """Noise in bursts with a low tone under it, at the training loudness: something for every effect to act on."""
    rng, n = np.random.default_rng(seed), int(seconds * RATE)
    t = np.arange(n) / RATE
    bursts = np.exp(-8.0 * (t % 0.4)) * rng.standard_normal(n)
    return level(bursts + tone * np.sin(2 * np.pi * 150.0 * t))


def ours(effect: str, values, x: np.ndarray) -> np.ndarray:
    """Play our own effect, with values held in their ranges."""
    held = {name: load(effect).param(name).clip(value) for name, value in values.items()}
    return ChainPlayer(ChainSettings((EffectSettings(effect, held),)), RATE, 1).play(x[:, None])[:, 0]


def db(x) -> np.ndarray:
    return 20.0 * np.log10(np.abs(x) + 1e-12)


@pytest.mark.parametrize("effect", CANONICAL)
def test_every_draw_is_finite_of_a_sane_level_and_in_range(effect):
    x, rng = clip(seconds=1.0), np.random.default_rng(1)
    kinds = set()
    for _ in range(16):
        other = MODULES[effect].draw(rng)
        heard = other.play(x, RATE)
        kinds.add(other.kind)
        assert heard.audio.shape == x.shape
        assert np.isfinite(heard.audio).all(), other.kind
        assert -45.0 < db(np.std(heard.audio) / np.std(x)) < 30.0, other.kind
        assert all(math.isfinite(v) for v in heard.values.values()), other.kind
        known = {p.name for p in load(effect).params if is_learned(effect, p.name)}
        assert set(heard.values) == (set() if effect == "equaliser" else known)
        assert all(0.0 <= t <= 1.0 for t in heard.confidence.values())
    assert len(kinds) > 4
    again = [MODULES[effect].draw(np.random.default_rng(7)).play(x, RATE).audio for _ in range(2)]
    np.testing.assert_array_equal(*again)


# --- filters ---------------------------------------------------------------------------------------


def test_a_filters_curve_is_what_its_sound_shows():
    """Played on an impulse, every filter has the magnitude that it says it has at the bands."""
    rng, hz = np.random.default_rng(2), band_centres().double().numpy()
    impulse = np.zeros(48000)
    impulse[24000] = 1.0
    for _ in range(20):
        other = filters.draw(rng)
        heard = other.play(impulse, RATE)
        assert heard.curve_db is not None
        shown = np.abs(np.fft.rfft(heard.audio))
        shown = db(np.interp(hz, np.fft.rfftfreq(48000, 1 / RATE), shown))
        lowest = max(filters.DEEPEST_DB + 6.0, heard.curve_db.max() - 30.0)  # deeper, the curve is held
        reach = (heard.curve_db > lowest) & (heard.curve_db < filters.HIGHEST_DB) & (hz > 60.0)
        assert np.abs(shown - heard.curve_db)[reach].max() < 1.0, other.kind


def test_filters_have_their_textbook_slopes_and_gains():
    hz = np.array([100.0, 1000.0, 2000.0, 8000.0, 16000.0])
    cut = db(filters.response([filters.butterworth(4, 1000.0, False)], hz, RATE, False))
    np.testing.assert_allclose(cut[[0, 1]], [0.0, -3.01], atol=0.02)
    assert cut[4] - cut[3] == pytest.approx(-24.0, abs=0.2)
    for convention in ("symmetric", "notching", "proportional"):
        for gain in (-9.0, 9.0):
            at = db(filters.response([filters.peak(1000.0, gain, 2.0, convention)], hz, RATE, False))
            assert at[1] == pytest.approx(gain, abs=0.01)
    far = np.array([1.0, 1000.0, 1e6])
    for high in (False, True):
        at = db(filters.response([filters.shelf(1000.0, 8.0, 2, high)], far, 1e8, False))
        np.testing.assert_allclose(at[:: 1 if high else -1], [0.0, 4.0, 8.0], atol=0.05)


def test_a_flat_filter_is_off_and_changes_nothing():
    x = clip()
    other = filters.equaliser("drawn", [filters.drawn(np.array([50.0, 1000.0, 15000.0]), np.zeros(3))], "minimum")
    heard = other.play(x, RATE)
    assert not heard.on
    np.testing.assert_allclose(heard.audio, x, atol=1e-9)


# --- compressors -----------------------------------------------------------------------------------


def steps(levels_db) -> np.ndarray:
    """A sine of 400 Hz that climbs over levels, half a second on each."""
    t = np.arange(int(0.5 * RATE)) / RATE
    return np.concatenate([10 ** (v / 20) * np.sin(2 * np.pi * 400.0 * t) for v in levels_db])


def steady_gain(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Gain in dB over the last fifth of a second of each step."""
    size, last = int(0.5 * RATE), int(0.2 * RATE)
    rows = [np.sqrt(np.mean(np.square(v.reshape(-1, size)[:, -last:]), axis=1)) for v in (y, x)]
    return db(rows[0] / rows[1])


@pytest.mark.parametrize("smooth", compressors.SMOOTH)
@pytest.mark.parametrize("back", [False, True])
def test_a_label_has_the_effects_static_curve(smooth, back):
    """On steady sines an averaging, fed-back or decoupled detector does what ours does as labelled, within 0.5 dB."""
    x = steps((-42.0, -36.0, -30.0, -24.0, -18.0, -12.0))
    other = compressors.compressor("down", smooth, -32.0, 3.0, (8.0, 120.0), knee_db=4.0, rms_ms=15.0, back=back)
    heard = other.play(x, RATE)
    assert heard.on
    assert heard.on_certain
    wanted = steady_gain(heard.audio, x)
    assert wanted[0] - wanted[-1] > 8.0
    assert np.abs(steady_gain(ours("compressor", heard.values, x), x) - wanted).max() < 0.5


def test_our_own_compressor_as_a_law_gets_its_own_settings_back():
    x = clip(seconds=4.0)
    heard = compressors.compressor("down", "gain_db", -34.0, 4.0, (6.0, 150.0), knee_db=6.0).play(x, RATE)
    true = {"threshold_db": -34.0, "ratio": 4.0, "attack_ms": 6.0, "release_ms": 150.0, "knee_db": 6.0}
    assert all(heard.confidence[name] == 1.0 for name in true)
    for name, value in true.items():
        assert heard.values[name] == pytest.approx(value, rel=0.05), name
    start = {**true, "threshold_db": -26.0, "ratio": 2.0, "attack_ms": 20.0, "release_ms": 60.0}
    gain = db(heard.audio / np.where(x == 0.0, 1.0, x))
    found, *_ = compressors.fit(x, gain, RATE, start, rounds=30)
    for name in ("threshold_db", "ratio", "attack_ms", "release_ms"):
        assert found[name] == pytest.approx(true[name], rel=0.1), name


def test_a_compressor_that_does_nothing_is_off_and_an_expander_is_not_ours():
    x = clip()
    idle = compressors.compressor("down", "level", 0.0, 4.0, (5.0, 100.0)).play(x, RATE)
    assert not idle.on
    assert idle.on_certain
    np.testing.assert_allclose(idle.audio, x, rtol=0.02)
    gate = compressors.compressor("expand", "level", -25.0, 4.0, (5.0, 100.0), reach_db=20.0).play(x, RATE)
    assert not gate.on
    assert abs(db(np.std(gate.audio) / np.std(x))) > 0.2


# --- distortions -----------------------------------------------------------------------------------


def test_our_own_curve_as_samples_gets_its_own_settings_back():
    u = clip()
    for drive, bias, mix in ((12.0, 0.0, 1.0), (24.0, 0.3, 1.0), (30.0, 0.0, 0.5)):
        d = 10 ** (drive / 20)
        wet = 0.1 / np.tanh(0.1 * d) * (np.tanh(d * u + bias) - np.tanh(bias))
        values, bent_db, left = distortions.fit(u, 3.0 * ((1 - mix) * u + mix * wet))
        assert values["drive_db"] == pytest.approx(drive, abs=1.0)
        assert values["bias"] == pytest.approx(bias, abs=0.05)
        assert values["mix"] == pytest.approx(mix, abs=0.01)
        assert bent_db > distortions.MIN_AUDIBLE_DB
        assert left < 0.01


@pytest.mark.parametrize("kind", ["hard", "cubic", "arctan", "algebraic", "diode", "one-sided", "fold", "knee"])
def test_a_labelled_distortion_is_nearer_than_none(kind):
    """Waveforms at the best gain: ours as labelled leaves less than half of what doing nothing leaves."""
    t = np.arange(int(2 * RATE)) / RATE  # low tones, so that our half-bands only delay them, by 4.3 frames
    x = np.exp(-3.0 * (t % 0.5)) * (np.sin(2 * np.pi * 110.0 * t) + np.sin(2 * np.pi * 163.0 * t))
    x = level(x)
    heard = distortions.distortion(kind, 0.5, 24.0, bias=0.1).play(x, RATE)
    assert heard.on
    assert heard.on_certain

    def left(y: np.ndarray) -> float:
        return 1.0 - float(y @ heard.audio) ** 2 / float((y @ y) * (heard.audio @ heard.audio))

    assert left(np.roll(ours("distortion", heard.values, x), -4)) < 0.5 * left(x)


def test_a_hardly_driven_distortion_is_off():
    x = 0.01 * clip()
    heard = distortions.distortion("algebraic", 0.8, 0.0).play(x, RATE)
    assert not heard.on
    np.testing.assert_allclose(heard.audio / np.std(heard.audio), (x - x.mean()) / np.std(x), atol=0.05)


def test_a_tone_control_is_read_off_the_loudspeaker():
    after = (filters.butterworth(1, 3000.0, False),)
    heard = distortions.distortion("algebraic", 0.5, 24.0, after=after).play(clip(), RATE)
    assert heard.values["tone_hz"] == pytest.approx(3000.0, rel=0.05)
    assert heard.confidence["tone_hz"] == 1.0
    assert not heard.colours
    steep = (filters.butterworth(4, 3000.0, False),)
    assert distortions.distortion("algebraic", 0.5, 24.0, after=steep).play(clip(), RATE).colours


# --- rooms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("low_s", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("density", [0.0, 1500.0])
def test_decay_is_measured_as_it_was_made(low_s, density):
    ir = reverbs.noise(np.random.default_rng(3), RATE, low_s, 0.6 * low_s, density)
    assert reverbs.decay_s(ir, RATE, reverbs.LOW_HZ) == pytest.approx(low_s, rel=0.1)
    assert reverbs.decay_s(ir, RATE, reverbs.HIGH_HZ) == pytest.approx(0.6 * low_s, rel=0.15)


@pytest.mark.parametrize(("rt60_s", "hf_ratio", "predelay_ms"), [(0.4, 0.5, 0.0), (1.2, 0.3, 25.0), (2.5, 0.8, 60.0)])
def test_our_own_room_as_a_law_gets_its_own_settings_back(rt60_s, hf_ratio, predelay_ms):
    true = {"rt60_s": rt60_s, "hf_ratio": hf_ratio, "predelay_ms": predelay_ms, "low_cut_hz": 20.0}
    impulse = np.zeros(int(RATE * (1.3 * rt60_s + 0.2)))
    impulse[0] = 1.0
    x = clip(seconds=3.0, tone=0.0)
    heard = reverbs.reverb(ours("reverb", {**true, "mix": 1.0}, impulse), "own", 0.4).play(x, RATE)
    assert heard.values["rt60_s"] == pytest.approx(rt60_s, rel=0.1)
    assert heard.values["hf_ratio"] == pytest.approx(hf_ratio, abs=0.1)
    assert heard.values["predelay_ms"] == pytest.approx(predelay_ms, abs=0.5)
    mine = ours("reverb", {**heard.values, **true, "mix": heard.values["mix"]}, x)
    assert np.std(level(mine) - level(heard.audio)) < 0.02 * np.std(x)  # so the mix is right as well


# --- chains ----------------------------------------------------------------------------------------


def test_a_chain_of_our_own_is_played_as_the_live_code_plays_it():
    x, rng = clip(), np.random.default_rng(4)
    settings = draw(rng, CANONICAL)
    played = chains.MixedChain(settings, {}).play(x, RATE)
    np.testing.assert_array_equal(played.audio, ChainPlayer(settings, RATE, 1).play(x[:, None])[:, 0])
    np.testing.assert_array_equal(played.values, ChainParameters(CANONICAL).vector(settings))
    assert played.confidence.all()
    assert played.on_certain.all()
    assert np.abs(played.curve_db).max() > 0.5


def test_a_drawn_chain_mixes_kinds_and_labels_lie_in_range():
    x, rng, chain = clip(), np.random.default_rng(5), ChainParameters(CANONICAL)
    low, high = np.array([[p.low, p.high] for _, p in chain.params]).T
    other_kind, own = set(), set()
    for _ in range(12):
        variant = chains.draw(rng)
        played = variant.play(x, RATE)
        assert np.isfinite(played.audio).all()
        assert ((played.values >= low) & (played.values <= high)).all()
        assert played.curve_db.shape == (BANDS,)
        other_kind |= set(variant.others)
        own |= {s.effect for s in variant.settings.effects if s.enabled} - set(variant.others)
        off = [i for i, s in enumerate(variant.settings.effects) if not s.enabled]
        assert not played.on[off].any()
    assert other_kind == set(CANONICAL)
    assert own
    nothing = chains.draw(rng, ()).play(x, RATE)
    np.testing.assert_array_equal(nothing.audio, x)


def test_what_is_not_to_be_believed_is_not_trained():
    """Values, curve and on-flags without confidence may be anything: loss and gradient stay the same."""
    torch.manual_seed(0)
    system, chain, rng = (
        SettingsSystem(dropout=0.0, noise=0.0).eval(),
        ChainParameters(CANONICAL),
        np.random.default_rng(6),
    )
    size, count = system.predictor.encoder.statistics, 4
    true = torch.from_numpy(np.stack([chain.vector(draw(rng, CANONICAL)) for _ in range(count)])).float()
    confidence, on_certain = torch.ones(count, len(chain.params)), torch.ones(count, len(CANONICAL))
    here, there, silent = torch.randn(count, size), torch.randn(count, size), torch.zeros(count, 0)
    rest = torch.ones(count, len(CANONICAL)), torch.randn(count, BANDS)
    for effect in CANONICAL:
        confidence[1, chain.columns(effect)] = 0.0
    on_certain[1] = 0.0

    def loss(true, on, curve):
        heard, allowed, same = torch.ones(count, 2), torch.ones(count, len(CANONICAL)), torch.ones(count)
        batch = Batch(here, there, heard, allowed, true, confidence, on, on_certain, curve, same, silent, silent)
        return system._losses(system._answer(batch), batch)["loss"].item()

    base = loss(true, *rest)
    other, on, curve = true.clone(), rest[0].clone(), rest[1].clone()
    other[1], on[1], curve[1] = true[2], 0.0, 9.0
    assert loss(other, on, curve) == pytest.approx(base, rel=1e-6)
    other[0] = true[2]
    assert loss(other, on, curve) != pytest.approx(base, rel=1e-3)
    half = confidence.clone()
    half[:, [chain.params.index(p) for p in chain.params if p[1].name == "attack_ms"]] = 0.0
    quick = true.clone()
    quick[:, chain.columns("compressor")][:, 2] *= 3.0
    assert errors(chain, quick, true, half).abs().max() < 1e-5
    assert errors(chain, quick, true).abs().max() > 1e-3
