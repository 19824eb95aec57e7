"""The contract of an effect. Every effect there is goes through it, a new file without any change here."""

import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import sosfilt
from torchaudio.functional import lfilter

from afx_live import effects
from afx_live.chain import ChainPlayer
from afx_live.dsp.compiler import MAX_COEFS
from afx_live.effects import MAX_PARAMS, Param, load
from afx_live.effects._torch import CHUNK, coefficients, edges
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.safety import CEILING
from support.effect_cases import (
    RATE,
    alone,
    anywhere,
    away_from_zero,
    bursts,
    corners,
    noise,
    partition,
    stream,
    telling,
    tensor,
    trajectory,
)

NAMES = effects.names()
RATES = (44100.0, 48000.0, 88200.0, 96000.0)
EACH = pytest.mark.parametrize("name", NAMES)


# --- sounds and settings --------------------------------------------------------------------------


def columns(rows, dtype=torch.float64):
    """Dictionaries or (params, edges) arrays, one for each item, to one tensor for each parameter."""
    rows = [list(r.values()) if isinstance(r, dict) else r for r in rows]
    return torch.tensor(np.array(rows), dtype=dtype).unbind(1)


def walk(name, frames, seed=0, rate=RATE):
    """A first setting, and glides: one from rest, two that interrupt each other, one on an edge, one of one edge."""
    rng, effect = np.random.default_rng(seed), load(name)
    times = [100, 1000, 1300, 2048, frames - 40]
    return telling(effect), [(t, anywhere(effect, rng)) for t in times if t < frames]


def glides_of(name, moves):
    return [(at, alone(name, values)) for at, values in moves]


# --- 1: any block size ----------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("channels", [1, 2])
def test_block_size_does_not_change_the_sound(name, channels):
    x = bursts(12000, channels)
    settings = alone(name, telling(load(name)))
    whole = stream(settings, x)
    for seed in range(3):
        np.testing.assert_array_equal(stream(settings, x, cuts=partition(len(x), seed)), whole)
    np.testing.assert_array_equal(stream(settings, x[:2000], cuts=range(2000)), whole[:2000])


@EACH
def test_block_size_does_not_change_the_sound_while_parameters_move(name):
    x = bursts(6000)
    first, moves = walk(name, len(x))
    settings, glides = alone(name, first), glides_of(name, moves)
    whole = stream(settings, x, glides=glides)
    for seed in range(3):
        np.testing.assert_array_equal(stream(settings, x, cuts=partition(len(x), seed), glides=glides), whole)
    np.testing.assert_array_equal(stream(settings, x, cuts=range(len(x)), glides=glides), whole)


# --- 2: live is torch -----------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_live_matches_torch(name, rate, channels):
    effect, rng = load(name), np.random.default_rng(1)
    settings = [telling(effect), effect.defaults, *(anywhere(effect, rng) for _ in range(3))]
    xs = [bursts(7000, channels, seed) for seed in range(len(settings))]
    played = [stream(alone(name, s), x, rate) for s, x in zip(settings, xs, strict=True)]
    y = effect.process(tensor(xs), rate, *columns(settings))
    assert y.dtype == torch.float64
    torch.testing.assert_close(y, tensor(played), rtol=0, atol=1e-9)
    single = effect.process(tensor(xs, torch.float32), rate, *columns(settings, torch.float32))
    assert single.dtype == torch.float32
    near = [np.array(list(s.values()), np.float32).astype(np.float64) for s in settings]
    near = [
        {p.name: p.clip(v) for p, v in zip(effect.params, values, strict=True)} for values in near
    ]  # an end rounded to float32 may lie out of range
    played = [stream(alone(name, s), np.float32(x), rate) for s, x in zip(near, xs, strict=True)]
    loud = float(np.abs(played).max())
    torch.testing.assert_close(single.double(), tensor(played), rtol=0, atol=1e-5 * max(1.0, loud))


