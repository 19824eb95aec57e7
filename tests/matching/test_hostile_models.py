"""Hostile model folders: a graph or a description that does harm ends in a ModelError, by name."""

import hashlib
import json
import os
import shutil
import sys

import numpy as np
import pytest
from onnx import helper

from afx_live import presets
from afx_live.matching import format as model_format
from afx_live.matching import model as match_model
from afx_live.matching.model import MatchModel
from afx_live.matching.onnx_sandbox import ModelError, run_in_sandbox
from afx_live.presets import SHIPPED_MODEL
from support.programs_here import exit_code

NOISE = np.random.default_rng(1).normal(0.0, 0.1, 48000).astype("<f4")


def graph(*nodes, weights=(), outputs=("statistics", "embedding"), kind=1):
    """Make an ONNX file: nodes are (operator, inputs, outputs, attributes)."""
    made = [helper.make_node(op, ins.split(), outs.split(), **more) for op, ins, outs, more in nodes]
    sound = helper.make_tensor_value_info("waveform", 1, [1, 240000])
    ends = [helper.make_tensor_value_info(n, kind, None) for n in outputs]
    whole = helper.make_graph(made, "g", [sound], ends, initializer=list(weights))
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def ints(name, *values):
    return helper.make_tensor(name, 7, [len(values)], values)


def looping():
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "b",
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, [])],
        [helper.make_tensor_value_info("on", 9, [])],
    )
    loop = ("Loop", "n yes", "", {"body": body})
    n, yes = helper.make_tensor("n", 7, [], [1 << 62]), helper.make_tensor("yes", 9, [], [True])
    ends = [("Identity", "waveform", name, {}) for name in ("statistics", "embedding")]
    return graph(loop, *ends, weights=(n, yes))


def elsewhere():
    made = graph(("Identity", "w", "statistics", {}), ("Identity", "w", "embedding", {}))
    tensor = made.graph.initializer.add(name="w", data_type=1, dims=[1, 4], data_location=1)
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return made


def foreign():
    made = graph(("Identity", "waveform", "statistics", {}), ("Gelu", "waveform", "embedding", {}))
    made.graph.node[1].domain = "com.microsoft"
    made.opset_import.add(domain="com.microsoft", version=1)
    return made


def greedy():
    size, axes = ints("size", 1, 1 << 34), ints("axes", 1)
    huge = [("ConstantOfShape", "size", "huge", {}), ("ReduceSum", "huge axes", "statistics", {})]
    return graph(*huge, ("Identity", "waveform", "embedding", {}), weights=(size, axes))


def undefined():
    zero = helper.make_tensor("zero", 1, [1, 1032], [0.0] * 1032)
    part = ("Slice", "waveform from to axes", "embedding", {})
    weights = zero, ints("from", 0), ints("to", 128), ints("axes", 1)
    return graph(("Div", "zero zero", "statistics", {}), part, weights=weights)


GRAPHS = {
    "a loop without end": (looping, "loops or branches"),
    "data in another file": (elsewhere, "another file"),
    "foreign operators": (foreign, "beyond ONNX"),
    "64 GB": (greedy, "cannot run it"),
    "one answer": (lambda: graph(("Identity", "waveform", "x", {}), outputs=["x"]), "answers with"),
    "whole numbers": (
        lambda: graph(("Cast", "waveform", "x", {"to": 7}), ("Identity", "x", "y", {}), outputs=["x", "y"], kind=7),
        "float32",
    ),
    "no answer": (lambda: graph(), "onnxruntime cannot load it"),
    "cut": (lambda: (SHIPPED_MODEL / "encoder.onnx").read_bytes()[:300_000], "not an ONNX graph"),
    "a length of 2^63": (lambda: b"\x3a" + b"\xff" * 8 + b"\x7f", "not an ONNX graph"),
    "a number without end": (lambda: b"\xff" * 100, "not an ONNX graph"),
}


def put_graph(folder, data):
    """Put an encoder into a copy of the shipped model, with the right checksum."""
    data = data if isinstance(data, bytes) else data.SerializeToString()
    shutil.copytree(SHIPPED_MODEL, folder)
    (folder / "encoder.onnx").write_bytes(data)
    spec = json.loads((folder / "model.json").read_text())
    spec["sha256"]["encoder.onnx"] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps(spec))
    return folder


