"""Presets for EasyEffects in the plug-ins that it runs, those of LSP. Debian: lilv-utils lsp-plugins-lv2."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.dsp.biquad import frequency_response, magnitude_gradient
from afx_live.effects import load
from afx_live.effects.equaliser import sections
from afx_live.presets import Preset, other_programs

RATE = 48000
LENGTH = 1 << 17
BINS = np.unique(np.geomspace(15, 0.49 * RATE, 400) / RATE * LENGTH // 1).astype(int)
FREQUENCIES = BINS * RATE / LENGTH
PERIODS, SETTLE = 8, 2
LSP = Path("/usr/lib/lv2/lsp-plugins.lv2")

pytestmark = pytest.mark.skipif(
    not shutil.which("lv2apply") or not LSP.exists(), reason="no LSP plug-ins; Debian: lilv-utils lsp-plugins-lv2"
)


def easyeffects(effect):
    """What we write of an effect for EasyEffects."""
    export = other_programs.export(Preset("x", ChainSettings((effect,))), "easyeffects", Path("sound.json"))
    return json.loads(next(iter(export.files.values())))["output"]


def lsp(name, controls, x, folder):
    """Play a sound through one of the LSP plug-ins, which are EasyEffects' own."""
    soundfile.write(folder / "in.wav", x, RATE, subtype="FLOAT")
    words = [part for symbol, value in controls.items() for part in ("-c", symbol, repr(float(value)))]
    words = [
        "lv2apply",
        "-i",
        folder / "in.wav",
        "-o",
        folder / "out.wav",
        *words,
        f"http://lsp-plug.in/plugins/lv2/{name}",
    ]
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "LV2_PATH": "/usr/lib/lv2"})
    return soundfile.read(folder / "out.wav", always_2d=True)[0]


def choice(plugin, symbol, label):
    """The number that a plug-in gives one of its choices."""
    turtle = (LSP / f"{plugin}.ttl").read_text()
    port = turtle[turtle.index(f'lv2:symbol "{symbol}"') :]
    points = re.findall(r'rdfs:label "([^"]+)"; rdf:value (\d+)', port[: port.index("lv2:minimum") + 2000])
    return int(next(value for name, value in points if name == label))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_the_filters_that_easyeffects_runs_are_ours(seed, tmp_path):
    rng, plugin = np.random.default_rng(seed), "para_equalizer_x16_stereo"
    effect = EffectSettings("equaliser", {p.name: p.clip(p.value(rng.uniform())) for p in load("equaliser").params})
    found = easyeffects(effect)["equalizer#0"]
    controls = {"mode": choice(plugin, "mode", found["mode"])}
    for i in range(found["num-bands"]):
        band = found["left"][f"band{i}"]
        controls |= {
            f"ft_{i}": choice(plugin, f"ft_{i}", band["type"]),
            f"fm_{i}": choice(plugin, f"fm_{i}", band["mode"]),
            f"s_{i}": choice(plugin, f"s_{i}", band["slope"]),
            f"f_{i}": band["frequency"],
            f"g_{i}": 10 ** (band["gain"] / 20),
            f"q_{i}": band["q"],
        }
    x, level = _periodic()
    theirs = _level_db(lsp(plugin, controls, np.repeat(x[:, None], 2, 1), tmp_path)[:, 0]) - level
    exact = _by_coefficients(effect, np.float64)
    impulse = np.eye(LENGTH, 1)
    ours = np.fft.rfft(ChainPlayer(ChainSettings((effect,)), RATE, 1).play(impulse)[:, 0])[BINS]
    assert np.abs(20 * np.log10(np.abs(ours)) - exact).max() < 1e-8, "ours is the cookbook's arithmetic"
    error, low = theirs - exact, FREQUENCIES < 100
    assert np.abs(error[~low]).max() < 0.03
    assert np.abs(error[low]).max() < 0.05
    # Theirs are computed, and filter, in float32. The coefficients' last places explain all ...
    left, change = _least_changes(effect, error)
    assert change < 2.0, "coefficients are off by more than their last places"
    # ... but for what such filters' own rounding does, measured in a filter that we know.
    coefs = _coefficients(effect, np.float32)
    y = x.astype(np.float32)
    for *b, a1, a2 in coefs:
        y = np.asarray(lfilter(np.array(b, np.float32), np.array([1.0, a1, a2], np.float32), y))
    rounding = _level_db(y) - level - _by_coefficients(effect, np.float32)
    assert y.dtype == np.float32
    assert np.abs(left).max() < 3.0 * np.abs(rounding).max() + 1e-3


