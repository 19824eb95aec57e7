"""Linear probes find what is there, and nothing in noise."""

import json

import numpy as np
import pytest

from afx_live.study.run import linear_probe
from afx_live.training.recordings import find


@pytest.mark.slow
def test_a_probe_finds_what_is_there_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    style, truth = np.arange(140) % 7, np.arange(70) % 7
    groups, others = [f"a{i % 5}" for i in range(140)], [f"b{i % 4}" for i in range(70)]
    centres = rng.normal(size=(7, 12))
    x, y = (centres[s] + 0.2 * rng.normal(size=(len(s), 12)) for s in (style, truth))
    with linear_probe.one_thread():
        heard = linear_probe.assess(x, style, groups, y, truth, others)
        noise = linear_probe.assess(rng.normal(size=x.shape), style, groups, rng.normal(size=y.shape), truth, others)
    assert heard["accuracy"] > 0.95
    assert np.trace(heard["confusion"]) == round(70 * heard["accuracy"])
    assert noise["accuracy"] < 0.35
    low, high = noise["accuracy_interval"]
    assert low < noise["accuracy"] < high
    assert linear_probe.macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])) == pytest.approx(2 / 3)


@pytest.mark.slow
def test_probes_hear_styles_on_other_recordings(folder, tmp_path):
    known = find(folder)
    left, right = linear_probe.sides(known, 7)
    assert not {r.group for r in left} & {r.group for r in right}
    found = linear_probe.probe(known, tmp_path, tmp_path / "probe.json", 14, 7)
    assert found == json.loads((tmp_path / "probe.json").read_text())
    assert found["encoders"].keys() >= {"ours, embedding", "ours, statistics", "log-mel, mean and deviation"}
    assert found["encoders"]["ours, statistics"]["accuracy"] > 2 / 7
