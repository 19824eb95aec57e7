"""Prove a model folder: onnxruntime must give, on the proof clips, the numbers torch gave."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...matching.format import DESCRIPTION, GRAPHS, PROOF, PROOF_CLIPS
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
    sessions = [load_graph(folder, g, (folder / g.file).read_bytes(), PROVIDERS[provider]) for g in GRAPHS]
    if PROVIDERS[provider] not in sessions[0].get_providers():
        raise ValueError(f"onnxruntime could not start {provider}: it fell back to {sessions[0].get_providers()}")
    with np.load(folder / PROOF) as proof:
        clips = proof[PROOF_CLIPS].astype(np.float32) / 32767.0
        (name, difference), seconds = _compare(folder, sessions, clips, proof)
    if not difference <= TOLERANCE:
        raise ProofError(f"{name} differs by {difference:.2g}, more than {TOLERANCE:g}: the graphs are not the model")
    return (
        f"{len(clips)} proof clips agree to {difference:.1e} ({name}) on {provider}; "
        f"analysing 5 s takes {1e3 * seconds:.0f} ms on one thread"
    )


def _compare(
    folder: Path,
    sessions: list[Any],
    clips: np.ndarray,
    proof: Mapping[str, np.ndarray],
) -> tuple[tuple[str, float], float]:
    """Give the output that differs most, by how much, and the seconds that one analysis takes."""
    encoder, controller = GRAPHS
    features = [run_graph(folder, encoder, sessions[0], [clip[None]]) for clip in clips]
    effects = proof["probability"].shape[1]
    bounds = [np.ones((1, effects), np.float32), np.ones((1, 2), np.float32)]
    worst, times = ("", 0.0), []
    for i, clip in enumerate(clips):
        start = time.perf_counter()
        here = run_graph(folder, encoder, sessions[0], [clip[None]])
        outputs = run_graph(folder, controller, sessions[1], here + features[(i + 1) % len(features)] + bounds)
        times.append(time.perf_counter() - start)
        for name, value in zip(encoder.outputs + controller.outputs, here + outputs, strict=True):
            difference = float(np.abs(value[0] - proof[name][i]).max())
            if not difference <= worst[1]:
                worst = (name, difference)
    return worst, min(times)
