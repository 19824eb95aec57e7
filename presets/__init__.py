"""Presets: what a chain is set to, as a JSON file that people read and machines write.

`load("telephone")` gives a factory preset or one of the user's, `save` writes one; a file that does
not fit is refused with its name, the key, the value and what is allowed. Factory presets and the
demo clips lie beside this file. Imports neither torch nor an audio device.
"""

import contextlib
import difflib
import glob
import hashlib
import json
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import platformdirs

from .. import effects
from ..chain import ChainSettings, EffectSettings
from . import plugin_state

__all__ = [
    "Preset",
    "PresetError",
    "clip",
    "clips",
    "folder",
    "from_json",
    "load",
    "names",
    "provenance",
    "save",
    "to_json",
]

FORMAT = "afx-live-preset"
VERSION = 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From every older version to the next one. Each takes and gives the parsed file, which may hold
anything, and raises PresetError for what it cannot move. Version 1 has no elders."""

MOST_BYTES = 1_000_000
"""A preset file may not be longer."""
STALE_S = 60.0
LUFS = (-70.0, 0.0)
"""Loudness that a preset may ask for or report, in LUFS."""

_HERE = Path(__file__).resolve().parent
_NAME = re.compile(r"(?!.*\.json$)\w[\w .+-]{0,63}")
_MOST_BY_HAND = 500
_TEXT = 4000  # characters of a note, or of any other text
_KEYS = (
    "format",
    "version",
    "name",
    "notes",
    "amount",
    "target_lufs",
    "input_gain_db",
    "output_gain_db",
    "chain",
    "source",
)
_SOURCE = ("references", "model", "app", "created", "by_hand")
_REFERENCE = ("file", "sha256", "lufs", "path")


class PresetError(ValueError):
    """A preset that does not fit. The message names file, key, value and what is allowed."""


@dataclass(frozen=True)
class Preset:
    """A chain's settings with a name, an amount and where they came from.

    `settings` are those at amount 1; play `settings.scaled(amount)`. `target_lufs` is the
    loudness the output is brought to, None for that of the input. `source` says what the
    settings were made from (see `provenance`). Raises PresetError for what a file could not hold.
    """

    name: str
    settings: ChainSettings
    amount: float = 1.0
    target_lufs: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(_text(self.name, "name")):
            raise PresetError(f"name: {_show(self.name)} is not a name; allowed: {_NAMING}")
        object.__setattr__(self, "amount", _number(self.amount, "amount", 0.0, 1.0))
        if self.target_lufs is not None:
            object.__setattr__(self, "target_lufs", _number(self.target_lufs, "target_lufs", *LUFS))
        object.__setattr__(self, "source", _source(self.source))
        _text(self.notes, "notes")


_NAMING = "1 to 64 letters, digits, spaces and _ . + -, a letter, digit or _ first"


# --- places ---------------------------------------------------------------------------------------


def folder() -> Path:
    """Give the folder of the user's presets, which need not exist: in AFX_LIVE_HOME if that is set."""
    home = os.environ.get("AFX_LIVE_HOME")
    return Path(home or platformdirs.user_data_dir("afx-live")) / "presets"


def names() -> tuple[str, ...]:
    """List the presets there are, factory and user's, in alphabetical order."""
    found = {p.stem for place in (_HERE, folder()) if place.is_dir() for p in place.glob("*.json")}
    return tuple(sorted(n for n in found if _NAME.fullmatch(n)))


def clips() -> tuple[str, ...]:
    """List the bundled demo clips."""
    return tuple(sorted(p.stem for p in (_HERE / "clips").glob("*.flac")))


def clip(name: str) -> Path:
    """Give the file of a bundled demo clip, 48 kHz mono; KeyError with the names there are."""
    if name not in clips():
        raise KeyError(f"{name!r} is not a clip; there are {', '.join(clips())}")
    return _HERE / "clips" / f"{name}.flac"


def _is_path(name_or_path: str | Path) -> bool:
    return (
        isinstance(name_or_path, Path)
        or name_or_path.endswith(".json")
        or "/" in name_or_path
        or os.sep in name_or_path
    )


