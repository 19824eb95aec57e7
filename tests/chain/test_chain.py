"""Several effects in a row: any order plays, any block size gives the same samples, and torch hears what live plays."""

import itertools

import numpy as np
import pytest
import torch

from afx_live import effects
from afx_live.chain import CANONICAL, ChainParameters, ChainPlayer, ChainSettings, EffectSettings
from afx_live.chain.settings import MAX_EFFECTS
from afx_live.effects import load, ticks
from support.effect_cases import (
    RATE,
    anywhere,
    away_from_zero,
    bursts,
    partition,
    stream,
    telling,
    tensor,
    trajectory,
)

ORDERS = (
    CANONICAL,
    ("reverb", "distortion", "compressor", "equaliser"),
    ("distortion", "reverb", "equaliser", "compressor"),
    ("gain", "limiter", "compressor", "reverb", "equaliser", "distortion"),
    ("compressor", "equaliser"),
    ("reverb",),
    effects.names(),
)
ORDER = pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(n[:4] for n in order))


def chosen(order, seed=0, **gains):
    rng = np.random.default_rng(seed)
    return ChainSettings(tuple(EffectSettings(name, anywhere(load(name), rng, 0.1, 0.9)) for name in order), **gains)


def vector(settings):
    """Values of a chain as one vector, in the order of `Chain.params`."""
    return [v for step in settings.effects for v in step.values.values()]


def path(settings, moves, frames, rate=RATE):
    """The trajectory of every parameter of a chain, (params, ticks)."""
    return np.concatenate(
        [
            trajectory(load(s.effect), s.values, [(t, m.effects[i].values) for t, m in moves], frames, rate)
            for i, s in enumerate(settings.effects)
        ]
    )


# --- any block size, and torch --------------------------------------------------------------------


@pytest.mark.slow
@ORDER
@pytest.mark.parametrize("channels", [1, 2])
def test_block_size_does_not_change_a_chain(order, channels):
    x = bursts(6000, channels)
    settings = chosen(order, input_gain_db=3.0, output_gain_db=-4.0)
    moves = [(700, chosen(order, 1)), (1500, chosen(order, 2, output_gain_db=6.0)), (1600, chosen(order, 3))]
    for ramps in ((), moves):
        whole = stream(settings, x, ramps=ramps)
        for seed in range(2):
            np.testing.assert_array_equal(stream(settings, x, cuts=partition(len(x), seed), ramps=ramps), whole)
        np.testing.assert_array_equal(stream(settings, x, cuts=range(len(x)), ramps=ramps), whole)


def test_block_size_does_not_change_the_switching_of_effects():
    order, x = effects.names(), bursts(9000)
    rng = np.random.default_rng(4)
    times = (300, 700, 1500, 1501, 3000, 4200, 4230)
    moves = []
    for i, time in enumerate(times):
        steps = tuple(
            EffectSettings(s.effect, s.values, enabled=bool(rng.random() < 0.5)) for s in chosen(order, i).effects
        )
        moves.append((time, ChainSettings(steps)))
    whole = stream(chosen(order), x, ramps=moves)
    for cuts in (partition(len(x), 0), partition(len(x), 1), range(len(x))):
        np.testing.assert_array_equal(stream(chosen(order), x, cuts=cuts, ramps=moves), whole)


@ORDER
@pytest.mark.parametrize("rate", [44100.0, 96000.0])
def test_live_chain_matches_torch(order, rate):
    settings, xs = [chosen(order, s) for s in range(3)], [bursts(4000, seed=s) for s in range(3)]
    played = np.stack([stream(s, x, rate) for s, x in zip(settings, xs, strict=True)])
    values, loud = (
        torch.tensor([vector(s) for s in settings], dtype=torch.float64),
        max(1.0, float(np.abs(played).max())),
    )
    y = ChainParameters(order).process(tensor(xs), rate, values)
    torch.testing.assert_close(y, tensor(played), rtol=0, atol=1e-9 * loud)


