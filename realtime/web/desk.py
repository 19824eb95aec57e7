"""What the page shows of a session, and what it may do to it; `live_desk` and `file_desk` add what only they have.

A page sends JSON objects. `send` sets and requests controls by name, as OSC does. The rest is what is
more than a control: `lock`, `references`, `preset_save`. What is wrong with any of it is a ValueError in words.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ... import presets
from ...chain import GAIN
from ...effects import Param, load, names
from ...matching import ReferenceClip
from ...matching.words import sentences
from ..session.allowed import allowed_preset
from ..session.places import places_in, places_named, value_at
from ..session.session import Session
from ..session.spectra import HZ
from ..session.state import SessionState
from .pictures import Artist

KEPT = 24
"""Recordings that were dropped as references are kept for `--resume`, undo and presets' provenance: so many."""
CALM_S = 0.2
"""What changes by itself (drop-outs, spectra) is looked at so often."""

Handler = Callable[[Any], "Mapping[str, Any] | None"]


class SessionDesk:
    """A session as pages see it. `folder` is where uploads come to lie."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session, self._folder = session, folder
        self._uploads: dict[str, tuple[str, Path]] = {}
        self._seen, self._artist = session.state, Artist()
        self._spec = {"spec": _spec()}
        self._slow: tuple[float, dict[str, Any]] = (-1.0, {})
        self._handlers: dict[str, Handler] = {
            "send": self._send,
            "lock": self._lock,
            "reference": lambda id: self._refer([id]),
            "reference_more": lambda id: self._refer([*self._reference_ids(), id]),
            "references": self._refer,
            "preset_save": self._save_preset,
        }

    # --- telling --------------------------------------------------------------------------------------

    def spec(self) -> Mapping[str, Any]:
        """Give what never changes: the effects' parameters, the bundled clips, where curves are given."""
        return self._spec

    def wait(self, timeout_s: float) -> Mapping[str, Any]:
        """Wait for another state or another picture, then give all sections."""
        self._seen = self.session.wait(self._seen, timeout_s if self._artist.done else 0.0)
        self._artist.draw(self._seen.playing, self.session.engine.sample_rate)
        when, slow = self._slow
        if time.monotonic() - when >= CALM_S:
            slow = self.slowly()
            self._slow = time.monotonic(), slow
        return {**self.sections(self._seen), **slow, "pictures": self._artist.pictures}

    def close(self) -> None:
        """End the desk's own thread."""
        self._artist.close()

    def sections(self, state: SessionState) -> dict[str, Any]:
        """Give what changes with the state."""
        playing = state.playing
        *said, _ = sentences(playing)
        on = [step.effect for step in playing.effects if step.enabled]
        return {
            "session": self.session.plain(),
            "words": {e: text.removeprefix(e).strip() for e, text in zip(on, said, strict=False)},
            "references": [self._told(r) for r in state.references],
        }

    def slowly(self) -> dict[str, Any]:
        """Give what changes by itself."""
        return {"presets": list(presets.names())}

    # --- being told -----------------------------------------------------------------------------------

    def handle(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Do what a page asks for. Raises ValueError."""
        answer: dict[str, Any] = {}
        for name, value in message.items():
            if (handler := self._handlers.get(name)) is None:
                raise ValueError(f"{name[:40]!r} is nothing that a page can ask for")
            answer |= handler(value) or {}
        return answer or None

    def ask(self, message: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
        """Answer a question. Raises ValueError."""
        if "preset" in message:
            return {"values": self._values_of(allowed_preset(str(message["preset"])))}, b""
        if message.get("save") == "preset":
            return self._file("preset.json", presets.to_json(self.session.preset("preset")).encode())
        raise ValueError("that is nothing that a page can ask for")

    def uploaded(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take note of a file that lies in the folder as `id`.wav."""
        self._uploads[found["id"]] = found["name"], self._folder / f"{found['id']}.wav"
        return found

    def _send(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise ValueError("send: a JSON object of controls is needed")
        self.session.send(values)

    def _lock(self, places: Any) -> None:
        """Lock places, or whole effects, against the matching, or let them go."""
        if not isinstance(places, dict):
            raise ValueError("lock: a JSON object of places is needed")
        settings = self.session.state.settings
        changes = {}
        for name, on in places.items():
            found = places_named(settings, str(name))
            if not found:
                raise ValueError(f"{str(name)[:64]!r} is not in the chain")
            changes |= dict.fromkeys(found, bool(on))

        def change(state: SessionState) -> SessionState:
            on = {place for place, wanted in changes.items() if wanted}
            return replace(state, locked=(state.locked - {*changes}) | on)

        before = self.session.state
        if self.session.edit(change, send=False).said != before.said:
            self.session.matcher.decide_soon()

    # --- references -----------------------------------------------------------------------------------

    def _reference_ids(self) -> list[str]:
        return [self._id_of(r.path) for r in self.session.state.references]

    def _id_of(self, path: Path) -> str:
        for id, (_, known) in self._uploads.items():
            if known == path:
                return id
        id = f"file-{len(self._uploads)}"
        self._uploads[id] = path.stem.replace("_", " "), path
        return id

    def _told(self, reference: ReferenceClip) -> dict[str, Any]:
        """Give what is shown of a reference."""
        id = self._id_of(reference.path)
        seconds, lufs = round(reference.seconds, 2), round(reference.lufs, 1)
        return {"id": id, "name": self._uploads[id][0], "seconds": seconds, "lufs": lufs}

    def _path_of(self, id: object) -> Path:
        if isinstance(id, str) and id in presets.clips():
            return presets.clip(id)
        if not isinstance(id, str) or id not in self._uploads:
            raise ValueError(f"{str(id)[:40]!r} was not sent")
        return self._uploads[id][1]

    def _refer(self, ids: Any) -> None:
        if not isinstance(ids, list) or len(ids) > 8:
            raise ValueError("references: a list of up to 8 is needed")
        paths = [self._kept(id) for id in dict.fromkeys(map(str, ids))]
        self.session.matcher.later("reference", lambda: self.session.matcher.use_reference(*paths))

    def _kept(self, id: str) -> Path:
        """Move what was uploaded to where it outlives this program; the oldest there make room."""
        path = self._path_of(id)
        if path.parent != self._folder:
            return path
        folder = presets.folder().parent / "references"
        folder.mkdir(parents=True, exist_ok=True)
        kept = Path(shutil.move(path, folder / path.name)).resolve()
        self._uploads[id] = self._uploads[id][0], kept
        used = {r.path for r in self.session.state.references} | {kept}
        old = sorted((f for f in folder.glob("*.wav") if f not in used), key=lambda f: f.stat().st_mtime)
        for file in old[: max(len(old) - KEPT, 0)]:
            file.unlink(missing_ok=True)
        return kept

    # --- presets --------------------------------------------------------------------------------------

    def _save_preset(self, what: Any) -> Mapping[str, Any]:
        """Save what plays under a `name`; one that exists is told, unless `replace` is set."""
        if not isinstance(what, dict):
            raise ValueError("preset_save: a JSON object with a name is needed")
        preset = replace(self.session.preset(), name=asked(what, "name", str))
        path = presets.folder() / f"{preset.name}.json"
        if path.exists() and not what.get("replace"):
            return {"exists": preset.name}
        presets.save(preset, path, force=True)
        self._slow = (-1.0, {})
        return {"saved": preset.name}

    def _values_of(self, preset: presets.Preset) -> dict[str, Any]:
        """Give a preset's values under the names of controls."""
        places = places_in(preset.settings)
        values = {"/".join(place): value_at(preset.settings, place) for place in sorted(places)}
        return {"amount": preset.amount, **values}

    def _file(self, name: str, data: bytes) -> tuple[Mapping[str, Any], bytes]:
        path = self._folder / f"saved-{time.monotonic_ns()}"
        path.write_bytes(data)
        return {"file": str(path), "name": name, "once": True}, b""


def _spec() -> dict[str, Any]:
    effects = {
        name: {"params": [_plain(p) for p in load(name).params], "dynamics": load(name).meter is not None}
        for name in names()
        if name != "gain"
    }
    hz = [round(float(f), 1) for f in HZ]
    return {"effects": effects, "gain": _plain(GAIN), "clips": list(presets.clips()), "hz": hz}


def _plain(p: Param) -> dict[str, Any]:
    keys = ("name", "low", "high", "default", "doc", "curve", "neutral")
    return {key: getattr(p, key) for key in keys}


def asked(message: Mapping[str, Any], name: str, kind: type, allowed: Sequence[Any] = ()) -> Any:
    """Give a part of a message, checked. Raises ValueError."""
    value = message.get(name)
    if not isinstance(value, kind) or isinstance(value, bool) or (allowed and value not in allowed):
        what = ", ".join(map(str, allowed)) or kind.__name__
        raise ValueError(
            f"{name}: {str(value)[:40]!r} is not one of {what}" if allowed else f"{name}: {what} is needed"
        )
    return value
