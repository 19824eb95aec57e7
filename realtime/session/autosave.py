"""The autosave: what plays now, in a file, so that nothing is lost whatever ends the program.

`autosave.json` lies in the preset folder and is a preset like any other. It also has the paths of the
references and what was set by hand, so that `afx-live --resume` plays on from it. It is written whole or
not at all, when something has changed, at most every two seconds.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ... import presets
from ..threads import RestartableThread

log = logging.getLogger(__name__)

NAME = "autosave"
EVERY_S = 2.0


def path() -> Path:
    """Give the path of the file, which need not exist."""
    return presets.folder() / f"{NAME}.json"


def saved() -> tuple[presets.Preset, list[Path], list[str]]:
    """Read the autosave: a preset, the files of its references, what was set by hand. Raises PresetError."""
    if not path().exists():
        raise presets.PresetError(f"{path()}: there is nothing to resume; play with --reference or --preset first")
    found = presets.load(path())
    files = [Path(r["path"]) for r in found.source.get("references", []) if "path" in r]
    return found, files, list(found.source.get("by_hand", []))


class Autosave:
    """Save the preset that `make` gives, on a thread of its own, while in its context.

    If it cannot be saved, that is logged once, and tried again when something changes.
    """

    def __init__(self, make: Callable[[], presets.Preset]) -> None:
        self._make = make
        self._last: presets.Preset | None = None
        self.failed = False
        self._closing = threading.Event()
        self._worker = RestartableThread("the autosave", self._run)
        self.revive = self._worker.revive

    def __enter__(self) -> "Autosave":
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.finish()
        self._closing.set()
        self._worker.join(EVERY_S)
        self.save()

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            try:
                self.save()
            except Exception:  # a bug here must not end the thread
                log.exception("the autosave failed")

    def save(self) -> None:
        """Save, if anything has changed."""
        try:
            made = self._make()
            key = replace(made, source={k: v for k, v in made.source.items() if k != "created"})
            if key != self._last:
                presets.save(made, path(), force=True)
                self._last, self.failed = key, False
        except (OSError, presets.PresetError) as error:
            if not self.failed:
                why = getattr(error, "strerror", None) or error
                log.warning("nothing can be saved in %s: %s; it plays all the same", path().parent, why)
            self.failed = True
