"""Prove a model folder: onnxruntime must give, on the proof clips, the numbers torch gave."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...matching.format import CONTROLLER, DESCRIPTION, ENCODER, GRAPHS, PROOF, PROOF_CLIPS
from ...matching.onnx_sandbox import load_graph, run_graph

TOLERANCE = 2e-3
"""Largest difference in any output: normalised statistics, unit parameters, probabilities, dB."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class ProofError(RuntimeError):
    """The exported graphs do not give torch's numbers."""


def check(folder: Path, provider: str = "cpu") -> str:
    """Run the proof clips; say how close the numbers came and how long the analysis of 5 s takes.

    Raises FileNotFoundError or ValueError (ModelError) for a folder that is not a model's, ValueError for a
    provider that this machine lacks, ProofError for numbers that differ.
    """
    import onnxruntime

    if PROVIDERS[provider] not in onnxruntime.get_available_providers():
        raise ValueError(f"no {provider} here: onnxruntime offers {', '.join(onnxruntime.get_available_providers())}")
    for name in (DESCRIPTION, *(graph.file for graph in GRAPHS), PROOF):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is not a model folder: {name} is missing")
    encoder, controller = (
        load_graph(folder, graph, (folder / graph.file).read_bytes(), PROVIDERS[provider]) for graph in GRAPHS
    )
    if PROVIDERS[provider] not in encoder.get_providers():
        raise ValueError(f"onnxruntime could not start {provider}: it fell back to {encoder.get_providers()}")
    with np.load(folder / PROOF) as proof:
        clips = proof[PROOF_CLIPS].astype(np.float32) / 32767.0
        (name, difference), seconds = _compare(folder, encoder, controller, clips, proof)
    if not difference <= TOLERANCE:
        raise ProofError(f"{name} differs by {difference:.2g}, more than {TOLERANCE:g}: the graphs are not the model")
    return (
        f"{len(clips)} proof clips agree to {difference:.1e} ({name}) on {provider}; "
        f"analysing 5 s takes {1e3 * seconds:.0f} ms on one thread"
    )


def _compare(
    folder: Path, encoder: Any, controller: Any, clips: np.ndarray, proof: Mapping[str, np.ndarray]
) -> tuple[tuple[str, float], float]:
    """Give the output that differs most, by how much, and the seconds that one analysis takes."""
    features = [run_graph(folder, ENCODER, encoder, [clip[None]]) for clip in clips]
    worst, times = ("", 0.0), []
    for i, clip in enumerate(clips):
        start = time.perf_counter()
        here = run_graph(folder, ENCODER, encoder, [clip[None]])
        outputs = run_graph(folder, CONTROLLER, controller, here + features[(i + 1) % len(features)])
        times.append(time.perf_counter() - start)
        for name, value in zip(ENCODER.outputs + CONTROLLER.outputs, here + outputs, strict=True):
            difference = float(np.abs(value[0] - proof[name][i]).max())
            if not difference <= worst[1]:
                worst = (name, difference)
    return worst, min(times)