@EACH
@pytest.mark.parametrize("rate", [44100.0, 96000.0])
def test_live_matches_torch_while_parameters_move(name, rate):
    effect, frames = load(name), 5000
    walks = [walk(name, frames, seed) for seed in range(3)]
    xs = [bursts(frames, seed=seed) for seed in range(3)]
    played = [
        stream(alone(name, first), x, rate, glides=glides_of(name, moves))
        for (first, moves), x in zip(walks, xs, strict=True)
    ]
    moving = columns([trajectory(effect, first, moves, frames, rate) for first, moves in walks])
    loud = float(np.abs(played).max())
    y = effect.process(tensor(xs), rate, *moving)
    torch.testing.assert_close(y, tensor(played), rtol=0, atol=1e-9 * max(1.0, loud))
    y = effect.process(tensor(xs, torch.float32), rate, *moving)
    torch.testing.assert_close(y.double(), tensor(played), rtol=0, atol=1e-5 * max(1.0, loud))


@EACH
def test_parameter_that_stands_still_is_a_trajectory_too(name):
    effect, x = load(name), tensor(bursts(3000))
    still = columns([telling(effect)])
    moving = [v[:, None].expand(1, edges(3000)) for v in still]
    y = effect.process(x, RATE, *still)
    torch.testing.assert_close(effect.process(x, RATE, *moving), y, rtol=0, atol=1e-12)
    mixed = [m if i % 2 else s for i, (m, s) in enumerate(zip(moving, still, strict=True))]
    torch.testing.assert_close(effect.process(x, RATE, *mixed), y, rtol=0, atol=1e-12)


@EACH
def test_items_of_a_batch_do_not_hear_each_other(name):
    effect, rng = load(name), np.random.default_rng(2)
    settings, xs = [anywhere(effect, rng) for _ in range(4)], [bursts(2000, seed=s) for s in range(4)]
    together = effect.process(tensor(xs), RATE, *columns(settings))
    for i in range(4):
        one = effect.process(tensor(xs[i]), RATE, *columns([settings[i]]))
        assert torch.equal(together[i : i + 1], one)


@EACH
def test_process_leaves_its_input_alone(name):
    effect, x = load(name), tensor(bursts(500))
    values = columns([telling(effect)])
    before = x.clone(), [v.clone() for v in values]
    effect.process(x, RATE, *values)
    assert torch.equal(x, before[0])
    assert all(torch.equal(a, b) for a, b in zip(values, before[1], strict=True))


def test_process_refuses_other_shapes():
    gain = load("gain")
    with pytest.raises(ValueError, match="batch, channels, frames"):
        gain.process(torch.zeros(2, 100), RATE, torch.zeros(2))
    with pytest.raises(ValueError, match="takes 1 values, got 2"):
        gain.process(torch.zeros(1, 2, 100), RATE, torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="needs 3 edges for 100 frames"):
        gain.process(torch.zeros(1, 2, 100), RATE, torch.zeros(1, 5))


# --- 3: every parameter is heard ------------------------------------------------------------------


@EACH
def test_every_parameter_is_heard(name):
    effect, x = load(name), bursts(24000)
    x[:, 1] *= 0.5
    for p in effect.params:
        low = stream(alone(name, {**telling(effect), p.name: p.low}), x)
        high = stream(alone(name, {**telling(effect), p.name: p.high}), x)
        # In some 10 ms it is heard: a knee is, for a moment, on the way up.
        power, change = (np.mean(y.reshape(-1, 960) ** 2, axis=1) for y in (low, high - low))
        change = np.sqrt(np.max(change / (power + 1e-8)))
        assert change > 0.01, f"{p.name} from {p.low} to {p.high} changes {change:.1e} of the sound"


# --- 4: every gradient is right -------------------------------------------------------------------


def by_unit(effect, rate):
    """The effect as a function of x and unit parameters, whose derivatives are all of one size."""

    def function(x, *units):
        return effect.process(x, rate, *(p.value(u) for p, u in zip(effect.params, units, strict=True)))

    return function


