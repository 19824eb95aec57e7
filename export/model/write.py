"""Write a model folder: two graphs, what they must be used with, and clips that prove them."""

import logging
import shutil
import tempfile
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from ...files.distinct import Named, check_replaced
from ...matching import format as model_format
from ...matching.format import CONTROLLER, DESCRIPTION, ENCODER, GRAPHS, PROOF, PROOF_CLIPS
from ...matching.onnx_sandbox import GraphFormat
from ...training.features import LUFS, SAMPLE_RATE, WINDOW, WINDOW_S, band_centres, level, window
from ...training.network import SettingsNetwork
from ...training.response_losses import band_weights
from ...training.system import SettingsSystem
from .proof import TOLERANCE, check

OPSET = 20


class _Controller(nn.Module):
    """The controller as the live side calls it: probabilities instead of logits."""

    def __init__(self, network: SettingsNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_statistics, input_embedding, reference_statistics, reference_embedding, allowed, heard):
        answer = self.network.control(
            input_statistics, input_embedding, reference_statistics, reference_embedding, allowed, heard
        )
        return answer.unit, torch.sigmoid(answer.on), answer.amount, answer.curve, torch.sigmoid(answer.same_source)


def write(checkpoint: Path, folder: Path, name: str, licence: str, force: bool = False) -> str:
    """Export a checkpoint to `folder` and say what was proved.

    The folder appears only when onnxruntime has given torch's numbers on the proof clips. Raises
    FileNotFoundError, FileExistsError, ValueError for a checkpoint of something else, SameFileError if `force` would
    replace what is no model, or the checkpoint, ProofError.
    """
    if folder.exists() and not force:
        raise FileExistsError(f"{folder} exists; choose another folder or add --force")
    check_replaced(folder, DESCRIPTION, "model", [Named("the checkpoint", checkpoint)])
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint} is not there; afx-train writes checkpoints under runs/")
    system = _load(checkpoint)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".afx-export-") as scratch:
        draft = Path(scratch) / "model"
        draft.mkdir()
        _write_proof(system.predictor, draft)  # first: exporting leaves the module in an undefined mode
        _write_graphs(system.predictor, draft)
        model_format.write(draft, _described(system, name, licence, draft))
        proved = check(draft)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    return f"{folder}: {proved}"


def _load(checkpoint: Path) -> SettingsSystem:
    try:
        system = SettingsSystem.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise ValueError(f"{checkpoint} is not a checkpoint of afx-train: {error}") from None
    return system.eval()


def _write_graphs(network: SettingsNetwork, folder: Path) -> None:
    size, embedding = network.encoder.statistics, network.encoder.embedding
    clip = (torch.randn(1, WINDOW) * 0.05,)
    features = tuple(torch.randn(1, n) for n in (size, embedding, size, embedding))
    _export(network.encoder, clip, folder, ENCODER)
    _export(_Controller(network), (*features, *_bounds(network)), folder, CONTROLLER)


def _bounds(network: SettingsNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """Every effect allowed, 5 s heard of both."""
    return torch.ones(1, len(network.controller.spans)), torch.ones(1, 2)


def _export(module: nn.Module, example: tuple, folder: Path, graph: GraphFormat) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    path = folder / graph.file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            path,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            external_data=False,
            verbose=False,
        )
    _remove_source_paths(path)
    _name_weights(path, module)


def _remove_source_paths(path: Path) -> None:
    """Remove where in the source each node came from: that names paths of the machine that exported."""
    model = onnx.load(path)
    for graph in (model.graph, *model.functions):
        for item in (*graph.node, *graph.value_info):
            del item.metadata_props[:]
            item.doc_string = ""
        del graph.metadata_props[:]
    onnx.save(model, path)


def _name_weights(path: Path, module: nn.Module) -> None:
    """Give weights their names back where the exporter's optimiser made constants of its own of them.

    So a training can start from a model folder, see `training.weights`. They are told by their numbers.
    """
    model = onnx.load(path)
    known = {tensor.name for tensor in model.graph.initializer}
    missing = {name: w.detach().numpy().ravel() for name, w in module.named_parameters() if name not in known}
    renamed: dict[str, str] = {}
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).ravel()
        name = next((n for n, w in missing.items() if w.size > 1 and np.array_equal(w, values)), None)
        if name is not None:
            del missing[name]
            renamed[tensor.name], tensor.name = name, name
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    onnx.save(model, path)


def _proof_clips() -> np.ndarray:
    """Make three clips that move every statistic: noise bursts, a decaying chord, a clipped sweep."""
    rng, t = np.random.default_rng(7), np.arange(WINDOW) / SAMPLE_RATE
    bursts = rng.standard_normal(WINDOW) * np.exp(-6.0 * (t % 0.4))
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110.0, 277.2, 329.6, 1760.0)) * np.exp(-2.0 * (t % 1.0))
    sweep = np.tanh(3.0 * np.sin(2 * np.pi * 40.0 * 5.0 * (400.0 ** (t / 5.0) - 1.0) / np.log(400.0)))
    return np.stack([level(window(x)) for x in (bursts, chord, sweep)]).astype(np.float32)


def _write_proof(network: SettingsNetwork, folder: Path) -> None:
    clips = np.round(_proof_clips() * 32767.0).clip(-32767, 32767).astype(np.int16)
    rows: dict[str, list[np.ndarray]] = {name: [] for graph in GRAPHS for name in graph.outputs}
    with torch.no_grad():
        waves = torch.from_numpy(clips.astype(np.float32) / 32767.0)
        features = [network.encoder(w[None]) for w in waves]
        for i, here in enumerate(features):
            outputs = _Controller(network).eval()(*here, *features[(i + 1) % len(features)], *_bounds(network))
            for name, value in zip(rows, (*here, *outputs), strict=True):
                rows[name].append(value.numpy())
    arrays: dict[str, Any] = {PROOF_CLIPS: clips, **{k: np.concatenate(v) for k, v in rows.items()}}
    np.savez_compressed(folder / PROOF, **arrays)


def _described(system: SettingsSystem, name: str, licence: str, folder: Path) -> dict[str, Any]:
    chain = system.chain
    return {
        "name": name,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "licence": licence,
        "sample_rate": SAMPLE_RATE,
        "window_s": WINDOW_S,
        "lufs": LUFS,
        "chain": model_format.chain_data(chain),
        "fixed": [[e, p.name] for (e, p), fixed in zip(chain.params, system.fixed.tolist(), strict=True) if fixed],
        "decision": model_format.plain_decision(chain),  # `afx-study calibrate` chooses better
        "band_weights": [round(v, 4) for v in band_weights().tolist()],
        "bands_hz": [round(v, 3) for v in band_centres().tolist()],
        "parameters": sum(p.numel() for p in system.predictor.parameters()),
        "tolerance": TOLERANCE,
        "sha256": model_format.checksums(folder),
        "opset": OPSET,
    }
