"""Prove a model folder: onnxruntime must give, on the proof clips, the numbers torch gave."""

import json
import time
from pathlib import Path

import numpy as np

TOLERANCE = 2e-3
"""Largest difference in any output: normalised statistics, unit parameters, probabilities, dB."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class ProofError(RuntimeError):
    """The exported graphs do not give torch's numbers."""


def check(folder: Path, provider: str = "cpu") -> str:
    """Run the proof clips and say how near the numbers came and what a look costs.

    Raises FileNotFoundError or ValueError for a folder that is not a model's, ValueError for a
    provider that this machine lacks, ProofError for numbers that differ.
    """
    import onnxruntime

    if PROVIDERS[provider] not in onnxruntime.get_available_providers():
        raise ValueError(f"no {provider} here: onnxruntime offers {', '.join(onnxruntime.get_available_providers())}")
    for name in ("model.json", "encoder.onnx", "controller.onnx", "proof.npz"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is not a model folder: {name} is missing")
    json.loads((folder / "model.json").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    encoder, controller = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=[PROVIDERS[provider]])
        for name in ("encoder", "controller")
    )
    if PROVIDERS[provider] not in encoder.get_providers():
        raise ValueError(f"onnxruntime could not start {provider}: it fell back to {encoder.get_providers()}")
    with np.load(folder / "proof.npz") as proof:
        clips = proof["clips"].astype(np.float32) / 32767.0
        worst, spent = _compare(encoder, controller, clips, proof)
    if worst[1] > TOLERANCE:
        raise ProofError(f"{worst[0]} differs by {worst[1]:.2g}, more than {TOLERANCE:g}: the graphs are not the model")
    return (
        f"{len(clips)} proof clips agree to {worst[1]:.1e} ({worst[0]}) on {provider}; "
        f"a look at 5 s takes {1e3 * spent:.0f} ms on one thread"
    )


def _compare(encoder, controller, clips, proof) -> tuple[tuple[str, float], float]:
    described = [encoder.run(None, {"waveform": clip[None]}) for clip in clips]
    worst, times = ("", 0.0), []
    for i, clip in enumerate(clips):
        start = time.perf_counter()
        here = encoder.run(None, {"waveform": clip[None]})
        names = ("input_statistics", "input_embedding", "reference_statistics", "reference_embedding")
        inputs = dict(zip(names, (*here, *described[(i + 1) % len(clips)]), strict=True))
        answers = controller.run(None, inputs)
        times.append(time.perf_counter() - start)
        keys = ("statistics", "embedding", "unit", "probability", "curve_db", "kin")
        for key, value in zip(keys, (*here, *answers), strict=True):
            difference = float(np.abs(value[0] - proof[key][i]).max())
            if not difference <= worst[1]:
                worst = (key, difference)
    return worst, min(times)
