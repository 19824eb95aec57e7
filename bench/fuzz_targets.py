"""What `fuzz.py` feeds: of each target, how it is called, what it starts with, and how its inputs are mutated."""

import io
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

NASTY = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e9, -1e300, float("nan"), float("inf"), 10**30, 2**63),
    *("", "x", "1", "NaN", "../x", "/etc/passwd", "a\0b", "\ud800", "é" * 300, "x" * 5000),
    *([], {}, [[]], [None], {"": 0}, [0] * 70),
)
WINDOW = 480
"""Samples that a fuzzed encoder hears: enough to run every operator, and quick."""

Target = Callable[[bytes], None]


def short(error: Exception) -> None:
    """A message is to be read: what came in is not quoted at length."""
    assert len(str(error)) < 3000


# --- osc ------------------------------------------------------------------------------------------


def osc_target() -> Target:
    from afx_live.realtime.osc.packets import MAX_MESSAGES, BadPacket, decode

    def target(data: bytes) -> None:
        begin = time.thread_time()  # of this thread: the computer may be busy with something else
        try:
            messages = decode(data)
        except BadPacket:
            return
        assert 1 <= len(messages) <= MAX_MESSAGES or data.startswith(b"#bundle")
        for message in messages:
            assert message.address.startswith("/")
            assert all(isinstance(v, str) or math.isfinite(v) for v in message.arguments)
        assert time.thread_time() - begin < 0.1

    return target


def osc_seeds() -> list[bytes]:
    from pythonosc.osc_bundle_builder import OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    plain = OscMessageBuilder("/afx/compressor/ratio")
    for value in (1.0, 2, True, "text", b"blob"):
        plain.add_arg(value)
    bundle = OscBundleBuilder(1)
    bundle.add_content(plain.build())  # pyright: ignore[reportArgumentType]
    bundle.add_content(bundle.build())
    return [plain.build().dgram, bundle.build().dgram, b"/afx/*\0\0", b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xfc"]


# --- presets and descriptions of models -----------------------------------------------------------


def preset_target() -> Target:
    from afx_live import presets

    def target(data: bytes) -> None:
        try:
            made = presets.from_json(data)
        except presets.PresetError as error:
            return short(error)
        again = presets.from_json(presets.to_json(made))
        assert presets.to_json(again) == presets.to_json(made)
        assert all(math.isfinite(v) for step in made.settings.effects for v in step.values.values())

    return target


def preset_seeds() -> list[bytes]:
    from afx_live import presets

    return [presets.to_json(presets.load(name)).encode() for name in presets.names()]


def mutate_json(data: bytes, most: int, rnd: random.Random, mutate: Callable[[bytes, int], bytes]) -> bytes:
    """Put something nasty into any place of a JSON text; every third time, let libFuzzer do as it likes."""
    if rnd.randrange(3) == 0:
        return mutate(data, most)
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return mutate(data, most)
    places = [([root], 0), *_places(root)]
    holder, key = rnd.choice(places)
    if rnd.randrange(8) == 0 and isinstance(holder, dict):
        holder[key + rnd.choice(("", "x", "\n"))] = holder.pop(key)
    else:
        holder[key] = rnd.choice(NASTY) if rnd.randrange(4) else rnd.choice(places)[0]
    try:
        return json.dumps(places[0][0][0]).encode()[:most]
    except (ValueError, RecursionError):  # it holds itself now
        return b"[" * rnd.randrange(1, 5000)


def _places(value: Any) -> list[tuple[Any, Any]]:
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if type(value) is list else []
    return [(value, key) for key, _ in items] + [place for _, inside in items for place in _places(inside)]


def model_target() -> Target:
    """A folder around a fuzzed model.json: all but onnxruntime, which has a target of its own."""
    from afx_live.matching import format as model_format
    from afx_live.matching import model

    folder = Path(tempfile.mkdtemp())
    for graph in model_format.GRAPHS:
        (folder / graph.file).touch()
    empty: Any = lambda *a, **k: None  # noqa: E731
    model.check_graph = model.run_in_sandbox = model.load_graph = empty
    model.trial_run = lambda *a: model.model_format.read(folder)[0].output_sizes
    rng = np.random.default_rng(0)

    def target(data: bytes) -> None:
        (folder / "model.json").write_bytes(data)
        try:
            made = model.MatchModel(folder)
        except model.ModelError as error:
            return short(error)
        bands, effects = len(made.bands_hz), len(made.chain.order)
        unit, curve = rng.random(len(made.chain.params)), rng.normal(0.0, 10.0, bands)
        settings = made.settings(
            model.Prediction(
                unit, rng.random(effects), rng.normal(0.0, 5.0, effects), curve, 0.5, np.full(effects, True)
            )
        )
        assert all(math.isfinite(v) for step in settings.effects for v in step.values.values())

    return target


def model_seeds() -> list[bytes]:
    from afx_live.presets import SHIPPED_MODEL

    spec = json.loads((SHIPPED_MODEL / "model.json").read_text())
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    spec["sha256"] = {"encoder.onnx": nothing, "controller.onnx": nothing}
    return [json.dumps(spec).encode()]


# --- graphs ---------------------------------------------------------------------------------------


def graph_target() -> Target:
    from afx_live.matching import onnx_sandbox
    from afx_live.matching.format import ENCODER

    folder, waveform = Path("fuzzed"), np.random.default_rng(0).normal(0.0, 0.1, (1, WINDOW)).astype(np.float32)

    def target(data: bytes) -> None:
        try:
            onnx_sandbox.check_graph(folder / ENCODER.file, data)
            onnx_sandbox.run_graph(folder, ENCODER, onnx_sandbox.load_graph(folder, ENCODER, data), [waveform])
        except onnx_sandbox.ModelError as error:
            short(error)

    return target


def graph_seeds() -> list[bytes]:
    """Small graphs of the operators that our models are made of, and of some that ask for much."""
    from onnx import TensorProto, helper

    def ints(name: str, *values: int):
        return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)

    def floats(name: str, *shape: int):
        return helper.make_tensor(name, TensorProto.FLOAT, shape, np.linspace(-1.0, 1.0, math.prod(shape)))

    def graph(*nodes: tuple[str, str, Mapping[str, Any]], weights: tuple = ()) -> bytes:
        made, last = [], "waveform"
        for i, (op, more, attributes) in enumerate(nodes):
            made.append(helper.make_node(op, [last, *more.split()], [f"v{i}"], **attributes))
            last = f"v{i}"
        made += [helper.make_node("Identity", [last], [name]) for name in ("statistics", "embedding")]
        sound = helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [1, WINDOW])
        outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("statistics", "embedding")]
        whole = helper.make_graph(made, "g", [sound], outs, initializer=list(weights))
        return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()

    axes, cut = ints("axes", 1), (ints("from", 10), ints("to", 100), ints("axes", 1), ints("step", 2))
    return [
        graph(("Gemm", "w b", {"transB": 1}), ("Gelu", "", {}), weights=(floats("w", 4, WINDOW), floats("b", 4))),
        graph(("Slice", "from to axes step", {}), ("Abs", "", {}), ("Log", "", {}), weights=cut),
        graph(("ReduceMean", "axes", {"keepdims": 1}), ("Sqrt", "", {}), weights=(axes,)),
        graph(
            ("Reshape", "s", {}),
            ("STFT", "hop w", {"onesided": 1}),
            ("ReduceMean", "", {"keepdims": 0}),
            weights=(ints("s", 1, WINDOW, 1), floats("w", 128), helper.make_tensor("hop", 7, [], [64])),
        ),
        graph(("MatMul", "w", {}), ("Clip", "", {}), ("Softmax", "", {}), weights=(floats("w", WINDOW, 5),)),
        graph(("Gather", "i", {"axis": 1}), ("Concat", "c", {"axis": 1}), weights=(ints("i", 3, 1), floats("c", 1, 2))),
        graph(("Expand", "s", {}), ("ReduceMax", "axes", {}), weights=(ints("s", 4, WINDOW), axes)),
        graph(("Tile", "s", {}), ("Transpose", "", {"perm": [1, 0]}), weights=(ints("s", 2, 2),)),
        graph(
            ("Pad", "s", {}),
            ("Unsqueeze", "axes", {}),
            ("Conv", "w", {}),
            weights=(ints("s", 0, 1, 0, 1), axes, floats("w", 2, 1, 8)),
        ),
        graph(("Shape", "", {}), ("ConstantOfShape", "", {})),
        graph(("TopK", "i", {}), ("Neg", "", {}), ("Resize", "", {}), weights=(ints("i", 9),)),
    ]


