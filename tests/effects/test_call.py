"""Effects called by keyword, on arrays and on tensors."""

import inspect

import numpy as np
import pytest
import torch

from afx_live import effects
from afx_live.effects import load, ticks
from support.effect_cases import RATE, alone, bursts, stream, telling, tensor, trajectory

EACH = pytest.mark.parametrize("name", effects.names())


@EACH
@pytest.mark.parametrize("channels", [1, 2])
def test_array_call_is_the_live_players(name, channels):
    effect, x = load(name), bursts(5000, channels)
    y = effect(x, RATE, **telling(effect))
    np.testing.assert_array_equal(y, stream(alone(name, telling(effect)), x))
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    single = effect(x.astype(np.float32), int(RATE), **telling(effect))
    assert single.dtype == np.float32
    if channels == 1:
        np.testing.assert_array_equal(effect(x[:, 0], RATE, **telling(effect)), y[:, 0])


@EACH
def test_values_that_move_are_those_of_a_ramp(name):
    effect, x = load(name), bursts(3000)
    first, then = telling(effect), effect.defaults
    moving = dict(zip(effect.defaults, trajectory(effect, first, [(500, then)], 3000), strict=True))
    y = stream(alone(name, first), x, ramps=[(500, alone(name, then))])
    np.testing.assert_allclose(effect(x, RATE, **moving), y, atol=1e-9)
    z = effect(tensor(x), RATE, **{k: torch.tensor(v)[None] for k, v in moving.items()})
    np.testing.assert_allclose(z[0].T.numpy(), y, atol=1e-9)


@pytest.mark.slow
@EACH
def test_tensors_of_any_broadcastable_shape_are_the_same(name):
    effect, batch = load(name), 3
    x, values = tensor([bursts(2000, seed=s) for s in range(batch)]), telling(effect)
    wanted = effect(x, RATE, **values)
    np.testing.assert_allclose(wanted[1].T.numpy(), effect(x[1].T.numpy().copy(), RATE, **values), atol=1e-12)
    shapes = [(), (1,), (batch,), (batch, 1), (1, 1), (batch, ticks(2000)), (1, ticks(2000))]
    for shape in shapes:
        for dtype in (torch.float64, torch.float32):
            tensors = {k: torch.full(shape, v, dtype=dtype, requires_grad=True) for k, v in values.items()}
            y = effect(x, RATE, **tensors)
            if dtype == torch.float64:
                torch.testing.assert_close(y, wanted, rtol=0, atol=1e-11)
            for grad in torch.autograd.grad(y.square().sum(), list(tensors.values())):
                assert (grad.shape, grad.dtype) == (shape, dtype)
    mixed = dict(zip(values, [*values.values()][:1] + [np.float32(v) for v in [*values.values()][1:]], strict=True))
    torch.testing.assert_close(effect(x, RATE, **mixed), wanted, rtol=0, atol=1e-3)


def test_gradient_of_a_shared_value_is_the_sum_over_its_items():
    x = tensor([bursts(2000, seed=s) for s in range(3)])
    one = torch.tensor(12.0, dtype=torch.float64, requires_grad=True)
    each = torch.full((3,), 12.0, dtype=torch.float64, requires_grad=True)
    moving = torch.full((3, ticks(2000)), 12.0, dtype=torch.float64, requires_grad=True)
    grads = [
        torch.autograd.grad(load("distortion")(x, RATE, drive_db=v).pow(3).sum(), v)[0].sum()
        for v in (one, each, moving)
    ]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=0)
    torch.testing.assert_close(grads[0], grads[2], rtol=1e-9, atol=0)