@ORDER
def test_live_chain_matches_torch_while_parameters_move(order):
    frames = 4000
    xs = [bursts(frames, seed=s) for s in range(2)]
    starts = [chosen(order, s) for s in range(2)]
    moves = [[(500 + 64 * s, chosen(order, 10 + s)), (1000, chosen(order, 20 + s))] for s in range(2)]
    played = np.stack([stream(s, x, ramps=m) for s, x, m in zip(starts, xs, moves, strict=True)])
    values = torch.tensor(np.array([path(s, m, frames) for s, m in zip(starts, moves, strict=True)]))
    loud = max(1.0, float(np.abs(played).max()))
    y = ChainParameters(order).process(tensor(xs), RATE, values)
    torch.testing.assert_close(y, tensor(played), rtol=0, atol=1e-9 * loud)


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_effects_that_are_off_are_left_out(moving):
    order, frames = CANONICAL, 3000
    flags = [
        [True] * 4,
        [False] * 4,
        [True, False, True, False],
        [False, True, False, True],
        [True, True, False, False],
    ]
    on = torch.tensor(flags)
    xs, played, values = [bursts(frames, seed=i) for i in range(len(flags))], [], []
    for i, (row, x) in enumerate(zip(flags, xs, strict=True)):
        first, then = (
            ChainSettings(
                tuple(
                    EffectSettings(s.effect, s.values, f) for s, f in zip(chosen(order, seed).effects, row, strict=True)
                )
            )
            for seed in (i, 30 + i)
        )
        played.append(stream(first, x, ramps=[(900, then)] if moving else ()))
        values.append(path(first, [(900, then)], frames) if moving else vector(first))
    y = ChainParameters(order).process(tensor(xs), RATE, torch.tensor(np.array(values)), on)
    torch.testing.assert_close(y, tensor(played), rtol=0, atol=1e-9 * max(1.0, float(np.abs(played).max())))
    assert torch.equal(y[1], tensor(xs[1])[0])


def test_items_that_are_off_get_no_gradient_from_their_values():
    chain = ChainParameters(("gain", "equaliser"))
    values = torch.tensor([vector(chosen(chain.order, s)) for s in range(2)], dtype=torch.float64, requires_grad=True)
    x = tensor([bursts(500), bursts(500)]).requires_grad_()
    chain.process(x, RATE, values, torch.tensor([[True, False], [False, True]])).square().sum().backward()
    there = values.grad != 0
    assert there[0, 0]
    assert not there[0, 1:].any()
    assert not there[1, 0]
    assert there[1, 1:].all()
    assert x.grad is not None
    assert x.grad.abs().min(dim=2).values.min() >= 0
    assert (x.grad.abs().sum(dim=(1, 2)) > 0).all()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_gradient_of_a_chain_is_right(moving):
    chain, frames = ChainParameters(("gain", "compressor", "distortion")), 80
    rng = np.random.default_rng(5)
    middle = np.array([p.unit(telling(load(name))[p.name]) for name, p in chain.params])
    middle = middle[:, None] + (rng.uniform(-0.03, 0.03, (len(middle), ticks(frames))) if moving else np.zeros((1, 1)))
    units = torch.tensor(np.stack([middle, middle * 0.97]).clip(0.01, 0.99), requires_grad=True)
    x = tensor([away_from_zero(frames, 2, seed=s) * 0.5 for s in (1, 2)]).requires_grad_()
    on = torch.tensor([[True, True, True], [True, False, True]])

    def function(x, units):
        values = torch.stack([p.value(units[:, i]) for i, (_, p) in enumerate(chain.params)], 1)
        return chain.process(x, RATE, values if moving else values[..., 0], on)

    assert torch.autograd.gradcheck(function, (x, units), eps=1e-6, atol=1e-6, rtol=1e-4)


def test_order_is_heard():
    x = bursts(5000)
    for a, b in itertools.combinations(chosen(CANONICAL).effects, 2):
        change = np.abs(stream(ChainSettings((a, b)), x) - stream(ChainSettings((b, a)), x)).max()
        linear = {a.effect, b.effect} == {"equaliser", "reverb"}
        assert change < 1e-12 if linear else change > 1e-3


def test_vector_and_settings_are_the_same_thing():
    chain = ChainParameters(("reverb", "gain", "equaliser"))
    settings = chosen(chain.order)
    assert [(s.effect, name) for s in settings.effects for name in s.values] == [(e, p.name) for e, p in chain.params]
    assert chain.settings(np.array(vector(settings)), [True] * 3) == settings
    assert chain.columns("gain") == slice(6, 7)
    assert chain.settings(np.full(25, 1e9), [False] * 3).effects[1] == EffectSettings(
        "gain", {"gain_db": 48.0}, enabled=False
    )
    with pytest.raises(KeyError, match="limiter is not in the chain"):
        chain.columns("limiter")
    with pytest.raises(ValueError, match="argument"):
        chain.settings(np.array(vector(settings)), [True, True])


# --- settings -------------------------------------------------------------------------------------


