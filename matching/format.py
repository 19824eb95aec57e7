"""The format of a model folder, read, checked and written here only.

    encoder.onnx     waveform → statistics, embedding
    controller.onnx  both of the input and of the reference → what to set
    model.json       format version, chain with ranges, sample rate, loudness of training, decision, checksums
    proof.npz        clips, and the numbers that both graphs must give for them (see export/model/proof.py)

docs/model_hosts.md describes it for other programs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..chain import ChainParameters
from ..effects import names
from ..files import json_checks
from ..files.atomic_write import atomic_write
from ..files.bounded_read import bounded_read
from ..files.json_checks import SchemaError
from .decision import Decision
from .onnx_sandbox import MAX_GRAPH_BYTES, GraphFormat, ModelError

FORMAT, VERSION = "afx-live-model", 2
DESCRIPTION, PROOF = "model.json", "proof.npz"
ENCODER = GraphFormat("encoder.onnx", ("waveform",), ("statistics", "embedding"))
CONTROLLER = GraphFormat(
    "controller.onnx",
    ("input_statistics", "input_embedding", "reference_statistics", "reference_embedding", "allowed", "heard"),
    ("unit", "probability", "amount", "curve_db", "kin"),  # kin: the probability that both are of one source
)
"""allowed (effects,): 1 for effects that may be used; heard (2,): windows that input and reference were pooled from;
amount (effects,): how much of each to use, in log-odds, see `decision.Decision`."""
GRAPHS = (ENCODER, CONTROLLER)
PROOF_CLIPS = "clips"
"""In the proof: clips (clips, frames) int16; the graphs' outputs are arrays of their own names (clips, size)."""
MAX_DISTANCE = 100.0
"""Feature distance that no clips exceed: the limit of a model that was not calibrated."""

_MAX_DESCRIPTION_BYTES = 1_000_000
_REQUIRED = (
    "name",
    "sample_rate",
    "window_s",
    "lufs",
    "chain",
    "fixed",
    "bands_hz",
    "band_weights",
    "decision",
    "sha256",
)


@dataclass(frozen=True)
class Description:
    """`model.json`, checked: what the program needs of it, and all of it as `data`.

    decision: how amounts are made; `max_distance`: the feature distances within which a result counts as like its
    reference, for another source and for the same.
    """

    name: str
    sample_rate: int
    window_s: float
    lufs: float
    chain: ChainParameters
    fixed: frozenset[tuple[str, str]]
    decision: Decision
    bands_hz: tuple[float, ...]
    band_weights: tuple[float, ...]
    max_distance: tuple[float, float]
    data: Mapping[str, Any]

    @property
    def window(self) -> int:
        """Frames of a window."""
        return int(self.sample_rate * self.window_s)

    @property
    def output_sizes(self) -> list[int]:
        """Sizes of the controller's outputs."""
        effects = len(self.chain.order)
        return [len(self.chain.params), effects, effects, len(self.bands_hz), 1]


# --- reading --------------------------------------------------------------------------------------


def read(folder: Path) -> tuple[Description, dict[str, bytes]]:
    """Read a model folder: its description and its graphs by file name. Raises ModelError with what is wrong where."""
    path = folder / DESCRIPTION
    if folder.is_file():
        raise ModelError(f"{folder} is a file; a model is a folder with {DESCRIPTION} in it, as afx-export writes it")
    try:
        data = _parse(path)
        checksums = _checksums(data)
        files = {name: _file(folder, name, digest) for name, digest in checksums.items()}
        return _described(data), {graph.file: files[graph.file] for graph in GRAPHS}
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename} is missing: {folder} is not a model folder") from None
    except SchemaError as error:
        raise ModelError(f"{path}: {error}; export again, or use another model") from None
    except OSError as error:
        raise ModelError(f"{path} is not a model's description: {error!r:.300}") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = bounded_read(path, _MAX_DESCRIPTION_BYTES)
    except ValueError as error:
        raise ModelError(str(error)) from None
    return json_checks.parse_json(data, _MAX_DESCRIPTION_BYTES)