def _periodic():
    """A sound with a tone at each of BINS, and their levels in dB; the mean of many periods has little of rounding."""
    spectrum = np.zeros(LENGTH // 2 + 1, complex)
    spectrum[BINS] = np.exp(2j * np.pi * np.random.default_rng(1).uniform(size=len(BINS)))
    period = np.fft.irfft(spectrum)
    x = np.tile((0.05 / np.abs(period).max() * period).astype(np.float32), SETTLE + PERIODS)
    return x, _level_db(x)


def _level_db(y):
    mean = y.astype(np.float64).reshape(-1, LENGTH)[SETTLE:].mean(0)
    return 20 * np.log10(np.abs(np.fft.rfft(mean)[BINS]))


def _least_changes(effect, error):
    """Change coefficients as little as explains an error in dB; what is left of it, the greatest change in last places.

    A last place is float32's. Small changes act linearly.
    """
    coefs = _coefficients(effect, np.float64)
    places = np.spacing(np.abs(coefs).astype(np.float32)).astype(np.float64).reshape(-1, 1)
    effects = (magnitude_gradient(coefs, FREQUENCIES, RATE).reshape(coefs.size, -1) * places).T
    change = np.linalg.solve(effects.T @ effects + 1e-6 * np.eye(coefs.size), effects.T @ error)
    return error - effects @ change, np.abs(change).max()


def _coefficients(effect, kind):
    """Give the coefficients of our sections, rounded to a kind of number."""
    values = np.array([effect.values[p.name] for p in load("equaliser").params])
    return sections(values, RATE).astype(kind).astype(np.float64)


def _by_coefficients(effect, kind):
    """The magnitude in dB of our sections, their coefficients rounded to a kind of number."""
    return 20 * np.log10(np.abs(frequency_response(_coefficients(effect, kind), FREQUENCIES, RATE)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"threshold_db": -30.0, "ratio": 4.0, "knee_db": 0.1},
        {"threshold_db": -24.0, "ratio": 8.0, "knee_db": 12.0, "makeup_db": 6.0},
    ],
)
def test_the_compressor_that_easyeffects_runs_has_our_static_curve(values, tmp_path):
    effect, plugin = EffectSettings("compressor", {"attack_ms": 1.0, "release_ms": 20.0, **values}), "compressor_stereo"
    found = easyeffects(effect)["compressor#0"]
    side = found["sidechain"]
    controls = {
        "cm": choice(plugin, "cm", "Down"), "at": found["attack"], "rt": found["release"], "cr": found["ratio"],
        "al": 10 ** (found["threshold"] / 20), "kn": 10 ** (found["knee"] / 20), "mk": 10 ** (found["makeup"] / 20),
        "scm": choice(plugin, "scm", side["mode"]), "scs": choice(plugin, "scs", "Max"), "scr": side["reactivity"],
        "rrl": 0.0, "sla": side["lookahead"],
    }  # fmt: skip
    levels = np.arange(-54.0, 1.0, 6.0)
    x = np.repeat(10 ** (levels / 20), RATE // 2)[:, None] * [1.0, 0.5]
    ends = np.arange(1, len(levels) + 1) * (RATE // 2) - 100
    theirs = 20 * np.log10(np.abs(lsp(plugin, controls, x, tmp_path)[ends, 0]))
    ours = 20 * np.log10(np.abs(ChainPlayer(ChainSettings((effect,)), RATE).play(x)[ends, 0]))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=0.1)