def test_what_cannot_be_played_is_refused():
    with pytest.raises(ValueError, match="compressor, gain: in the chain twice; each effect once"):
        ChainSettings(tuple(map(EffectSettings, ("gain", "compressor", "gain", "compressor"))))
    with pytest.raises(ValueError, match="'flanger' is not an effect; there are compressor, "):
        EffectSettings("flanger")
    with pytest.raises(KeyError, match="compressor has no parameter 'treshold_db'; it has threshold_db, ratio"):
        EffectSettings("compressor", {"treshold_db": -20.0})
    with pytest.raises(ValueError, match=r"ratio: 0.5 is not in \[1, 20\]"):
        EffectSettings("compressor", {"ratio": 0.5})
    with pytest.raises(ValueError, match=r"ratio: nan is not in \[1, 20\]"):
        EffectSettings("compressor", {"ratio": float("nan")})
    for gain in ("input_gain_db", "output_gain_db"):
        with pytest.raises(ValueError, match=r"gain_db: 49 is not in \[-48, 48\]"):
            ChainSettings((), **{gain: 49.0})
    with pytest.raises(ValueError, match=f"9 effects in a chain; at most {MAX_EFFECTS}"):
        ChainSettings(tuple(map(EffectSettings, ["gain"] * 9)))
    with pytest.raises(KeyError, match="gain is not in the chain equaliser → compressor"):
        ChainSettings((EffectSettings("equaliser"), EffectSettings("compressor"))).effect("gain")


def test_player_refuses_to_ramp_to_another_chain():
    player = ChainPlayer(ChainSettings((EffectSettings("gain"), EffectSettings("equaliser"))), RATE)
    for order in (("equaliser", "gain"), ("gain",), ("gain", "equaliser", "reverb")):
        with pytest.raises(ValueError, match="a ramp keeps the effects and their order"):
            player.ramp(ChainSettings(tuple(map(EffectSettings, order))))
    with pytest.raises(ValueError, match="channels: 3 is not 1 or 2"):
        ChainPlayer(ChainSettings(), RATE, 3)


def test_step_fills_in_defaults_and_with_effect_changes_one():
    settings = ChainSettings.default()
    assert [s.effect for s in settings.effects] == list(CANONICAL)
    assert not any(s.enabled for s in settings.effects)
    changed = settings.with_effect("reverb", enabled=True, mix=0.5)
    assert changed.effect("reverb") == EffectSettings("reverb", {**load("reverb").defaults, "mix": 0.5})
    assert changed.effects[:3] == settings.effects[:3]
    assert settings == ChainSettings.default()


@pytest.mark.parametrize(
    ("chain", "front"),
    [
        ("+equaliser +compressor +reverb", "equaliser"),
        ("+equaliser -compressor +reverb +limiter", "equaliser compressor reverb"),
        ("+equaliser -compressor -distortion +reverb", "equaliser"),  # where a compressor would be entered
        ("+reverb +equaliser +distortion", "reverb equaliser"),
        ("+compressor +equaliser", ""),
        ("+equaliser +reverb", "equaliser reverb"),
        ("", ""),
    ],
)
def test_linear_front_ends_before_the_first_effect_that_is_not(chain, front):
    settings = ChainSettings(tuple(EffectSettings(e[1:], enabled=e[0] == "+") for e in chain.split()))
    assert [e.effect for e in settings.linear_front] == front.split()


# --- amount ---------------------------------------------------------------------------------------


@ORDER
def test_amount_of_one_is_what_was_set(order):
    settings = chosen(order, 6)
    np.testing.assert_allclose(vector(settings.scaled(1.0)), vector(settings), rtol=1e-12)


@ORDER
def test_amount_of_zero_does_nothing(order):
    x = np.concatenate([bursts(7168) * 0.25, np.zeros((1024, 2))])
    for seed in range(3):  # a limiter at 0 dB with a wide knee does not reach down to this sound
        y = stream(chosen(order, seed).scaled(0.0), x)
        if "distortion" not in order:
            np.testing.assert_array_equal(y, x)
        else:  # its half-bands turn phases, also of the dry sound, so that a mix does not comb
            a, b = (np.abs(np.fft.rfft(z, axis=0)[3 : round(20000 * len(x) / RATE)]) for z in (x, y))
            np.testing.assert_allclose(b, a, rtol=0.012, atol=1e-3 * a.mean())  # 0.1 dB


