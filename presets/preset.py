"""A preset: what a chain is set to, as a JSON file that people read and programs write.

A file that does not fit is refused with its name, the key, the value and what is allowed.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs

from .. import effects
from ..chain import GAIN, GAIN_NAMES, ChainSettings, EffectSettings
from ..files import json_checks
from ..files.atomic_write import atomic_write
from ..files.bounded_read import bounded_read
from ..files.json_checks import SchemaError, nearest, shown
from . import plugin_state
from .lv2_reader import from_lv2
from .plugin_state import StateError

FORMAT, VERSION = "afx-live-preset", 1
MAX_BYTES = 1_000_000
"""Length of a preset file."""
LUFS = (-70.0, 0.0)
"""Range of the loudness that a preset may ask for, in LUFS."""

_FACTORY = Path(__file__).resolve().parent
_NAME = re.compile(r"(?!.*\.json$)\w[\w .+-]{0,63}")
_NAMING = "1 to 64 letters, digits, spaces and _ . + -, a letter, digit or _ first"
_MAX_BY_HAND = 500
_MAX_REFERENCES = 10_000
_KEYS = (
    "format",
    "version",
    "name",
    "notes",
    "amount",
    "target_lufs",
    *GAIN_NAMES,
    "chain",
    "source",
)
_SOURCE = ("references", "model", "app", "created", "by_hand", "choices")
_NAMED_CHOICES = ("only", "without", "locked")
_CHOICES = ("boldness", *_NAMED_CHOICES, "shares")
_REFERENCE = ("file", "sha256", "lufs", "path")


class PresetError(ValueError):
    """A preset that does not fit. The message names file, key, value and what is allowed."""

    exit_code = 5


@dataclass(frozen=True)
class Preset:
    """A chain's settings with a name, an amount and where they came from.

    `settings` are those at amount 1; play `settings.scaled(amount)`. `target_lufs` is the loudness that the
    output is brought to, None for that of the input. `source` says what the settings were made from (see
    `provenance`). Raises PresetError for what a file could not hold.
    """

    name: str
    settings: ChainSettings
    amount: float = 1.0
    target_lufs: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    def __post_init__(self) -> None:
        try:
            if not _NAME.fullmatch(json_checks.text(self.name, "name")):
                raise SchemaError(f"name: {shown(self.name)} is not a name; allowed: {_NAMING}")
            object.__setattr__(self, "amount", json_checks.number(self.amount, "amount", 0.0, 1.0))
            if self.target_lufs is not None:
                object.__setattr__(self, "target_lufs", json_checks.number(self.target_lufs, "target_lufs", *LUFS))
            object.__setattr__(self, "source", _source(self.source))
            json_checks.text(self.notes, "notes")
        except SchemaError as error:
            raise PresetError(str(error)) from None


# --- places ---------------------------------------------------------------------------------------


def folder() -> Path:
    """Give the folder of the user's presets, which need not exist: in AFX_LIVE_HOME if that is set."""
    home = os.environ.get("AFX_LIVE_HOME")
    return Path(home or platformdirs.user_data_dir("afx-live")) / "presets"


def factory_names() -> tuple[str, ...]:
    """List the presets that come with the program, in alphabetical order."""
    return tuple(sorted(p.stem for p in _FACTORY.glob("*.json")))


def names() -> tuple[str, ...]:
    """List all presets, factory and user's, in alphabetical order."""
    found = {p.stem for place in (_FACTORY, folder()) if place.is_dir() for p in place.glob("*.json")}
    return tuple(sorted(n for n in found if _NAME.fullmatch(n)))


_LV2 = (".lv2", ".ttl")


def _is_path(name_or_path: str | Path) -> bool:
    return (
        isinstance(name_or_path, Path)
        or name_or_path.endswith(".json")
        or "/" in name_or_path
        or os.sep in name_or_path
        or (name_or_path.endswith((".state", *_LV2)) and name_or_path not in names())
    )


def _find(name_or_path: str | Path) -> Path:
    """Give the file of a path, or of a name: the user's before the factory's."""
    if _is_path(name_or_path):
        return Path(name_or_path)
    name = str(name_or_path)
    if name not in names():
        raise PresetError(f"{shown(name)} is not a preset{nearest(name, names())}; there are {', '.join(names())}")
    mine = folder() / f"{name}.json"
    return mine if mine.exists() else _FACTORY / f"{name}.json"


# --- reading --------------------------------------------------------------------------------------