def units(effect, count=None, seed=0):
    """Units of the telling values; `count` edges wander about them."""
    rng, middle = np.random.default_rng(seed), telling(effect)
    for p in effect.params:
        u = np.array([p.unit(middle[p.name])])
        if count is not None:
            u = np.clip(u + rng.uniform(-0.05, 0.05, (1, count)), 0.005, 0.995)
        yield torch.tensor(u, requires_grad=True)


# At 2 kHz what comes back from a reverb is within the 140 frames that a check of every one can take.
@EACH
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [2000.0, 48000.0])
@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_every_gradient_is_right(name, channels, rate, moving):
    effect, frames = load(name), 140
    x = tensor(away_from_zero(frames, channels, seed=3)).requires_grad_()
    values = list(units(effect, edges(frames) if moving else None))
    assert torch.autograd.gradcheck(by_unit(effect, rate), (x, *values), eps=1e-6, atol=1e-6, rtol=1e-4)


@EACH
def test_no_gradient_is_zero(name):
    effect = load(name)
    x = tensor(bursts(24000)).requires_grad_()
    values = list(units(effect))
    y = by_unit(effect, RATE)(x, *values)
    grads = torch.autograd.grad((y * torch.tensor(noise(24000, seed=4).T.copy())).sum(), (x, *values))
    assert all(g.abs().max() > 1e-6 for g in grads), [float(g.abs().max()) for g in grads]


@EACH
@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_gradient_of_a_long_sound_is_right(name, moving):
    effect, frames = load(name), 20000
    swell = 10 ** (np.arange(frames) % 5000 / 2500 - 2)
    x = tensor(away_from_zero(frames, 2, seed=5) * swell[:, None])
    point = [x.requires_grad_(), *units(effect, edges(frames) if moving else None)]
    function, rng = by_unit(effect, RATE), torch.Generator().manual_seed(6)
    weight = torch.randn(x.shape, generator=rng, dtype=torch.float64)
    grads = torch.autograd.grad((function(*point) * weight).sum(), point)

    def difference(i, way, h):
        with torch.no_grad():
            up = function(*(v + h * way if k == i else v for k, v in enumerate(point)))
            down = function(*(v - h * way if k == i else v for k, v in enumerate(point)))
        return float(((up - down) * weight).sum() / (2 * h))

    for i, g in enumerate(grads):
        way = torch.randn(g.shape, generator=rng, dtype=torch.float64)
        wanted = pytest.approx(float((g * way).sum()), rel=2e-5, abs=2e-5 * float(g.norm() * way.norm()))
        # A delay that moves has a kink at every whole frame: the smaller step passes by fewer of them, and rounds more.
        found = [difference(i, way, h) for h in (1e-6, 1e-9)]
        assert wanted in found, (i, found, wanted)


@EACH
def test_gradient_of_float32_is_that_of_float64(name):
    effect = load(name)
    grads = []
    for dtype in (torch.float32, torch.float64):
        x = tensor(np.float32(bursts(4000)), dtype).requires_grad_()
        values = [v.detach().float().to(dtype).requires_grad_() for v in units(effect)]
        y = by_unit(effect, RATE)(x, *values)
        grads.append(torch.autograd.grad(y.square().sum(), (x, *values)))
        assert all(g.dtype == dtype for g in grads[-1])
    for a, b in zip(*grads, strict=True):
        assert torch.linalg.norm(a.double() - b) <= 1e-3 * torch.linalg.norm(b)