def _checksums(data: Mapping[str, Any]) -> dict[str, str]:
    """Check that a description is one, and give the files it was written for with their SHA-256."""
    version = data.get("version")
    if data.get("format") != FORMAT or version != VERSION or type(version) is not int:
        found = f"{json_checks.shown(data.get('format'))} version {json_checks.shown(version)}"
        raise SchemaError(f'format: {found}; this program reads "{FORMAT}" version {VERSION}')
    if missing := {*_REQUIRED} - {*data}:
        raise SchemaError(f"nothing is said of {', '.join(sorted(missing))}")
    checksums = json_checks.as_object(data["sha256"], "sha256")
    if missing := {graph.file for graph in GRAPHS} - {*checksums}:
        raise SchemaError(f"sha256: nothing is said of {', '.join(sorted(missing))}")
    return checksums


def _file(folder: Path, name: str, digest: Any) -> bytes:
    """Read one file of the folder, and only of the folder, and compare its checksum."""
    try:
        inside = Path(name).name == name
        data = bounded_read(folder / name, MAX_GRAPH_BYTES) if inside else b""
    except ValueError as error:
        raise ModelError(str(error)) from None
    if not inside or hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(f"{folder / name} is not the file that {DESCRIPTION} was written for; copy the folder again")
    return data


def _described(data: dict[str, Any]) -> Description:
    """Check every value that is used, before it is: its type, its range, its length."""
    rate = data["sample_rate"]
    if type(rate) is not int or not 8000 <= rate <= 192_000:
        raise SchemaError(f"sample_rate: {json_checks.shown(rate)} is not a whole number in [8000, 192000]")
    name = json_checks.text(data["name"], "name", 200)
    if not name or not name.isprintable():
        raise SchemaError(f"name: {json_checks.shown(name)} is not a name")
    chain = _chain(data["chain"])
    bands = json_checks.numbers(data["bands_hz"], "bands_hz", 1.0, 200e3)
    if len(bands) < 8:
        raise SchemaError(f"bands_hz: {len(bands)} bands; at least 8 are needed")
    return Description(
        name,
        rate,
        json_checks.number(data["window_s"], "window_s", 1.0, 60.0),
        json_checks.number(data["lufs"], "lufs", -70.0, 0.0),
        chain,
        _fixed(data["fixed"]),
        _decision(data["decision"], chain),
        tuple(bands),
        tuple(json_checks.numbers(data["band_weights"], "band_weights", 0.0, 1e3, len(bands))),
        _pair(data.get("reach", [MAX_DISTANCE, MAX_DISTANCE]), "reach", 0.0, MAX_DISTANCE),
        data,
    )


def _chain(value: Any) -> ChainParameters:
    """Check that the model's effects are this program's, with the very same parameters."""
    order = []
    for i, item in enumerate(json_checks.as_list(value, "chain", "effects", 100)):
        where = f"chain[{i}]"
        step = json_checks.as_object(item, where)
        effect = json_checks.text(step.get("effect"), f"{where}.effect")
        if effect not in names():
            near = json_checks.nearest(effect, names())
            known = ", ".join(names())
            raise SchemaError(f"{where}.effect: {json_checks.shown(effect)} is not an effect{near}; there are {known}")
        params = ChainParameters((effect,)).params
        theirs = [
            json_checks.as_object(p, f"{where}.params[{k}]")
            for k, p in enumerate(json_checks.as_list(step.get("params"), f"{where}.params", "parameters", 1000))
        ]
        for (_, ours), other in zip(params, theirs, strict=False):
            same = {k: v for k, v in asdict(ours).items() if k != "doc"}
            if same != {k: v for k, v in other.items() if k != "doc"}:
                raise SchemaError(f"{where}: {effect} {other.get('name')} is {other} there and {same} here")
        if len(theirs) != len(params):
            raise SchemaError(f"{where}: {effect} has {len(theirs)} parameters there and {len(params)} here")
        order.append(effect)
    if not order or len({*order}) < len(order):
        raise SchemaError(f"chain: {', '.join(order) or 'nothing'}; each effect once, and at least one")
    return ChainParameters(tuple(order))