def load(name_or_path: str | Path) -> Preset:
    """Load a preset by its name (the user's before the factory's) or from a file.

    A `Path`, and a string with a slash or ending in `.json`, is a file; so is one that ends as plug-ins' presets do
    (.state, .lv2, .ttl) and is nobody's name. Any other string is a name and never leaves the two preset folders.
    Raises PresetError if there is none, or if it does not fit.
    """
    path = _find(name_or_path)
    try:
        if path.suffix in _LV2:
            return _from_lv2(path)
        data = bounded_read(path, MAX_BYTES)
    except FileNotFoundError:
        raise PresetError(f"{path}: there is no such file") from None
    except OSError as error:
        raise PresetError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise PresetError(str(error)) from None
    return from_json(data, str(path), path.stem)


def load_factory(name: str) -> Preset:
    """Load a preset that comes with the program, even if the user has one of that name. Raises PresetError."""
    return load(_FACTORY / f"{name}.json")


def _from_lv2(path: Path) -> Preset:
    """Load what a host saved for an LV2 plug-in."""
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        label, settings, amount = from_lv2(path, MAX_BYTES)
    except StateError as error:
        raise PresetError(f"{path}: {error}") from None
    return Preset(fitting_name(label or path.stem, "preset"), settings, amount)


def fitting_name(text: str, otherwise: str) -> str:
    """Make a text a preset's name, or take another if nothing of it can be kept.

    >>> fitting_name("Big/Room!", "preset"), fitting_name("?", "preset")
    ('Big Room', 'preset')
    """
    return re.sub(r"[^\w .+-]", " ", text)[:64].strip(" .+-") or otherwise


def from_json(text: str | bytes, file: str = "preset", name: str = "preset") -> Preset:
    """Make a preset of JSON text or of a plug-in's state; `name` is for one that has none, `file` is for messages.

    Raises PresetError, and nothing else, for whatever is not a preset.
    """
    try:
        if isinstance(text, bytes) and text.startswith(plugin_state.MARK):
            return Preset(name, *plugin_state.from_state(text))
        data = json_checks.parse_json(text, MAX_BYTES)
        _check_version(data)
        return _preset(data, name)
    except (SchemaError, StateError, PresetError) as error:
        raise PresetError(f"{file}: {error}") from None


def _check_version(data: dict[str, Any]) -> None:
    if data.get("format") != FORMAT:
        raise SchemaError(f'format: {shown(data.get("format"))} is not "{FORMAT}"; this is not an afx-live preset')
    found = data.get("version")
    if type(found) is not int:
        raise SchemaError(f"version: {shown(found)} is not a whole number; this afx-live writes {VERSION}")
    if found > VERSION:
        raise SchemaError(f"version: {shown(found)} is newer than {VERSION}, the newest this afx-live reads; update it")
    if found < VERSION:
        raise SchemaError(f"version: {shown(found)} is older than {VERSION}, the oldest this afx-live reads")


def _preset(data: dict[str, Any], name: str) -> Preset:
    json_checks.known_keys(data, _KEYS, "a preset")
    gains = {key: json_checks.number(data.get(key, GAIN.default), key, GAIN.low, GAIN.high) for key in GAIN_NAMES}
    chain = data.get("chain", [])
    if not isinstance(chain, list):
        raise SchemaError(f"chain: {shown(chain)} is not a list of effects")
    steps = tuple(_effect(item, f"chain[{i}]") for i, item in enumerate(chain))
    try:
        settings = ChainSettings(steps, **gains)
    except ValueError as error:
        raise SchemaError(f"chain: {error}") from None
    return Preset(
        data.get("name", name),
        settings,
        data.get("amount", 1.0),
        data.get("target_lufs"),
        data.get("source", {}),
        data.get("notes", ""),
    )


def _effect(data: Any, where: str) -> EffectSettings:
    """Read {"effect": …, "on": …, parameter: value …}."""
    data = json_checks.as_object(data, where)
    name = data.get("effect")
    if not isinstance(name, str) or name not in effects.names():
        near = nearest(name, effects.names())
        known = ", ".join(effects.names())
        raise SchemaError(f"{where}.effect: {shown(name)} is not an effect{near}; there are {known}")
    effect = effects.load(name)
    json_checks.known_keys(data, ("effect", "on", *effect.defaults), name, where + ".")
    enabled = data.get("on", True)
    if not isinstance(enabled, bool):
        raise SchemaError(f"{where}.on: {shown(enabled)} is not true or false")
    values = {
        p.name: json_checks.number(data[p.name], f"{where}.{p.name}", p.low, p.high)
        for p in effect.params
        if p.name in data
    }
    return EffectSettings(name, values, enabled)