def test_second_derivative_is_refused():
    drive = torch.tensor(12.0, requires_grad=True)
    y = load("distortion")(tensor(bursts(500)), RATE, drive_db=drive)
    (grad,) = torch.autograd.grad(y.square().sum(), drive, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.backward()


SOUND = bursts(500)


@pytest.mark.parametrize(
    ("x", "values", "error", "words"),
    [
        (
            SOUND,
            {"treshold_db": -20.0},
            TypeError,
            "no parameter 'treshold_db'; it has threshold_db, .*did you mean",
        ),
        (SOUND, {"ratio": 30.0}, ValueError, r"ratio: 30 is not in \[1, 20\]"),
        (SOUND, {"ratio": float("nan")}, ValueError, r"ratio: nan is not in \[1, 20\]"),
        (SOUND, {"ratio": "4:1"}, TypeError, "ratio: '4:1' is neither a number nor an array"),
        (SOUND, {"ratio": np.full(5, 2.0)}, ValueError, r"ratio has shape \(5,\).*\(9,\): one value every 64 frames"),
        (SOUND.T.copy(), {}, ValueError, r"not \(2, 500\); it looks like \(channels, frames\): give its transpose"),
        (np.zeros((500, 3)), {}, ValueError, r"one or two channels, not \(500, 3\)"),
        ((SOUND * 32767).astype(np.int16), {}, TypeError, "float32 or float64 with a full scale of 1, not int16"),
        ([0.0, 0.1], {}, TypeError, "not list"),
        (np.full(500, np.nan), {}, ValueError, "NaN or Inf"),
        (tensor(SOUND), {"tresh": 1.0}, TypeError, "no parameter 'tresh'"),
        (tensor(SOUND), {"ratio": torch.tensor(30.0)}, ValueError, r"ratio: 30 is not in \[1, 20\]"),
        (tensor(SOUND), {"ratio": torch.tensor(float("nan"))}, ValueError, r"ratio: nan is not in"),
        (tensor(SOUND), {"ratio": "4:1"}, TypeError, "ratio: '4:1' is neither a number nor a tensor"),
        (tensor(SOUND), {"ratio": torch.full((4,), 2.0)}, ValueError, r"shape \(4,\); .* 0-d, \(1,\), \(1, 1\) or"),
        (tensor(SOUND)[0], {}, ValueError, r"\(batch, channels, frames\), not \(2, 500\)"),
        (tensor(SOUND).int(), {}, TypeError, "float32 or float64 with a full scale of 1, not torch.int32"),
    ],
)
def test_what_cannot_be_played_is_refused_with_what_can(x, values, error, words):
    with pytest.raises(error, match=words):
        load("compressor")(x, RATE, **values)


@pytest.mark.parametrize("x", [SOUND, tensor(SOUND)], ids=["array", "tensor"])
def test_sample_rates_that_cannot_be_played_are_refused(x):
    for rate in (0.0, -48000.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"sample_rate: .* Hz is not above 0"):
            load("gain")(x, rate)
    with pytest.raises(ValueError, match=r"reverb: a sample rate of 768000 Hz is not in \(0, 384000\]"):
        load("reverb")(x, 768000)


def test_an_end_that_float32_rounds_is_in_range():
    x, effect = tensor(SOUND), load("compressor")
    for p in effect.params:
        for end in (p.low, p.high):
            effect(x, RATE, **{p.name: torch.tensor(end, dtype=torch.float32)})


def test_empty_sound_stays_empty():
    assert load("reverb")(np.zeros(0), RATE).shape == (0,)
    assert load("reverb")(np.zeros((0, 2), np.float32), RATE).shape == (0, 2)


@EACH
def test_tail_is_over_when_it_says(name):
    effect = load(name)
    if effect.tail is None:
        return
    assert list(inspect.signature(effect.tail).parameters) == list(effect.defaults)
    x = np.zeros((48000 * 3, 2))
    x[:100] = 0.5
    y = effect(x, RATE, **(effect.defaults | {"rt60_s": 0.5}))
    end = 100 + int(RATE * effect.tail(*(effect.defaults | {"rt60_s": 0.5}).values()))
    assert np.abs(y[end:]).max() < 1e-6 * np.abs(y).max()