def _fixed(value: Any) -> frozenset[tuple[str, str]]:
    """Check [[effect, parameter], …]: what the model leaves at its default."""
    pairs = []
    for i, item in enumerate(json_checks.as_list(value, "fixed", "pairs", 1000)):
        pair = json_checks.as_list(item, f"fixed[{i}]", "texts", 2)
        if len(pair) != 2:
            raise SchemaError(f"fixed[{i}]: {len(pair)} texts; effect and parameter are needed")
        pairs.append((json_checks.text(pair[0], f"fixed[{i}][0]"), json_checks.text(pair[1], f"fixed[{i}][1]")))
    return frozenset(pairs)


def _decision(value: Any, chain: ChainParameters) -> Decision:
    rows = json_checks.as_object(value, "decision")
    if missing := {field.name for field in fields(Decision)} - {*rows}:
        raise SchemaError(f"decision: nothing is said of {', '.join(sorted(missing))}")
    offset = _by_effect(rows["offset"], "decision.offset", chain, -20.0, 20.0)
    slopes = json_checks.as_object(rows["slope"], "decision.slope")
    slope = [json_checks.number(slopes.get(e), f"decision.slope.{e}", 0.0, 100.0) for e in chain.order]
    return Decision(
        np.array([offset[e] for e in chain.order]),
        np.array(slope),
        json_checks.number(rows["boldness"], "decision.boldness", 0.0, 1.0),
        json_checks.number(rows["span"], "decision.span", 0.0, 20.0),
        json_checks.number(rows["least"], "decision.least", 0.0, 1.0),
    )


def _by_effect(
    value: Any, where: str, chain: ChainParameters, low: float, high: float
) -> dict[str, tuple[float, float]]:
    rows = json_checks.as_object(value, where)
    return {effect: _pair(rows.get(effect), f"{where}.{effect}", low, high) for effect in chain.order}


def _pair(value: Any, where: str, low: float, high: float) -> tuple[float, float]:
    other, same = json_checks.numbers(value, where, low, high, 2)
    return other, same


# --- writing --------------------------------------------------------------------------------------


def plain_decision(chain: ChainParameters) -> dict[str, Any]:
    """Give a decision, as `model.json` holds it, that takes the model's amounts as they are."""
    effects = len(chain.order)
    return decision_data(Decision(np.zeros((effects, 2)), np.ones(effects), 0.5, 3.0, 0.08), chain)


def decision_data(decision: Decision, chain: ChainParameters) -> dict[str, Any]:
    """Give a decision as `model.json` holds it."""
    return {
        "offset": dict(zip(chain.order, np.round(decision.offset, 3).tolist(), strict=True)),
        "slope": dict(zip(chain.order, np.round(decision.slope, 3).tolist(), strict=True)),
        "boldness": decision.boldness,
        "span": decision.span,
        "least": decision.least,
    }


def chain_data(chain: ChainParameters) -> list[dict[str, Any]]:
    """Give a chain as `model.json` holds it: every effect with its parameters' names, ranges and curves."""
    return [{"effect": e.name, "params": [asdict(p) for p in e.params]} for e in chain.effects]


def checksums(folder: Path) -> dict[str, str]:
    """Give the SHA-256 of every file that a description vouches for."""
    files = [*(graph.file for graph in GRAPHS), PROOF]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Write `model.json`, whole or not at all; the format and its version are put in front."""
    made = {"format": FORMAT, "version": VERSION, **data}
    atomic_write(folder / DESCRIPTION, (json.dumps(made, indent=2) + "\n").encode())


def write_calibration(
    folder: Path, decision: Decision, max_distance: tuple[float, float], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a calibration into a folder's description and give the decision as it was put there.

    The two numbers of `max_distance` are for another source and for the same; `about` says what the model was
    calibrated on. Raises ModelError.
    """
    description = read(folder)[0]
    chosen = decision_data(decision, description.chain)
    reach = [round(v, 3) for v in max_distance]
    write(folder, {**description.data, "decision": chosen, "reach": reach, "calibration": dict(about)})
    return chosen
