"""Effects from outside the package: registered, played, trained through, and under the same contract."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from afx_live import chain, effects
from afx_live.chain import Chain, ChainParameters, ChainPlayer, ChainSettings, EffectSettings
from afx_live.effects import _catalogue, load, number_of, register
from support.effect_cases import RATE, bursts, tensor
from support.tremolo import source


@pytest.fixture(autouse=True)
def only_here(monkeypatch):
    monkeypatch.setattr(_catalogue, "_registered", [])


def trim(**changes):
    return replace(load("gain"), name="trim", **changes)


def louder(x, state, start, coef, step, tape):
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            x[n, c] *= 2.0


def test_registered_effect_is_there_by_name():
    register(trim())
    assert effects.names() == (*effects.built_in(), "trim")
    assert number_of("trim") == len(effects.built_in())
    assert [number_of(name) for name in effects.built_in()] == list(range(len(effects.built_in())))
    x = bursts(500)
    y = Chain([chain.Trim(gain_db=6.0), chain.Compressor()])(x, RATE)
    np.testing.assert_array_equal(y, Chain([chain.Gain(gain_db=6.0), chain.Compressor()])(x, RATE))
    settings = ChainSettings((EffectSettings("trim", {"gain_db": 6.0}),))
    assert Chain.from_settings(settings).settings == settings
    values = torch.tensor([[6.0, 1.0]], dtype=torch.float64)
    z = ChainParameters(("trim", "gain")).process(tensor(x), RATE, values)
    torch.testing.assert_close(z, tensor(x) * 10 ** (7 / 20))


def test_a_name_that_is_given_again_stands_for_the_newest():
    x = bursts(500)
    register(trim())
    settings = ChainSettings((EffectSettings("trim", {"gain_db": 6.0}),))
    player, before = ChainPlayer(settings, RATE), Chain([chain.Trim(gain_db=6.0)])
    before(x, RATE, reset=False)
    register(trim(kernel=louder))
    np.testing.assert_array_equal(player.play(x), Chain([chain.Gain(gain_db=6.0)])(x, RATE))  # plays on
    np.testing.assert_array_equal(Chain([chain.Trim(gain_db=6.0)])(x, RATE), 2.0 * x)
    with pytest.raises(ValueError, match="a ramp keeps the effects and their order"):
        player.ramp(settings)


def test_player_leaves_out_what_was_registered_after_it():
    # Compiled code checks no bounds: an engine that is older than an effect must not call it.
    from afx_live.realtime.audio.engine import Engine

    engine, x = Engine(ChainSettings(), RATE), bursts(9600).astype(np.float32) * 0.1
    register(trim())
    engine.shared.play(ChainSettings((EffectSettings("trim", {"gain_db": 20.0}), EffectSettings("gain"))))
    y = engine.process(x)
    np.testing.assert_array_equal(y[5000:], Engine(ChainSettings(), RATE).process(x)[5000:])


def test_names_that_cannot_be_are_refused():
    for name in ("Trim", "my trim", "trim-2", "_trim", "__main__"):
        with pytest.raises(ValueError, match="cannot be an effect's name"):
            register(replace(load("gain"), name=name))
    with pytest.raises(ValueError, match="gain is a built-in effect"):
        register(load("gain"))
    assert not effects.names()[len(effects.built_in()) :]


@pytest.mark.slow
def test_effect_of_a_notebook_plays_and_is_trained_through():
    # A cell has no file: nothing of it can be kept on disk, and it needs a name.
    code = source().replace("from ._effect import", "from afx_live.effects import")
    cell = compile(code.replace("    params=(", '    name="tremolo",\n    params=('), "<cell>", "exec")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(cell, names)
    effect = register(names["effect"])
    x = bursts(3000)
    y = effect(x, RATE, rate_hz=8.0)
    np.testing.assert_array_equal(Chain([chain.Tremolo(rate_hz=8.0)])(x, RATE), y)
    rate = torch.tensor([8.0], dtype=torch.float64, requires_grad=True)
    z = effect(tensor(x), RATE, rate_hz=rate)
    np.testing.assert_allclose(z.detach().numpy()[0].T, y, atol=1e-12)
    z.square().sum().backward()
    assert rate.grad is not None
    assert rate.grad.abs() > 1e-6


@pytest.mark.slow
def test_contributings_tremolo_keeps_the_contract():
    here = Path(__file__).parent
    tests = [here / "test_contract.py", here / "test_spec.py"]
    words = ["-p", "support.tremolo", "-k", "tremolo", "-p", "no:cacheprovider", "--rootdir", here.parents[1]]
    command = [sys.executable, "-m", "pytest", *map(str, (*tests, *words))]
    found = subprocess.run(command, capture_output=True, text=True, cwd=here.parents[1])
    assert found.returncode == 0, found.stdout
    assert int(re.findall(r"(\d+) passed", found.stdout)[0]) > 50
