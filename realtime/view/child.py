"""The status view as `afx-live run` sees it: a child process that draws (terminal.py), and what to do when it ends."""

import logging
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ..audio.devices import child_env
from .console import Console
from .terminal import LEAVE

END_S = 1.0
"""How long the view has to restore the terminal before it is killed."""

log = logging.getLogger(__name__)


class View:
    """Show what runs in a folder on standard error, in its context; the console prints nothing there meanwhile.

    If the view ends by itself, or does not start, the console goes on with plain lines, and says why. When
    it is closed, the lines that only it has shown are printed again, to stay in the terminal.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder, self._console = folder, console
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
        self._console.shown = False
        self._watcher.start()
        return self

    @property
    def _log(self) -> Path:
        return self._folder / "screen.log"

    def _watch(self) -> None:
        assert self._process is not None
        code = self._process.wait()
        if not self._closing.is_set():
            self._console.take_back(LEAVE if code else "", self._since)
            self._console(f"warning: the status view ended ({self._why(code)}); the sound goes on, as do plain lines")

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
        self._console.take_back(LEAVE if code else "", self._since)
