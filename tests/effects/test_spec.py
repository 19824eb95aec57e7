"""What an effect says of itself: names, ranges, curves, and what is refused."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from afx_live import effects
from afx_live.dsp.compiler import MAX_COEFS
from afx_live.effects import MAX_PARAMS, Param, load
from support.effect_cases import RATE, alone, anywhere, stream

NAMES = effects.names()
EACH = pytest.mark.parametrize("name", NAMES)

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


def test_level_that_no_parameter_follows_is_refused():
    with pytest.raises(TypeError, match="gain has no parameter 'threshold_db'; it has gain_db"):
        replace(load("gain"), follows_level={"threshold_db": 1.0})


@EACH
def test_unit_of_numbers_is_that_of_tensors(name):
    for p in load(name).params:
        values = torch.linspace(p.low, p.high, 5, dtype=torch.float64)
        torch.testing.assert_close(p.unit(values), torch.tensor([p.unit(float(v)) for v in values]).double())


def test_param_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match=r"a_db: default 2.0 is not in \[0.0, 1.0\]"):
        Param("a_db", 0.0, 1.0, 2.0, "")
    for curve in ("log", "slope"):
        with pytest.raises(ValueError, match=f"a {curve} curve needs a low end above 0"):
            Param("a_hz", 0.0, 1.0, 0.5, "", curve)


@EACH
def test_prior_is_what_could_be_dialled_in(name):
    effect, rng = load(name), np.random.default_rng(3)
    drawn = [effect.prior(rng) for _ in range(200)]
    for values in drawn:
        for key, value in values.items():
            assert effect.param(key).check(value) == value
    assert {frozenset(values) for values in drawn} == {frozenset(drawn[0])}  # what is not drawn is not learned
    for key in drawn[0]:
        assert len({values[key] for values in drawn}) > 1, key


@EACH
def test_summary_is_a_line_with_numbers(name):
    effect, rng = load(name), np.random.default_rng(4)
    told = {effect.summary(anywhere(effect, rng)) for _ in range(8)}
    assert len(told) == 8
    for text in (*told, effect.summary(effect.defaults)):
        assert text
        assert "\n" not in text
        assert not text.endswith(".")
    assert all(re.search(r"\d", text) for text in told)


def test_summary_says_what_an_engineer_would():
    assert load("equaliser").summary({**load("equaliser").defaults, "peak_2_db": 3.0}) == "+3.0 dB @ 700 Hz"
    assert load("equaliser").summary(load("equaliser").defaults) == "flat"
    told = load("compressor").summary({**load("compressor").defaults, "threshold_db": -30.0, "ratio": 4.0})
    assert told == "-30 dB 4.0:1, attack 10.0 ms, release 100 ms"


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="'flanger' is not an effect; there are compressor, "):
        load("flanger")
    with pytest.raises(KeyError, match="gain has no parameter 'level'; it has gain_db"):
        load("gain").param("level")
