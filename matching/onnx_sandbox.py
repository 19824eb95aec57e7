"""ONNX graphs from elsewhere: read with care, tried in a process of their own, then loaded.

A checksum says that a file is the one its folder was written with, not that it is harmless. onnxruntime
refuses most of what is broken, but a loop may run for ever and a shape may ask for all memory there is.
So graphs with loops, branches or data in other files are refused, and a graph that is not bundled must run
once in a child process, with limits on its time and memory, before this one loads it.

The child runs this file as a program. It imports nothing of ours, so that the trial costs little more than
onnxruntime itself.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

MAX_GRAPH_BYTES = 500_000_000
MAX_BOUNDS = 64
TRIAL_S = 60.0
"""Time limit for loading and running both graphs once: the shipped ones need 0.4 s."""
TRIAL_BYTES = 4 << 30
"""Limit on the child's address space; the shipped model takes 0.3 GB."""

# Fields of onnx.proto, each under its message: what is inside, why it is refused, or what it may be.
_LOOPS, _AWAY = "has loops or branches in it", "keeps data in another file"
_TENSOR: dict[int, Any] = {13: _AWAY, 14: _AWAY}  # external_data, data_location
_SPARSE = {1: _TENSOR, 2: _TENSOR}
_ATTRIBUTE = {5: _TENSOR, 6: _LOOPS, 10: _TENSOR, 11: _LOOPS, 22: _SPARSE, 23: _SPARSE}
_GRAPH = {1: {5: _ATTRIBUTE, 7: (b"", b"ai.onnx")}, 5: _TENSOR, 15: _SPARSE}
_MODEL = {7: _GRAPH, 20: "is for training", 25: _LOOPS}


@dataclass(frozen=True)
class GraphFormat:
    """A graph's file, and the names of what goes in and comes out."""

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class ModelError(ValueError):
    """A model folder that this program cannot use. The text is truncated and printable."""

    exit_code = 5

    def __init__(self, text: str) -> None:
        shown = "".join(c if c.isprintable() else "?" for c in text[:1000])
        super().__init__(shown + ("…" if len(text) > 1000 else ""))


def check_graph(path: Path, data: bytes) -> None:
    """Refuse a graph with loops, branches, functions or data in other files. Raises ModelError."""
    if len(data) > MAX_GRAPH_BYTES:
        raise ModelError(f"{path} is longer than the {MAX_GRAPH_BYTES} bytes a graph may have")
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


def load_graph(folder: Path, graph: GraphFormat, data: bytes, provider: str = "CPUExecutionProvider") -> Any:
    """Make an onnxruntime session of a graph: one thread, no spinning. Raises ModelError."""
    import onnxruntime

    path = folder / graph.file
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # it must not compete with the audio thread
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are in the exception
    try:
        session = onnxruntime.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise ModelError(f"{path}: onnxruntime cannot load it: {_short(error)}") from None
    inputs = {i.name for i in session.get_inputs()}
    if inputs != {*graph.inputs}:
        raise ModelError(f"{path} takes {', '.join(inputs)}, and not {', '.join(graph.inputs)}; export again")
    return session


def run_graph(folder: Path, graph: GraphFormat, session: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run a graph: (1, size) arrays in and out, in the order of its format, float32. Raises ModelError."""
    path = folder / graph.file
    try:
        outputs = session.run(None, dict(zip(graph.inputs, inputs, strict=True)))
    except Exception as error:
        raise ModelError(f"{path}: onnxruntime cannot run it: {_short(error)}") from None
    shapes = [getattr(x, "shape", None) for x in outputs]
    count = len(graph.outputs)
    if len(shapes) != count or any(s is None or len(s) != 2 or s[0] != 1 or s[1] < 1 for s in shapes):
        raise ModelError(f"{path} answers with {shapes}, and not with {count} rows; export again")
    if not all(x.dtype == np.float32 for x in outputs):
        raise ModelError(f"{path} answers with {outputs[0].dtype}, and not with float32; export again")
    return outputs


def trial_run(folder: Path, graphs: Sequence[GraphFormat], sessions: Sequence[Any], window: int) -> list[int]:
    """Run the encoder on a window of noise and the controller on its outputs; gives the sizes of the controller's."""
    encoder, controller = graphs
    waveform = np.random.default_rng(0).normal(0.0, 0.05, (1, window)).astype(np.float32)
    features = run_graph(folder, encoder, sessions[0], [waveform])
    sizes = {i.name: i.shape[1] for i in sessions[1].get_inputs()}
    bounds = []
    for name in controller.inputs[2 * len(features) :]:  # numbers of no sound: what is allowed, how much was heard
        size = sizes[name]
        if not isinstance(size, int) or not 0 < size <= MAX_BOUNDS:
            raise ModelError(f"{folder / controller.file}: {name} has {size} places; export again")
        bounds.append(np.ones((1, size), np.float32))
    return [x.shape[1] for x in run_graph(folder, controller, sessions[1], features + features + bounds)]


def run_in_sandbox(
    folder: Path, graphs: Sequence[GraphFormat], data: Sequence[bytes], window: int, timeout_s: float = TRIAL_S
) -> None:
    """Load and run graphs in a child process. Raises ModelError if they fail, or the child dies or takes too long."""
    head = {
        "folder": str(folder),
        "window": window,
        "graphs": [asdict(graph) for graph in graphs],
        "sizes": [len(d) for d in data],
    }
    try:
        done = subprocess.run(
            [sys.executable, __file__],
            input=b"".join([json.dumps(head).encode(), b"\n", *data]),
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{folder}: its graphs do not end within {timeout_s:g} s; export again") from None
    answer = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode == 0 and answer == "runs":
        return
    if done.returncode == 5 and answer:
        raise ModelError(answer)
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    why = f"signal {-done.returncode}" if done.returncode < 0 else " ".join(lines[-2:]).strip()[:200]
    raise ModelError(f"{folder}: its graphs crash onnxruntime ({why}); export again, or use another model")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _limit_resources() -> None:
    """Limit this process' memory and time, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's timeout is the limit
        return
    limits = {resource.RLIMIT_AS: TRIAL_BYTES, resource.RLIMIT_CPU: int(TRIAL_S), resource.RLIMIT_CORE: 0}
    for what, most in limits.items():
        with suppress(ValueError, OSError):  # macOS has no limit on memory; a limit may be tighter already
            resource.setrlimit(what, (most, most))


def _main() -> int:
    """Be the child: read the graphs from standard input, run them once, print how it went."""
    _limit_resources()
    head = json.loads(sys.stdin.buffer.readline())
    folder, graphs = Path(head["folder"]), [GraphFormat(**graph) for graph in head["graphs"]]
    try:
        sessions = [
            load_graph(folder, graph, sys.stdin.buffer.read(size))
            for graph, size in zip(graphs, head["sizes"], strict=True)
        ]
        trial_run(folder, graphs, sessions, head["window"])
    except ModelError as error:
        print(error)
        return 5
    print("runs")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