@EACH
def test_gradient_can_be_asked_for_twice(name):
    effect = load(name)
    point = [tensor(bursts(CHUNK + 500)).requires_grad_(), *units(effect)]
    loss = by_unit(effect, RATE)(*point).square().sum()
    once, again = (torch.autograd.grad(loss, point, retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


# --- 5: any sound, any rate, any setting ----------------------------------------------------------


@EACH
@pytest.mark.parametrize("channels", [1, 2])
def test_silence_in_gives_silence_out(name, channels):
    effect, silence = load(name), np.zeros((5000, channels))
    for values in (telling(effect), effect.defaults, *corners(effect)):
        assert not stream(alone(name, values), silence).any()
        moved = [(1000, alone(name, telling(effect))), (2000, alone(name, values))]
        assert not stream(alone(name, values), silence, glides=moved).any()


@EACH
@pytest.mark.parametrize("rate", RATES)
def test_every_corner_stays_finite_at_every_rate(name, rate):
    effect, x = load(name), noise(6000)
    x[2000:2100] = np.sign(x[2000:2100])
    x[4000:] = 0.0
    for values in corners(effect):
        assert np.isfinite(stream(alone(name, values), x, rate)).all(), values


@EACH
def test_flight_from_corner_to_corner_stays_finite(name):
    effect, x = load(name), noise(20000)
    ends = corners(effect, 12)
    glides = [(1200 * i, alone(name, values)) for i, values in enumerate(ends, 1)]
    y = stream(alone(name, ends[0]), x, glides=glides)
    assert np.isfinite(y).all()
    assert np.abs(y).max() < 1e6


@EACH
def test_every_corner_has_finite_gradients(name):
    effect = load(name)
    settings = corners(effect)
    xs = [np.concatenate([noise(2000, seed=i), np.zeros((500, 2))]) for i in range(len(settings))]
    x = tensor(xs).requires_grad_()
    values = [v.clone().requires_grad_() for v in columns(settings)]
    effect.process(x, RATE, *values).square().sum().backward()
    for v in (x, *values):
        assert v.grad is not None
        assert torch.isfinite(v.grad).all()


@EACH
@pytest.mark.parametrize("level", [1.0, 8.0, 1e-30, 1e-310, 5e-324])
def test_loud_tiny_and_denormal_input_stays_finite(name, level):
    effect, x = load(name), np.where(noise(6000) > 0, level, -level)
    for values in (telling(effect), *corners(effect, 2)):
        assert np.isfinite(stream(alone(name, values), x)).all()


@EACH
@pytest.mark.parametrize("kind", ["denormal", "tiny", "decay"])
def test_denormal_input_is_not_slow(name, kind):
    sounds = {"denormal": noise(24000) * 1e-310, "tiny": noise(24000) * 1e-290, "decay": np.zeros((24000, 2))}

    def fastest(sound):
        rack, best = ChainPlayer(alone(name, telling(load(name))), RATE), math.inf
        rack.play(noise(4800))
        for _ in range(6):
            begin = time.thread_time()
            rack.play(sound)
            best = min(best, time.thread_time() - begin)
        return best

    assert fastest(sounds[kind]) < 3 * fastest(noise(24000)) + 1e-3


@EACH
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_sound_is_survived(name, bad):
    x = noise(9600, peak=0.3).astype(np.float32)
    with np.errstate(over="ignore"):
        x[4000:4100, 0] = np.float32(bad)
    engine = Engine(alone(name, telling(load(name))), RATE)
    y = np.concatenate([engine.process(x[i : i + 480]) for i in range(0, len(x), 480)])
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= np.float32(CEILING)
    assert np.abs(y[6000:]).max() > 1e-3  # and plays on
    assert np.isfinite(ChainPlayer(alone(name, telling(load(name))), RATE).play(noise(100))).all()


# --- the spec -------------------------------------------------------------------------------------

UNITS = {"db", "hz", "ms", "s"}
OTHER_UNITS = {
    "khz",
    "sec",
    "seconds",
    "percent",
    "pct",
    "dbfs",
    "lufs",
    "deg",
    "frames",
    "samples",
    "oct",
    "cents",
    "us",
}


@EACH
def test_names_are_words_that_end_in_their_unit_or_have_none(name):
    effect = load(name)
    assert effect.name == name
    assert len(effect.defaults) == len(effect.params)
    for p in effect.params:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", p.name)
        *_, last = p.name.split("_")
        assert last not in OTHER_UNITS, f"{p.name}: units are {', '.join(sorted(UNITS))}"
        assert p.doc
        assert not p.doc.endswith(".")
        # Without a unit it is a ratio, a share or a Q: a small number.
        assert last in UNITS or max(abs(p.low), abs(p.high)) <= 100.0, p.name


@EACH
def test_defaults_and_neutral_values_are_in_range(name):
    for p in load(name).params:
        assert p.low < p.high
        assert p.low <= p.default <= p.high
        assert p.check(p.default) == p.default
        assert p.neutral is None or p.low <= p.neutral <= p.high


@EACH
def test_unit_and_value_invert_each_other(name):
    for p in load(name).params:
        assert p.value(0.0) == pytest.approx(p.low, rel=1e-12, abs=1e-12)
        assert p.value(1.0) == pytest.approx(p.high, rel=1e-12, abs=1e-12)
        us = np.linspace(0.0, 1.0, 101)
        values = p.value(us)
        assert np.all(np.diff(values) > 0)
        np.testing.assert_allclose([p.unit(v) for v in values], us, rtol=0, atol=1e-12)
        np.testing.assert_allclose(p.value(torch.tensor(us)).numpy(), values, rtol=1e-12)


@EACH
def test_out_of_range_is_refused_or_clipped(name):
    for p in load(name).params:
        for value, end in ((p.low - 1.0, p.low), (p.high + 1.0, p.high)):
            assert p.clip(value) == end
            with pytest.raises(ValueError, match=rf"{p.name}: .* is not in \["):
                p.check(value)
        with pytest.raises(ValueError, match=p.name):
            p.check(math.nan)


@pytest.mark.parametrize("name", [n for n in NAMES if any(p.neutral is not None for p in load(n).params)])
def test_at_neutral_the_sound_is_left_alone(name):
    effect, rng = load(name), np.random.default_rng(7)
    at = {p.name: p.neutral for p in effect.params if p.neutral is not None}
    x = np.zeros((8192, 2))
    x[100] = 0.4
    for _ in range(8):
        y = stream(alone(name, {**anywhere(effect, rng, 0.0, 1.0), **at}), x)
        bins = slice(round(20 * len(x) / RATE), round(20000 * len(x) / RATE))
        change = 20 * np.log10(np.abs(np.fft.rfft(y, axis=0)[bins]) / 0.4)
        assert np.abs(change).max() < 0.1


@EACH
def test_parameters_and_coefficients_have_room(name):
    effect = load(name)
    assert len(effect.params) <= MAX_PARAMS
    assert len(effect._design(RATE, *effect.defaults.values())) <= MAX_COEFS  # compiled code checks no bounds


def test_design_that_is_not_its_spec_is_refused():
    gain = load("gain")
    for design in (
        lambda sample_rate: (1.0,),
        lambda sample_rate, gain: (1.0,),
        lambda gain_db, sample_rate: (1.0,),
        lambda sample_rate, gain_db, more: (1.0,),
    ):
        with pytest.raises(TypeError, match=r"design takes .*its spec says \['sample_rate', 'gain_db'\]"):
            replace(gain, design=design)
    with pytest.raises(TypeError, match="equaliser: design takes"):
        replace(load("equaliser"), params=load("equaliser").params[::-1])


def test_param_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match=r"a_db: default 2.0 is not in \[0.0, 1.0\]"):
        Param("a_db", 0.0, 1.0, 2.0, "")
    for curve in ("log", "slope"):
        with pytest.raises(ValueError, match=f"a {curve} curve needs a low end above 0"):
            Param("a_hz", 0.0, 1.0, 0.5, "", curve)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="'flanger' is not an effect; there are compressor, "):
        load("flanger")
    with pytest.raises(KeyError, match="gain has no parameter 'level'; it has gain_db"):
        load("gain").param("level")


