"""What a training starts from: the weights of a checkpoint, or of a model folder, the shipped one for example."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from ..matching.format import CONTROLLER, ENCODER

PREFIXES = {ENCODER.file: "predictor.encoder.", CONTROLLER.file: "predictor.controller."}
"""What a graph's weights are called in a `SettingsSystem`."""


def load_weights(system: nn.Module, start: str | Path) -> None:
    """Load weights into a `SettingsSystem`: those of a checkpoint of `afx-train`, or of a model folder.

    Raises FileNotFoundError for what is not there, ValueError for weights of another network.
    """
    start = Path(start).expanduser()
    if not start.exists():
        raise FileNotFoundError(f"{start} is not there: give a checkpoint of afx-train or a model folder")
    known = system.state_dict()
    if start.is_dir():
        found = _of_folder(start, known)
    else:
        found = torch.load(start, map_location="cpu", weights_only=True)["state_dict"]
    try:
        system.load_state_dict(found)
    except RuntimeError as error:
        raise ValueError(f"{start} is of another network than this: {error}") from None


def _of_folder(folder: Path, known: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    stored = {}
    for file, prefix in PREFIXES.items():
        for tensor in onnx.load(folder / file).graph.initializer:
            name = prefix + tensor.name.removeprefix("network.controller.")
            if name in known:
                values = torch.from_numpy(numpy_helper.to_array(tensor).copy())
                stored[name] = values.view_as(known[name]) if values.numel() == known[name].numel() else values
    # The exporter's optimiser drops a bias of nothing but zeros.
    zeros = {k: torch.zeros_like(v) for k, v in known.items() if k.endswith(".bias")}
    return {**zeros, **stored}
