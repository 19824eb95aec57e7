"""The contract of an effect. Every effect there is goes through it, a new file without any change here."""

import math
import time

import numpy as np
import pytest
import torch

from afx_live import effects
from afx_live.chain import ChainPlayer
from afx_live.effects import load, ticks
from afx_live.effects._torch import CHUNK
from afx_live.realtime.audio.engine import Engine
from support.effect_cases import (
    RATE,
    alone,
    anywhere,
    away_from_zero,
    bursts,
    columns,
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


def walk(name, frames, seed=0, rate=RATE):
    """A first setting, and ramps: one from rest, two that interrupt each other, one on a tick, one of one tick."""
    rng, effect = np.random.default_rng(seed), load(name)
    times = [100, 1000, 1300, 2048, frames - 40]
    return telling(effect), [(t, anywhere(effect, rng)) for t in times if t < frames]


def ramps_of(name, moves):
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
    settings, ramps = alone(name, first), ramps_of(name, moves)
    whole = stream(settings, x, ramps=ramps)
    for seed in range(3):
        np.testing.assert_array_equal(stream(settings, x, cuts=partition(len(x), seed), ramps=ramps), whole)
    np.testing.assert_array_equal(stream(settings, x, cuts=range(len(x)), ramps=ramps), whole)


# --- 2: live is torch -----------------------------------------------------------------------------


@pytest.mark.slow
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
        stream(alone(name, first), x, rate, ramps=ramps_of(name, moves))
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
    moving = [v[:, None].expand(1, ticks(3000)) for v in still]
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
@pytest.mark.usefixtures("one_thread")
def test_sounds_that_are_played_at_once_have_the_bits_that_they_have_alone(name):
    effect, rng = load(name), np.random.default_rng(3)
    count = effect.together + 1
    settings, frames = [anywhere(effect, rng) for _ in range(count)], CHUNK + 300
    xs, ways = (tensor([bursts(frames, seed=s + k) for k in range(count)]) for s in (0, 50))

    def played(rows):
        point = [xs[rows].clone().requires_grad_(), *(v[rows].clone().requires_grad_() for v in columns(settings))]
        y = effect.process(point[0], RATE, *point[1:])
        return [y.detach(), *torch.autograd.grad((y * ways[rows]).sum(), point)]

    together = played(slice(0, count))
    for i in range(count):
        for found, alone_ in zip(together, played(slice(i, i + 1)), strict=True):
            assert torch.equal(found[i : i + 1], alone_)


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
    with pytest.raises(ValueError, match=r"\(batch, channels, frames\)"):
        gain.process(torch.zeros(2, 100), RATE, torch.zeros(2))
    with pytest.raises(ValueError, match="takes 1 values, got 2"):
        gain.process(torch.zeros(1, 2, 100), RATE, torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match=r"to move over 100 frames, \(1, 3\)"):
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


@EACH
def test_effect_is_linear_if_it_says_so(name):
    effect = load(name)
    settings = alone(name, telling(effect))
    a, b = bursts(9600, seed=1) * 0.5, bursts(9600, seed=2)[::-1] * 0.5
    both, apart = stream(settings, a + b), stream(settings, a) + stream(settings, b)
    change = np.abs(both - apart).max() / np.abs(both).max()
    assert change < 1e-12 if effect.linear else change > 1e-3


# --- 4: every gradient is right -------------------------------------------------------------------


def by_unit(effect, rate):
    """The effect as a function of x and unit parameters, whose derivatives are all of one size."""

    def function(x, *units):
        return effect.process(x, rate, *(p.value(u) for p, u in zip(effect.params, units, strict=True)))

    return function


def units(effect, count=None, seed=0):
    """Units of the telling values; `count` ticks wander about them."""
    rng, middle = np.random.default_rng(seed), telling(effect)
    for p in effect.params:
        u = np.array([p.unit(middle[p.name])])
        if count is not None:
            u = np.clip(u + rng.uniform(-0.05, 0.05, (1, count)), 0.005, 0.995)
        yield torch.tensor(u, requires_grad=True)


# At 2 kHz what comes back from a reverb is within the 140 frames that a check of every one can take.
@pytest.mark.slow
@EACH
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [2000.0, 48000.0])
@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_every_gradient_is_right(name, channels, rate, moving):
    effect, frames = load(name), 140
    x = tensor(away_from_zero(frames, channels, seed=3)).requires_grad_()
    values = list(units(effect, ticks(frames) if moving else None))
    assert torch.autograd.gradcheck(by_unit(effect, rate), (x, *values), eps=1e-6, atol=1e-6, rtol=1e-4)


@EACH
def test_no_gradient_is_zero(name):
    effect = load(name)
    x = tensor(bursts(24000)).requires_grad_()
    values = list(units(effect))
    y = by_unit(effect, RATE)(x, *values)
    grads = torch.autograd.grad((y * torch.tensor(noise(24000, seed=4).T.copy())).sum(), (x, *values))
    assert all(g.abs().max() > 1e-6 for g in grads), [float(g.abs().max()) for g in grads]


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_gradient_of_a_long_sound_is_right(name, moving):
    effect, frames = load(name), 20000
    swell = 10 ** (np.arange(frames) % 5000 / 2500 - 2)
    x = tensor(away_from_zero(frames, 2, seed=5) * swell[:, None])
    point = [x.requires_grad_(), *units(effect, ticks(frames) if moving else None)]
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
        assert not stream(alone(name, values), silence, ramps=moved).any()


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
    ramps = [(1200 * i, alone(name, values)) for i, values in enumerate(ends, 1)]
    y = stream(alone(name, ends[0]), x, ramps=ramps)
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
        player, best = ChainPlayer(alone(name, telling(load(name))), RATE), math.inf
        player.play(noise(4800))
        for _ in range(6):
            begin = time.thread_time()
            player.play(sound)
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
    assert np.abs(y).max() <= np.float32(10 ** (-1 / 20))
    assert np.abs(y[6000:]).max() > 1e-3  # and plays on
    assert np.isfinite(ChainPlayer(alone(name, telling(load(name))), RATE).play(noise(100))).all()