def _source(data: Any) -> dict[str, Any]:
    """Check a provenance and give it in the stable order."""
    data = json_checks.as_object(data, "source")
    json_checks.known_keys(data, _SOURCE, "source", "source.")
    made = dict(data)
    if "references" in data:
        files = json_checks.as_list(data["references"], "source.references", "files", _MAX_REFERENCES)
        made["references"] = [_reference(r, f"source.references[{i}]") for i, r in enumerate(files)]
    for key in data.keys() & {"model", "app", "created"}:
        json_checks.text(data[key], f"source.{key}")
    if "created" in data:
        _time(data["created"], "source.created")
    if "by_hand" in data:
        texts = json_checks.as_list(data["by_hand"], "source.by_hand", "texts", _MAX_BY_HAND)
        made["by_hand"] = [json_checks.text(v, f"source.by_hand[{i}]") for i, v in enumerate(texts)]
    if "choices" in data:
        made["choices"] = _choices(data["choices"], "source.choices")
    return {key: made[key] for key in _SOURCE if key in made}


def _reference(data: Any, where: str) -> dict[str, Any]:
    data = json_checks.as_object(data, where)
    json_checks.known_keys(data, _REFERENCE, "a reference", where + ".")
    made: dict[str, Any] = {"file": json_checks.text(data.get("file"), f"{where}.file")}
    if "sha256" in data:
        made["sha256"] = data["sha256"]
        if not re.fullmatch("[0-9a-f]{64}", json_checks.text(data["sha256"], f"{where}.sha256")):
            raise SchemaError(f"{where}.sha256: {shown(data['sha256'])} is not 64 hexadecimal digits")
    if "lufs" in data:
        made["lufs"] = json_checks.number(data["lufs"], f"{where}.lufs", -120.0, 20.0)
    if "path" in data:
        made["path"] = json_checks.text(data["path"], f"{where}.path")
    return made


def _choices(data: Any, where: str) -> dict[str, Any]:
    """Check what the user asked of the matching, see `provenance.choices_data`."""
    data = json_checks.as_object(data, where)
    json_checks.known_keys(data, _CHOICES, "a choice", where + ".")
    made: dict[str, Any] = {}
    if "boldness" in data:
        made["boldness"] = json_checks.number(data["boldness"], f"{where}.boldness", 0.0, 1.0)
    for key in data.keys() & {*_NAMED_CHOICES}:
        texts = json_checks.as_list(data[key], f"{where}.{key}", "texts", _MAX_BY_HAND)
        made[key] = [json_checks.text(v, f"{where}.{key}[{i}]") for i, v in enumerate(texts)]
    if "shares" in data:
        made["shares"] = {}
        for effect, whole in json_checks.as_object(data["shares"], f"{where}.shares").items():
            place = f"{where}.shares.{json_checks.text(effect, f'{where}.shares')}"
            numbers = json_checks.as_object(whole, place)
            made["shares"][effect] = {k: json_checks.number(v, f"{place}.{k}", -1e6, 1e6) for k, v in numbers.items()}
    return {key: made[key] for key in _CHOICES if key in made}


def _time(value: str, where: str) -> None:
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise SchemaError(f"{where}: {shown(value)} is not a time such as 2026-11-22T22:40:00Z") from None


# --- writing --------------------------------------------------------------------------------------


def to_json(preset: Preset) -> str:
    """Write a preset as JSON: stable key order, every parameter, 6 significant digits."""
    settings = preset.settings
    data: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": preset.name,
        "notes": preset.notes,
        "amount": preset.amount,
        "target_lufs": preset.target_lufs,
        **{name: getattr(settings, name) for name in GAIN_NAMES},
        "chain": [
            {"effect": e.effect, "on": bool(e.enabled), **{n: e.values[n] for n in effects.load(e.effect).defaults}}
            for e in settings.effects
        ],
        "source": dict(preset.source),
    }
    return json.dumps(_rounded(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _rounded(value: Any) -> Any:
    """Round every float in it to 6 significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}") + 0.0  # no -0.0
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def save(preset: Preset, path: str | Path | None = None, force: bool = False) -> Path:
    """Write a preset to a file, whole or not at all, and give the file's path.

    `path` is a file or a name as in `load`; without it the preset's own name is used. A name goes into
    `folder()`. Raises FileExistsError if the file is there and `force` is not given, and other OSErrors as
    they come. A power cut or kill at any moment leaves the old file or the new one.
    """
    if path is None:
        path = folder() / f"{preset.name}.json"
    elif not _is_path(path):
        if not _NAME.fullmatch(str(path)):
            raise PresetError(f"{shown(str(path))} is not a name; allowed: {_NAMING}")
        path = folder() / f"{path}.json"
    path = Path(os.path.realpath(path))  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        atomic_write(path, to_json(preset).encode(), overwrite=force)
    except FileExistsError:
        raise FileExistsError(f"{path}: is there already; give another name, or force to overwrite it") from None
    return path