# --- audio files ----------------------------------------------------------------------------------


def audio_target() -> Target:
    from afx_live.matching import ClipError, given_settings, read_clip
    from afx_live.realtime.audio.render import render

    folder = Path(tempfile.mkdtemp())
    path, played = folder / "fuzzed", 0

    def target(data: bytes) -> None:
        nonlocal played
        path.write_bytes(data)
        try:
            clip = read_clip(path)
            assert clip.frames > 0
            assert math.isfinite(clip.lufs)
            assert np.isfinite(clip.excerpts).all()
            played += 1
            if played % 50 == 0:
                from afx_live.chain import ChainSettings

                found = given_settings(clip, ChainSettings(), -20.0)
                render(clip, found, folder / "out.wav", lambda frames: None, force=True)
        except ClipError as error:
            short(error)

    return target


def audio_seeds() -> list[bytes]:
    """A tenth of a second in every format and coding that can be written."""
    rng, found = np.random.default_rng(0), []
    for kind in soundfile.available_formats():
        for coding in soundfile.available_subtypes(kind):
            for rate, channels in ((8000, 1), (48000, 2)):
                file = io.BytesIO()
                try:
                    soundfile.write(file, rng.normal(0.0, 0.1, (rate // 10, channels)), rate, coding, format=kind)
                except (soundfile.LibsndfileError, ValueError, TypeError, RuntimeError):
                    continue
                found.append(file.getvalue())
    return found


TARGETS: dict[str, tuple[Callable[[], Target], Callable[[], list[bytes]], Any, int]] = {
    "osc": (osc_target, osc_seeds, None, 9000),
    "preset": (preset_target, preset_seeds, mutate_json, 20000),
    "model": (model_target, model_seeds, mutate_json, 40000),
    "graph": (graph_target, graph_seeds, None, 20000),
    "audio": (audio_target, audio_seeds, None, 60000),
}
"""By name: what is fed, what it starts with, how it is mutated, and the most bytes of an input."""