# --- gain -----------------------------------------------------------------------------------------


def test_gain_is_its_decibels():
    x = noise(100)
    for db in (-48.0, -6.0, 0.0, 20.0):
        np.testing.assert_allclose(stream(alone("gain", {"gain_db": db}), x), x * 10 ** (db / 20), rtol=1e-14)


# --- equaliser ------------------------------------------------------------------------------------


def cookbook(rate, kind, hz, db, q):
    """R. Bristow-Johnson's page, line by line: b and a, not yet divided by a0."""
    w, big_a = 2 * math.pi * min(hz, 0.45 * rate) / rate, 10 ** (db / 40)
    c, alpha, s = math.cos(w), math.sin(w) / (2 * q), 2 * math.sqrt(big_a)
    if kind == "peak":
        return [1 + alpha * big_a, -2 * c, 1 - alpha * big_a, 1 + alpha / big_a, -2 * c, 1 - alpha / big_a]
    up, down = big_a + 1, big_a - 1
    if kind == "low_shelf":
        b = [up - down * c + s * alpha, 2 * (down - up * c), up - down * c - s * alpha]
        return [big_a * v for v in b] + [up + down * c + s * alpha, -2 * (down + up * c), up + down * c - s * alpha]
    b = [up + down * c + s * alpha, -2 * (down + up * c), up + down * c - s * alpha]
    return [big_a * v for v in b] + [up - down * c + s * alpha, 2 * (down - up * c), up - down * c - s * alpha]