@pytest.mark.parametrize("name", GRAPHS)
def test_a_hostile_graph_is_a_model_error(tmp_path, name):
    make, words = GRAPHS[name]
    with pytest.raises(ModelError, match=words) as error:
        MatchModel(put_graph(tmp_path / "model", make()))
    assert str(tmp_path) in str(error.value)


def test_a_graph_that_answers_with_nonsense_says_so_when_it_is_heard(tmp_path):
    model = MatchModel(put_graph(tmp_path / "model", undefined()))
    with pytest.raises(ModelError, match="NaN or Inf"):
        model.analyse(NOISE, 48000)


@pytest.mark.slow
def test_a_graph_that_kills_its_process_kills_only_a_child(tmp_path, monkeypatch):
    folder = put_graph(tmp_path / "model", (SHIPPED_MODEL / "encoder.onnx").read_bytes())
    MatchModel(folder)  # the copy is fine
    with pytest.raises(ModelError, match="do not end within"):
        run_in_sandbox(
            folder, model_format.GRAPHS, [(folder / g.file).read_bytes() for g in model_format.GRAPHS], 240000, 0.01
        )
    killer = tmp_path / "killer"
    killer.write_text("#!/bin/sh\nkill -SEGV $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killer))
    with pytest.raises(ModelError, match="signal 11"):
        MatchModel(folder)


SPECS = {
    "rate": lambda s: s.update(sample_rate=1),
    "rate as text": lambda s: s.update(sample_rate="48000"),
    "window of 10^9 s": lambda s: s.update(window_s=1e9),
    "window that is none": lambda s: s.update(window_s=float("nan")),
    "loudness": lambda s: s.update(lufs=float("inf")),
    "name": lambda s: s.update(name=["x"]),
    "a name with an escape": lambda s: s.update(name="\x1b[2J"),
    "bands": lambda s: s.update(bands_hz=[0.0] * 64),
    "bands that are text": lambda s: s.update(bands_hz="x" * 64),
    "fewer weights": lambda s: s["band_weights"].pop(),
    "offset": lambda s: s["decision"]["offset"].update(reverb=[1.0]),
    "offset that is none": lambda s: s["decision"]["offset"].update(reverb=[None, 1.0]),
    "fixed": lambda s: s.update(fixed=[[["x"], {}]]),
    "an effect twice": lambda s: s["chain"].append(s["chain"][0]),
    "an effect that is a list": lambda s: s["chain"][0].update(effect=[1]),
    "an effect less": lambda s: s["chain"].pop(),
    "no effects": lambda s: s.update(chain=[]),
    "no effects, by name": lambda s: s.update(chain={}),
    "file names": lambda s: s["sha256"].update({"a\0b": "0"}),
    "dots": lambda s: s["sha256"].update({"..": "0"}),
    "a pipe": lambda s: s["sha256"].update({"pipe": "0"}),
    "a device": lambda s: s["sha256"].update({"zero": "0"}),
    "a long word": lambda s: s.update(format="x" * 100_000),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_hostile_description_is_a_model_error(tmp_path, monkeypatch, name):
    monkeypatch.setattr(match_model, "run_in_sandbox", lambda *words: None)  # it has its own tests
    folder = shutil.copytree(SHIPPED_MODEL, tmp_path / "model")
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    spec = json.loads((folder / "model.json").read_text())
    SPECS[name](spec)
    (folder / "model.json").write_text(json.dumps(spec))
    with pytest.raises(ModelError) as error:
        MatchModel(folder)
    assert len(str(error.value)) < 1200
    assert str(error.value).isprintable()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", " " * 2_000_000, '{"format": null'])
def test_a_description_that_is_no_json_is_a_model_error(tmp_path, text, capsys):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelError):
        MatchModel(tmp_path)
    words = "render", presets.clip("voice"), "--model", tmp_path, "--reference", presets.clip("drums"), "-o", "x.wav"
    assert exit_code(capsys, *words, "-q") == 5
