"""The status view as `afx-live run` sees it: a child process that draws (watch.py), and what to do when it ends."""

import argparse
import logging
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ..audio.devices import child_env
from .console import Console
from .terminal import LEAVE, able

END_S = 1.0
"""The view gets so long to leave the terminal as it was."""

log = logging.getLogger(__name__)


def wanted(a: argparse.Namespace) -> bool:
    """Tell whether to show the view: on a terminal that can, unless words or a program's output were asked for."""
    return not (a.quiet or a.json or a.no_screen) and able(sys.stderr)


class View:
    """Show what runs in a folder on standard error, in its context; the voice says nothing there meanwhile.

    If the view ends by itself, or does not start, the voice goes on with plain lines, and says why. When
    it is closed, the lines that only it has shown are said again, to stay in the terminal.
    """

    def __init__(self, folder: Path, voice: Console) -> None:
        self._folder, self._voice = folder, voice
        self._closing = threading.Event()
        self._since = time.time()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher = threading.Thread(target=self._watch, name="the view", daemon=True)

    @property
    def pid(self) -> int | None:
        """The view's process, if it has been started."""
        return self._process and self._process.pid

    def __enter__(self) -> "View":
        try:
            with open(self._log, "wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "afx_live.realtime.view.terminal", str(self._folder)],
                    stdin=subprocess.PIPE,
                    stdout=sys.stderr.fileno(),
                    stderr=errors,
                    env=child_env(None),
                )
        except OSError as error:
            log.warning("no status view: %s", error)
            return self
        self._voice.shown = False
        self._watcher.start()
        return self

    @property
    def _log(self) -> Path:
        return self._folder / "screen.log"

    def _watch(self) -> None:
        assert self._process is not None
        code = self._process.wait()
        if not self._closing.is_set():
            self._voice.back(LEAVE if code else "", self._since)
            self._voice(f"warning: the status view ended ({self._why(code)}); the sound goes on, as do plain lines")

    def _why(self, code: int) -> str:
        with suppress(OSError):
            if lines := self._log.read_text(errors="replace").strip().splitlines():
                return f"code {code}: {lines[-1]}"
        return f"code {code}"

    def __exit__(self, *_: object) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._closing.set()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._voice.back(LEAVE if code else "", self._since)