def sections(values, rate):
    bands = ("low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf")
    rows = [
        cookbook(rate, b if "shelf" in b else "peak", values[f"{b}_hz"], values[f"{b}_db"], values[f"{b}_q"])
        for b in bands
    ]
    return np.array([np.array(r) / r[3] for r in rows])


@pytest.mark.parametrize("rate", [22050.0, *RATES])
def test_equaliser_is_the_cookbooks(rate):
    effect, rng, x = load("equaliser"), np.random.default_rng(8), bursts(20000)
    for values in (telling(effect), *(anywhere(effect, rng, 0.0, 1.0) for _ in range(5))):
        sos = sections(values, rate)
        mine = coefficients(effect, torch.stack(columns([values]), 1), rate)[0, :30].reshape(6, 5).numpy()
        np.testing.assert_allclose(mine, np.delete(sos, 3, axis=1), rtol=0, atol=1e-12 * np.abs(sos).max())
        wanted = sosfilt(np.insert(mine, 3, 1.0, axis=1), x, axis=0)
        y = stream(alone("equaliser", values), x, rate)
        np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_equaliser_and_its_gradient_are_torchaudios():
    effect = load("equaliser")
    x = tensor(bursts(3000)).requires_grad_()
    values = torch.stack(columns([telling(effect)]), 1).requires_grad_()
    weight = tensor(noise(3000, seed=9))
    y = effect.process(x, RATE, *values.unbind(1))
    mine = torch.autograd.grad((y * weight).sum(), (x, values))
    theirs = x
    for c in coefficients(effect, values, RATE)[0, :30].reshape(6, 5):
        theirs = lfilter(theirs, torch.cat([c.new_ones(1), c[3:]]), c[:3], clamp=False)
    torch.testing.assert_close(y, theirs, rtol=0, atol=1e-11)
    for a, b in zip(mine, torch.autograd.grad((theirs * weight).sum(), (x, values)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", RATES)
def test_equaliser_peaks_reach_their_gain_at_their_frequency(rate):
    for i, hz in enumerate((100.0, 500.0, 2000.0, 5000.0), 1):
        for db in (-18.0, 12.0):
            h = np.fft.rfft(
                stream(alone("equaliser", {f"peak_{i}_hz": hz, f"peak_{i}_db": db}), np.eye(1, int(rate)).T, rate),
                axis=0,
            )
            assert 20 * np.log10(abs(h[int(hz), 0])) == pytest.approx(db, abs=0.01)


# --- compressor and limiter -----------------------------------------------------------------------


def settled(name, levels_db, **values):
    """Gain in dB that a steady level ends at."""
    effect, frames = load(name), 4000
    values = {**effect.defaults, "attack_ms": effect.param("attack_ms").low, **values}
    x = 10 ** (torch.tensor(levels_db)[:, None, None].expand(-1, 1, frames) / 20)
    y = effect.process(x, RATE, *(torch.full((len(x),), v, dtype=torch.float64) for v in values.values()))
    return (20 * torch.log10(y / x)[:, 0, -1]).numpy()


def textbook(x, threshold, slope, knee):
    """Giannoulis, Massberg and Reiss, equation 4, as a gain in dB; slope is 1 / ratio - 1."""
    over = x - threshold
    inside = slope * (over + knee / 2) ** 2 / (2 * knee)
    return np.where(2 * over < -knee, 0.0, np.where(2 * np.abs(over) <= knee, inside, slope * over))


@pytest.mark.parametrize("knee_db", [0.1, 6.0, 18.0])
@pytest.mark.parametrize(("threshold_db", "ratio"), [(-40.0, 20.0), (-18.0, 3.0), (-6.0, 1.5), (-18.0, 1.0)])
def test_compressor_curve_is_the_textbooks(threshold_db, ratio, knee_db):
    levels = np.linspace(-80.0, 0.0, 161)
    gain = settled("compressor", levels, threshold_db=threshold_db, ratio=ratio, knee_db=knee_db, makeup_db=3.0)
    wanted = textbook(levels, threshold_db, 1 / ratio - 1, knee_db)
    np.testing.assert_allclose(gain, wanted + 3.0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("knee_db", [0.1, 1.0, 12.0])
def test_limiter_curve_is_the_textbooks(knee_db):
    levels = np.linspace(-40.0, 0.0, 81)
    gain = settled("limiter", levels, ceiling_db=-12.0, knee_db=knee_db)
    np.testing.assert_allclose(gain, textbook(levels, -12.0, -1.0, knee_db), rtol=0, atol=1e-6)


@pytest.mark.parametrize("knee_db", [0.1, 1.0, 6.0, 18.0])
def test_knee_is_continuous_and_so_is_its_slope(knee_db):
    levels = np.linspace(-30.0, -6.0, 2401)
    step, slope = levels[1] - levels[0], 1 - 1 / 4.0
    gain = settled("compressor", levels, threshold_db=-18.0, ratio=4.0, knee_db=knee_db)
    fall = -np.diff(gain) / step
    assert fall.min() > -1e-6
    assert fall.max() < slope + 1e-6
    assert np.abs(np.diff(fall)).max() < slope * step / knee_db + 1e-6


@pytest.mark.parametrize("rate", [44100.0, 96000.0])
@pytest.mark.parametrize(
    ("name", "attack_ms", "release_ms"),
    [("compressor", 1.0, 20.0), ("compressor", 10.0, 100.0), ("compressor", 100.0, 500.0), ("limiter", 1.0, 80.0)],
)
def test_attack_and_release_are_63_percent_times(name, attack_ms, release_ms, rate):
    values = {"attack_ms": attack_ms, "release_ms": release_ms, "knee_db": 0.1}
    values |= {"threshold_db": -30.0, "ratio": 4.0} if name == "compressor" else {"ceiling_db": -20.0}
    attack, release = round(12e-3 * attack_ms * rate), round(12e-3 * release_ms * rate)
    x = np.concatenate([np.full(1000, 0.001), np.full(attack, 0.5), np.full(release, 0.001)])[:, None]
    gain = 20 * np.log10(stream(alone(name, values), x, rate) / x)[1000:, 0]
    down, back = gain[:attack], gain[attack:]
    for part, goal, ms in (
        (down, down[-1] * (1 - math.exp(-1)), attack_ms),
        (back, down[-1] * math.exp(-1), release_ms),
    ):
        n = np.flatnonzero(np.diff(np.sign(part - goal)))[0]
        passed = n + (part[n] - goal) / (part[n] - part[n + 1])
        assert 1e3 * (passed + 1) / rate == pytest.approx(ms, rel=0.02)


def test_compressor_turns_both_channels_alike():
    x = bursts(5000)
    x[:, 1] *= 0.1
    y = stream(alone("compressor", {"threshold_db": -40.0, "ratio": 8.0}), x)
    np.testing.assert_allclose(y[:, 1] / x[:, 1], y[:, 0] / x[:, 0], rtol=1e-9)