@pytest.mark.parametrize("name", effects.names())
def test_amount_moves_every_parameter_evenly_to_the_ear(name):
    effect = load(name)
    for seed in range(4):
        step = EffectSettings(name, anywhere(effect, np.random.default_rng(seed), 0.0, 1.0))
        parts = [step.scaled(a) for a in np.linspace(0.0, 1.0, 11)]
        for p in effect.params:
            units = np.array([p.unit(s.values[p.name]) for s in parts])
            if p.neutral is None:
                assert all(s.values[p.name] == step.values[p.name] for s in parts)
            else:
                even = np.linspace(p.unit(p.neutral), p.unit(step.values[p.name]), 11)
                np.testing.assert_allclose(units, even, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in effects.names() if any(p.neutral is not None for p in load(n).params)])
def test_more_amount_is_more_change(name):
    x, settings = bursts(9600), ChainSettings((EffectSettings(name, telling(load(name))),))
    y = [stream(settings.scaled(a), x) for a in np.linspace(0.0, 1.0, 9)]
    change = [np.sqrt(np.mean((other - y[0]) ** 2)) for other in y]
    assert np.all(np.diff(change) >= 0)
    assert change[-1] > max(change[4], 1e-3)


# --- switching ------------------------------------------------------------------------------------


def bend(y):
    """The largest second difference: a click is a large one."""
    return float(np.abs(np.diff(y, 2, axis=0)).max())


@pytest.mark.parametrize("name", effects.names())
@pytest.mark.parametrize("hz", [110.0, 997.0])
@pytest.mark.parametrize("turn", [0.0, np.pi / 2], ids=["at zero", "at peak"])
def test_switching_an_effect_does_not_click(name, hz, turn):
    frames, at, back = 36000, 12000, 24000
    x = np.repeat(0.3 * np.sin(2 * np.pi * hz * (np.arange(frames) - at) / RATE + turn)[:, None], 2, axis=1)
    for values in (load(name).defaults, telling(load(name))):
        on, off = (
            ChainSettings((EffectSettings(name, values),)),
            ChainSettings((EffectSettings(name, values, enabled=False),)),
        )
        y, wet = stream(off, x, ramps=[(at, on), (back, off)]), stream(on, x)
        np.testing.assert_array_equal(y[:at], x[:at])
        np.testing.assert_array_equal(y[back + 1000 :], x[back + 1000 :])
        steady = max(bend(x), bend(wet[at:]))
        # A fade has a bend at either end, of what it goes over to in a frame: 1.5 / 20 ms of the difference. The swell
        # of what a sudden effect (a compressor in its attack) first does is some more.
        most = 1.2 * steady + 3.0 * np.abs(wet - x)[at:].max() / (0.020 * RATE)
        assert bend(y[at - 100 : at + 6000]) < most
        assert bend(y[back - 100 : back + 6000]) < most


def test_switching_on_and_off_in_a_fade_does_not_click():
    x = np.repeat(0.3 * np.cos(2 * np.pi * 110.0 * np.arange(12000) / RATE)[:, None], 2, axis=1)
    for name in effects.names():
        on, off = (ChainSettings((EffectSettings(name, telling(load(name)), flag),)) for flag in (True, False))
        y = stream(off, x, ramps=[(t, on if i % 2 == 0 else off) for i, t in enumerate((2000, 2500, 2700, 3000, 3300))])
        wet = stream(on, x)
        assert bend(y) < 1.2 * max(bend(x), bend(wet[4000:])) + 3.0 * np.abs(wet - x).max() / (0.020 * RATE)


def test_effect_that_is_switched_on_again_has_no_tail_from_before():
    x = np.zeros((30000, 2))
    x[:2000] = bursts(2000)
    on, off = (
        ChainSettings((EffectSettings("reverb", {"rt60_s": 6.0, "mix": 1.0}),)),
        ChainSettings((EffectSettings("reverb", enabled=False),)),
    )
    y = stream(on, x, ramps=[(3000, off), (6000, on)])
    assert np.abs(y[2500:3000]).max() > 1e-3
    assert not y[6000:].any()


def test_switching_in_a_chain_does_not_click_when_values_change_with_it():
    x = np.repeat(0.1 * np.sin(2 * np.pi * 220.0 * np.arange(24000) / RATE + 1.0)[:, None], 2, axis=1)
    first = ChainSettings(tuple(EffectSettings(n, enabled=n != "reverb") for n in CANONICAL))
    then = ChainSettings(
        tuple(EffectSettings(s.effect, s.values, s.effect != "distortion") for s in chosen(CANONICAL, 2).effects)
    )
    y = stream(first, x, ramps=[(12000, then)])
    a, b = stream(first, x), stream(then, x)
    assert bend(y[11900:20000]) < 2.0 * max(bend(a[6000:]), bend(b[6000:])) + 10.0 * np.abs(a - b)[6000:].max() / 960