def _find(name_or_path: str | Path) -> Path:
    """Give the file of a path, or of a name: the user's before the factory's."""
    if _is_path(name_or_path):
        return Path(name_or_path)
    name = str(name_or_path)
    if name not in names():
        raise PresetError(f"{_show(name)} is not a preset{_nearest(name, names())}; there are {', '.join(names())}")
    mine = folder() / f"{name}.json"
    return mine if mine.exists() else _HERE / f"{name}.json"


# --- reading --------------------------------------------------------------------------------------


def load(name_or_path: str | Path) -> Preset:
    """Load a preset by its name (the user's before the factory's) or from a file.

    A `Path`, and a string with a slash or ending in `.json`, is a file; any other string is a name
    and never leaves the two preset folders. Raises PresetError if there is none, or if it is not fit.
    """
    path = _find(name_or_path)
    return from_json(_read(path), str(path), path.stem)


def _read(path: Path) -> bytes:
    """Read a regular file of at most 1 MB; PresetError for anything else."""
    try:
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PresetError(f"{path}: is not a regular file")
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise PresetError(f"{path}: there is no such file") from None
    except PresetError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise PresetError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def from_json(text: str | bytes, file: str = "preset", name: str = "preset") -> Preset:
    """Make a preset of JSON text or of a plug-in's state; `name` is for one that has none, `file` is for messages.

    Raises PresetError, and nothing else, for whatever is not a preset.
    """
    try:
        if isinstance(text, bytes) and text.startswith(plugin_state.MARK):
            return Preset(name, *plugin_state.from_state(text))
        return _preset(_migrated(_parse(text)), name)
    except (PresetError, plugin_state.StateError) as error:
        raise PresetError(f"{file}: {error}") from None


