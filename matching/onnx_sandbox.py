"""ONNX graphs that come from elsewhere: read with care, tried in a process of their own, then loaded.

A checksum says that a file is the one its folder was written with, not that it means well. onnxruntime
refuses most of what is broken, but a loop may run for ever and a shape may ask for all memory there is.
So nothing with loops, branches or data in other files is taken, and a graph that is not shipped must
run once in a child process with a bound on its time and memory before this one loads it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

GRAPHS = {
    "encoder.onnx": ("waveform",),
    "controller.onnx": ("input_statistics", "input_embedding", "reference_statistics", "reference_embedding"),
}
"""The graphs of a model, and their inputs."""
OUTPUTS = {"encoder.onnx": 2, "controller.onnx": 4}
MOST_BYTES = 500_000_000
TRIAL_S = 60.0
"""A graph is loaded and run once within this time: the shipped one needs 0.4 s for both."""
TRIAL_MEMORY = 4 << 30
"""Bytes of address space a trial may take; the shipped model takes 0.3 GB."""

# Fields of onnx.proto, each under its message: what is inside, why it is refused, or what it may be.
_LOOPS, _AWAY = "has loops or branches in it", "keeps data in another file"
_TENSOR: dict[int, Any] = {13: _AWAY, 14: _AWAY}  # external_data, data_location
_SPARSE = {1: _TENSOR, 2: _TENSOR}
_ATTRIBUTE = {5: _TENSOR, 6: _LOOPS, 10: _TENSOR, 11: _LOOPS, 22: _SPARSE, 23: _SPARSE}
_GRAPH = {1: {5: _ATTRIBUTE, 7: (b"", b"ai.onnx")}, 5: _TENSOR, 15: _SPARSE}
_MODEL = {7: _GRAPH, 20: "is for training", 25: _LOOPS}


class ModelError(ValueError):
    """A model folder that is not what this program can use (exit code 5). What its text quotes is cut."""

    exit_code = 5

    def __init__(self, text: str) -> None:
        shown = "".join(c if c.isprintable() else "?" for c in text[:1000])
        super().__init__(shown + ("…" if len(text) > 1000 else ""))


def check_graph(path: Path, data: bytes) -> None:
    """Refuse a graph with loops, branches, functions or data in other files, or that is no graph. Raises ModelError."""
    if len(data) > MOST_BYTES:
        raise ModelError(f"{path} is longer than the {MOST_BYTES} bytes a graph may have")
    todo: list[tuple[memoryview, Mapping[int, Any]]] = [(memoryview(data), _MODEL)]
    try:
        while todo:
            message, known = todo.pop()
            for field, value in _fields(message):
                inside = known.get(field)
                if isinstance(inside, str):
                    raise ModelError(f"{path} {inside}, which no model of afx-export does")
                if isinstance(inside, tuple) and value not in inside:
                    raise ModelError(f"{path} needs operators beyond ONNX's own; export again")
                if isinstance(inside, Mapping) and value is not None:
                    todo.append((value, inside))
    except (IndexError, OverflowError):
        raise ModelError(f"{path}: onnxruntime cannot load it: it is not an ONNX graph") from None


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Walk a protobuf message: each field's number, and its bytes if it has a length. IndexError if it is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        size, kind = 0, key & 7
        if key >> 32 or kind not in (0, 1, 2, 5):
            raise IndexError
        if kind == 0:
            value, at = _varint(message, at)
            if value:  # a zero says nothing
                yield key >> 3, None
            continue
        if kind == 2:
            size, at = _varint(message, at)
        else:
            size = 8 if kind == 1 else 4
        if size > len(message) - at:
            raise IndexError
        yield key >> 3, message[at : at + size] if kind == 2 else None
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise IndexError


def session(path: Path, data: bytes, provider: str = "CPUExecutionProvider") -> Any:
    """Make an onnxruntime session of a graph: one thread, no spinning. Raises ModelError."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # it must not fight the audio thread
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what is wrong is in the exception
    try:
        made = onnxruntime.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # onnxruntime raises its own kinds, without a common base
        raise ModelError(f"{path}: onnxruntime cannot load it: {_short(error)}") from None
    inputs = {i.name for i in made.get_inputs()}
    if inputs != {*GRAPHS[path.name]}:
        raise ModelError(f"{path} takes {', '.join(inputs)}, and not {', '.join(GRAPHS[path.name])}; export again")
    return made


def run(path: Path, graph: Any, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a graph: (1, size) arrays in, as many (1, size) float32 arrays out as it must have. Raises ModelError."""
    try:
        answers = graph.run(None, dict(inputs))
    except Exception as error:
        raise ModelError(f"{path}: onnxruntime cannot run it: {_short(error)}") from None
    shapes = [getattr(x, "shape", None) for x in answers]
    if len(shapes) != OUTPUTS[path.name] or any(s is None or len(s) != 2 or s[0] != 1 or s[1] < 1 for s in shapes):
        raise ModelError(f"{path} answers with {shapes}, and not with {OUTPUTS[path.name]} rows; export again")
    if not all(x.dtype == np.float32 for x in answers):
        raise ModelError(f"{path} answers with {answers[0].dtype}, and not with float32; export again")
    return answers


def sizes(folder: Path, sessions: Mapping[str, Any], window: int) -> list[int]:
    """Run both graphs on a window of noise and give the sizes of the controller's answers. Raises ModelError."""
    waveform = np.random.default_rng(0).normal(0.0, 0.05, (1, window)).astype(np.float32)
    heard = run(folder / "encoder.onnx", sessions["encoder.onnx"], {"waveform": waveform})
    inputs = dict(zip(GRAPHS["controller.onnx"], heard + heard, strict=True))
    return [x.shape[1] for x in run(folder / "controller.onnx", sessions["controller.onnx"], inputs)]


def run_in_sandbox(folder: Path, data: Mapping[str, bytes], window: int, timeout_s: float = TRIAL_S) -> None:
    """Load and run graphs in a child process. Raises ModelError if they fail, or the child dies or takes too long."""
    from ..realtime.audio.devices import child_env

    head = json.dumps({"folder": str(folder), "window": window, "sizes": {n: len(d) for n, d in data.items()}})
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(
            command,
            input=b"".join([head.encode(), b"\n", *data.values()]),
            capture_output=True,
            timeout=timeout_s,
            env=child_env(None),
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{folder}: its graphs do not end within {timeout_s:g} s; export again") from None
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode == 0 and said == "runs":
        return
    if done.returncode == 5 and said:
        raise ModelError(said)
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    why = f"signal {-done.returncode}" if done.returncode < 0 else " ".join(lines[-2:]).strip()[:200]
    raise ModelError(f"{folder}: its graphs end onnxruntime ({why}); export again, or use another model")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _bounded() -> None:
    """Bound this process' memory and time, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is the bound
        return
    bounds = {resource.RLIMIT_AS: TRIAL_MEMORY, resource.RLIMIT_CPU: int(TRIAL_S), resource.RLIMIT_CORE: 0}
    for what, most in bounds.items():
        with suppress(ValueError, OSError):  # macOS knows no bound on memory; a bound may be tighter already
            resource.setrlimit(what, (most, most))


def _main() -> int:
    """Be the child: read the graphs from standard input, run them once, say how it went."""
    _bounded()
    head = json.loads(sys.stdin.buffer.readline())
    folder = Path(head["folder"])
    try:
        loaded = {n: session(folder / n, sys.stdin.buffer.read(size)) for n, size in head["sizes"].items()}
        sizes(folder, loaded, head["window"])
    except ModelError as error:
        print(error)
        return 5
    print("runs")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
