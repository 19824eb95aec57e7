"""A chain called from Python, and the page that shows it."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from afx_live import chain, effects
from afx_live.chain import Chain, ChainSettings, EffectSettings, Processor
from afx_live.effects import _catalogue
from afx_live.presets import clip
from support.effect_cases import RATE, anywhere, bursts, partition, tensor

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"


def test_page_runs_as_written(monkeypatch, tmp_path):
    monkeypatch.setattr(_catalogue, "_registered", [])
    monkeypatch.chdir(tmp_path)
    x, rate = soundfile.read(clip("guitar"))
    reference, _ = soundfile.read(clip("guitar_reference"))
    assert rate == 48000
    t = torch.from_numpy(np.stack([x[:48000], x[48000:96000]])[:, None].astype(np.float32))
    names = {"x": x, "reference": reference, "t": t}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    for i, block in enumerate(blocks):
        exec(compile(block, f"{PAGE.name}, block {i + 1}", "exec"), names)
    assert names["found"].probabilities["distortion"] > 0.9
    assert names["drive"].grad.abs() > 0
    assert names["threshold"].grad.shape == (2,)


def everything(seed=0):
    rng = np.random.default_rng(seed)
    return [Processor.of(EffectSettings(name, anywhere(effects.load(name), rng))) for name in effects.names()]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_stream_in_blocks_is_the_whole(channels):
    board, x = Chain(everything(), input_gain_db=2.0, output_gain_db=-3.0), bursts(6000, channels)
    whole = board(x, RATE)
    for cuts in (partition(len(x), 0), range(0, 6000, 64), [1, 2, 2, 3]):
        blocks = np.split(x, np.unique(cuts))
        np.testing.assert_array_equal(np.concatenate([board(b, RATE, reset=False) for b in blocks]), whole)
        board.reset()
    board(x, RATE, reset=False)
    np.testing.assert_array_equal(board(x, RATE), whole)  # a sound of its own ends the stream
    np.testing.assert_array_equal(board(x[:100], RATE, reset=False), whole[:100])


def test_arrays_tensors_and_settings_play_alike():
    board, x = Chain(everything(1), input_gain_db=2.0, output_gain_db=-3.0), bursts(4000)
    y = board(x, RATE)
    np.testing.assert_allclose(board(tensor(x), RATE)[0].T.numpy(), y, atol=1e-9 * max(1.0, np.abs(y).max()))
    np.testing.assert_array_equal(Chain.from_settings(board.settings)(x, RATE), y)
    np.testing.assert_array_equal(board(x[:, 0], RATE), board(x[:, :1], RATE)[:, 0])
    assert board(x.astype(np.float32), RATE).dtype == np.float32


def test_values_that_change_in_a_stream_ramp():
    board, x = Chain([chain.Gain(gain_db=0.0)]), np.ones(9600)
    board(x, RATE, reset=False)
    board[0].values["gain_db"] = -20.0
    y = board(x, RATE, reset=False)
    assert y[0] == pytest.approx(1.0, abs=0.05)
    assert np.abs(np.diff(y)).max() < 0.01
    np.testing.assert_allclose(y[2000:], 0.1)


def test_what_is_not_enabled_is_left_out():
    x = bursts(1000)
    board = Chain([chain.Compressor(threshold_db=-40.0), chain.Distortion(enabled=False)])
    alone = Chain([chain.Compressor(threshold_db=-40.0)])
    np.testing.assert_array_equal(board(x, RATE), alone(x, RATE))
    torch.testing.assert_close(board(tensor(x), RATE), alone(tensor(x), RATE), rtol=0, atol=0)
    assert (board.latency, Chain([chain.Distortion()]).latency) == (0, 5)
    assert board.settings.effect("distortion").enabled is False


def test_gains_are_trained_too():
    gain = torch.zeros((), dtype=torch.float64, requires_grad=True)
    y = Chain([chain.Distortion()], input_gain_db=gain, output_gain_db=-3.0)(tensor(bursts(500)), RATE)
    y.square().sum().backward()
    assert gain.grad is not None
    assert gain.grad.abs() > 1e-6


def test_classes_say_what_they_take():
    import inspect

    assert chain.Compressor is chain.processor_class("compressor")
    assert list(inspect.signature(chain.Compressor).parameters)[:2] == ["threshold_db", "ratio"]
    assert "ratio: " in (chain.Compressor.__doc__ or "")
    assert {"Compressor", "Reverb", "Chain"} <= set(dir(chain))
    board = Chain([chain.Compressor(ratio=4, enabled=False)], output_gain_db=3.0)
    assert repr(board) == "Chain([Compressor(ratio=4, enabled=False)], output_gain_db=3.0)"
    assert eval(repr(board), {"Chain": Chain, "Compressor": chain.Compressor}).settings == board.settings
    again = pickle.loads(pickle.dumps(board[0]))
    assert (type(again), again.values, again.enabled) == (chain.Compressor, {"ratio": 4}, False)
    assert board["compressor"] is board[0]
    assert len(board) == len(list(board)) == 1


def test_settings_of_a_chain_go_both_ways():
    settings = ChainSettings(
        (EffectSettings("reverb", {"mix": 0.5}), EffectSettings("gain", {"gain_db": -3.0}, enabled=False)), 1.5, -2.0
    )
    assert Chain.from_settings(settings).settings == settings
    one = Chain([chain.Gain(gain_db=torch.tensor([-3.0], requires_grad=True))])
    assert one.settings == ChainSettings((EffectSettings("gain", {"gain_db": -3.0}),))


def test_what_cannot_be_is_refused():
    x, two = bursts(500), torch.zeros(2)
    for wrong, error, words in (
        (lambda: chain.Compressor(treshold_db=-20), TypeError, "did you mean threshold_db"),
        (lambda: chain.Compressor(ratio=0), ValueError, r"ratio: 0 is not in \[1, 20\]"),
        (lambda: chain.Compressor(ratio="4"), TypeError, "'4' is neither a number, an array nor a tensor"),
        (lambda: chain.Compressor(ratio=True), TypeError, "True is neither a number"),
        (lambda: chain.Flanger, AttributeError, "'Flanger' is not an effect; there are Compressor, Distortion"),
        (lambda: Chain([chain.Compressor]), TypeError, r"a chain holds effects such as Compressor\(ratio=4\)"),
        (lambda: Chain([chain.Gain(), chain.Gain()]), ValueError, "gain: in the chain twice; each effect once"),
        (lambda: Chain(input_gain_db=99), ValueError, r"input_gain_db: 99 is not in \[-48, 48\]"),
        (lambda: Chain()["gain"], KeyError, "gain is not in the chain"),
        (lambda: Chain([chain.Gain(gain_db=two)]).settings, TypeError, "gain: gain_db holds several values"),
        (lambda: Chain(output_gain_db=two)(x, RATE), TypeError, "output_gain_db holds several values"),
        (lambda: Chain()(tensor(x), RATE, reset=False), ValueError, "a tensor is always a sound of its own"),
        (lambda: Chain()(x.T.copy(), RATE), ValueError, "give its transpose"),
    ):
        with pytest.raises(error, match=words):
            wrong()
    board = Chain()
    board(x, RATE, reset=False)
    for other, rate in ((x, 44100.0), (x[:, 0], RATE)):
        with pytest.raises(ValueError, match=r"the stream has 48000 Hz and 2 channels, the block .*; reset\(\) begins"):
            board(other, rate, reset=False)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = chain.nothing