def _parse(text: str | bytes) -> dict[str, Any]:
    """Parse strict JSON: UTF-8, no key twice, no NaN, no endless nesting."""
    if len(text) > MOST_BYTES:
        raise PresetError(f"is longer than the {MOST_BYTES} bytes a preset may have")
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        data = json.loads(text, object_pairs_hook=_once, parse_constant=float)  # NaN is met where its key is known
    except PresetError:
        raise
    except UnicodeDecodeError as error:
        raise PresetError(f"is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise PresetError(f"line {error.lineno}, column {error.colno}: is not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; nested too deep
        raise PresetError(f"is not readable JSON: {error}") from None
    return _object(data, "the file")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; PresetError for a key twice."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise PresetError(f"{_show(key)}: the key stands there twice")
        made[key] = value
    return made


def _migrated(data: dict[str, Any]) -> dict[str, Any]:
    """Bring the parsed file of an older version up to this one; PresetError for a foreign one."""
    if data.get("format") != FORMAT:
        raise PresetError(f'format: {_show(data.get("format"))} is not "{FORMAT}"; this is no afx-live preset')
    found = data.get("version")
    if type(found) is not int:
        raise PresetError(f"version: {_show(found)} is not a whole number; this afx-live writes {VERSION}")
    if found > VERSION:
        raise PresetError(f"version: {_show(found)} is newer than {VERSION}, the newest this afx-live reads; update it")
    oldest = min(MIGRATIONS, default=VERSION)
    if found < oldest:
        raise PresetError(f"version: {_show(found)} is older than {oldest}, the oldest this afx-live reads")
    for older in range(found, VERSION):
        data = MIGRATIONS[older](data)
    return data


def _preset(data: dict[str, Any], name: str) -> Preset:
    _known(data, _KEYS, "a preset")
    gain = effects.load("gain").params[0]
    gains = {
        key: _number(data.get(key, gain.default), key, gain.low, gain.high)
        for key in ("input_gain_db", "output_gain_db")
    }
    chain = data.get("chain", [])
    if not isinstance(chain, list):
        raise PresetError(f"chain: {_show(chain)} is not a list of effects")
    steps = tuple(_step(item, f"chain[{i}]") for i, item in enumerate(chain))
    try:
        settings = ChainSettings(steps, **gains)
    except ValueError as error:
        raise PresetError(f"chain: {error}") from None
    return Preset(
        data.get("name", name),
        settings,
        data.get("amount", 1.0),
        data.get("target_lufs"),
        data.get("source", {}),
        data.get("notes", ""),
    )


def _step(data: Any, where: str) -> EffectSettings:
    """Make a step of {"effect": ..., "on": ..., parameter: value ...}."""
    data = _object(data, where)
    name = data.get("effect")
    if not isinstance(name, str) or name not in effects.names():
        near = _nearest(name, effects.names())
        known = ", ".join(effects.names())
        raise PresetError(f"{where}.effect: {_show(name)} is not an effect{near}; there are {known}")
    effect = effects.load(name)
    _known(data, ("effect", "on", *effect.defaults), name, where + ".")
    on = data.get("on", True)
    if not isinstance(on, bool):
        raise PresetError(f"{where}.on: {_show(on)} is not true or false")
    values = {
        p.name: _number(data[p.name], f"{where}.{p.name}", p.low, p.high) for p in effect.params if p.name in data
    }
    return EffectSettings(name, values, on)


def _source(data: Any) -> dict[str, Any]:
    """Check a provenance and give it in the stable order."""
    data = _object(data, "source")
    _known(data, _SOURCE, "source", "source.")
    made = dict(data)
    if "references" in data:
        if not isinstance(data["references"], list | tuple):
            raise PresetError(f"source.references: {_show(data['references'])} is not a list of files")
        made["references"] = [_reference(r, f"source.references[{i}]") for i, r in enumerate(data["references"])]
    for key in data.keys() & {"model", "app", "created"}:
        _text(data[key], f"source.{key}")
    if "created" in data:
        _time(data["created"], "source.created")
    if "by_hand" in data:
        if not isinstance(data["by_hand"], list | tuple) or len(data["by_hand"]) > _MOST_BY_HAND:
            raise PresetError(f"source.by_hand: {_show(data['by_hand'])} is no list of at most {_MOST_BY_HAND} texts")
        made["by_hand"] = [_text(v, f"source.by_hand[{i}]") for i, v in enumerate(data["by_hand"])]
    return {key: made[key] for key in _SOURCE if key in made}


def _reference(data: Any, where: str) -> dict[str, Any]:
    data = _object(data, where)
    _known(data, _REFERENCE, "a reference", where + ".")
    made: dict[str, Any] = {"file": _text(data.get("file"), f"{where}.file")}
    if "sha256" in data:
        made["sha256"] = data["sha256"]
        if not re.fullmatch("[0-9a-f]{64}", _text(data["sha256"], f"{where}.sha256")):
            raise PresetError(f"{where}.sha256: {_show(data['sha256'])} is not 64 hexadecimal digits")
    if "lufs" in data:
        made["lufs"] = _number(data["lufs"], f"{where}.lufs", -120.0, 20.0)
    if "path" in data:
        made["path"] = _text(data["path"], f"{where}.path")
    return made


# --- one value ------------------------------------------------------------------------------------


def _show(value: Any) -> str:
    """Write a value into a message: short, and whatever it is."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**15 else "a huge number"
    return f"{value:.9g}" if isinstance(value, float) else json.dumps(value, default=lambda v: type(v).__name__)


def _nearest(word: Any, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word[:60], words, 1, 0.5) if isinstance(word, str) else []
    return f" (did you mean {near[0]}?)" if near else ""


def _known(data: Mapping[str, Any], keys: tuple[str, ...], what: str, where: str = "") -> None:
    """Refuse a key that is none of `keys`; PresetError with the nearest one."""
    for key in data:
        if key not in keys:
            plain = isinstance(key, str) and key.isascii() and key.isidentifier() and len(key) <= 60
            shown = f"{where}{key if plain else _show(key)} = {_show(data[key])}"
            raise PresetError(f"{shown}: {what} has no such key{_nearest(key, keys)}; it has {', '.join(keys)}")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise PresetError(f"{where}: {_show(value)} is not an object")
    return dict(value)


def _number(value: Any, where: str, low: float, high: float) -> float:
    """Check that a value is a finite number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(_float(value)):
        raise PresetError(f"{where}: {_show(value)} is not a number in [{low:g}, {high:g}]")
    if not low <= value <= high:
        raise PresetError(f"{where}: {_show(value)} is not in [{low:g}, {high:g}]")
    return float(value)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _text(value: Any, where: str) -> str:
    """Check that a value is text that UTF-8 can hold, without control characters."""
    if not isinstance(value, str):
        raise PresetError(f"{where}: {_show(value)} is not text")
    if len(value) > _TEXT:
        raise PresetError(f"{where}: {len(value)} characters; at most {_TEXT}")
    if any((c < " " and c not in "\n\t") or "\ud800" <= c <= "\udfff" for c in value):
        raise PresetError(f"{where}: {_show(value)} holds a control character or half a surrogate pair")
    return value


def _time(value: str, where: str) -> None:
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise PresetError(f"{where}: {_show(value)} is not a time such as 2026-11-22T22:40:00Z") from None


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
        "input_gain_db": settings.input_gain_db,
        "output_gain_db": settings.output_gain_db,
        "chain": [_item(step) for step in settings.effects],
        "source": dict(preset.source),
    }
    return json.dumps(_rounded(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _item(step: EffectSettings) -> dict[str, Any]:
    return {
        "effect": step.effect,
        "on": bool(step.enabled),
        **{n: step.values[n] for n in effects.load(step.effect).defaults},
    }


def _rounded(value: Any) -> Any:
    """Round every float in it to 6 significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}") + 0.0  # no -0.0
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def save(preset: Preset, path: str | Path | None = None, force: bool = False) -> Path:
    """Write a preset to a file, whole or not at all, and give the file's path.

    `path` is a file or a name as in `load`; without it the preset's own name is used. A name goes
    into `folder()`. Raises FileExistsError if the file is there and `force` is not given, and other
    OSErrors as they come. A power cut or kill at any moment leaves the old file or the new one.
    """
    if path is None:
        path = folder() / f"{preset.name}.json"
    elif not _is_path(path):
        if not _NAME.fullmatch(str(path)):
            raise PresetError(f"{_show(str(path))} is not a name; allowed: {_NAMING}")
        path = folder() / f"{path}.json"
    path = Path(os.path.realpath(path))  # a link stays a link
    if not force and path.exists():
        raise _exists(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _tidy(path)
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        _write(temporary, to_json(preset).encode())
        _put(temporary, path, force)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _tidy(path: Path) -> None:
    """Remove what writers of this file left behind that were killed, a minute ago or longer."""
    for left in path.parent.glob(f".{glob.escape(path.name[:100])}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_S:
                left.unlink()


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path}: is there already; give another name, or force to overwrite it")


def _write(path: Path, data: bytes) -> None:
    """Write a new file down to the disk."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put(temporary: Path, path: Path, force: bool) -> None:
    """Give a written file its name: over an older one with force, else only if there is none."""
    if force or not _linked(temporary, path):
        os.replace(temporary, path)
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        place = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def _linked(temporary: Path, path: Path) -> bool:
    """Name a file by a hard link, which never overwrites; False where there are no hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        return False
    return True


def provenance(
    references: Mapping[str, float] | Mapping[Path, float] | None = None,
    model: str = "",
    paths: bool = False,
    by_hand: Iterable[str] = (),
) -> dict[str, Any]:
    """Say where settings come from: reference files with their loudness in LUFS, the model, now.

    Keeps the files' names and SHA-256, but their folders only with `paths`; `by_hand` are values that
    a model must leave alone, as "effect/parameter". Raises OSError for a file that cannot be read.
    """
    files: list[dict[str, Any]] = [
        {"file": Path(p).name, "sha256": _sha256(Path(p)), "lufs": lufs} for p, lufs in (references or {}).items()
    ]
    for file, path in zip(files, references or {}, strict=True):
        file |= {"path": os.path.abspath(path)} if paths else {}
    try:
        app = f"afx-live {version('afx-live')}"
    except PackageNotFoundError:
        app = "afx-live"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    more = {"by_hand": list(by_hand)} if by_hand else {}
    return {"references": files, **({"model": model} if model else {}), "app": app, "created": now, **more}


def _sha256(path: Path) -> str:
    found = path.stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


@lru_cache(64)  # an autosave asks every few seconds
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
