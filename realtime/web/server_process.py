"""The server's process as afx-live sees it: started, kept alive, told things, ended."""

import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..audio.devices import child_env
from ..threads import RestartableThread
from . import link

END_S, RETRY_S = 1.0, 0.5
STEADY_S = 5.0
"""One that has run for so long is started again at once when it ends."""
QUEUE = 512

log = logging.getLogger(__name__)


class ServerProcess:
    """Run `python -m afx_live.realtime.web.server` from `start` to `stop`, and again whenever it ends.

    `first` gives the message with which each begins, `on_message(message, data)` hears what it says, and its
    standard error goes to `log_file`.
    """

    def __init__(
        self,
        first: Callable[[], Mapping[str, Any]],
        on_message: Callable[[dict[str, Any], bytes], None],
        log_file: Callable[[], Path],
    ) -> None:
        self._first, self._on_message, self._log_file = first, on_message, log_file
        self.process: subprocess.Popen[bytes] | None = None
        self._out: queue.Queue[bytes] = queue.Queue(QUEUE)
        self._closing = threading.Event()
        self.thread = RestartableThread("the page's server", self._watch)

    def start(self) -> None:
        """Start it."""
        self.thread.start()

    def tell(self, message: Mapping[str, Any], data: bytes = b"") -> None:
        """Send a message. One that takes nothing any more is killed, and the next one begins."""
        try:
            self._out.put_nowait(link.pack(message, data))
        except queue.Full:
            if self.process is not None:
                self.process.kill()

    def give_up(self) -> None:
        """Start no other one when this one ends."""
        self._closing.set()

    def stop(self) -> None:
        """End it; returns when it has ended."""
        self._closing.set()
        self.thread.finish()
        if self.process is not None:
            with suppress(queue.Full):
                self._out.put_nowait(b"")
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.thread.join(2 * END_S)

    def _watch(self) -> None:
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self._run()
            except Exception:
                log.exception("the page's server cannot be looked after")
            if self._closing.is_set():
                return
            log.warning("the page's server ended (%s), and is started again", self._why())
            self._closing.wait(RETRY_S if time.monotonic() - began > STEADY_S else 4 * RETRY_S)

    def _run(self) -> None:
        with open(self._log_file(), "wb") as errors:
            process = self.process = subprocess.Popen(
                [sys.executable, "-m", "afx_live.realtime.web.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=child_env(None),
                start_new_session=True,  # Ctrl-C is for us
            )
        assert process.stdout
        out = self._out = queue.Queue(QUEUE)
        out.put(link.pack(self._first()))
        threading.Thread(target=_write, args=(process, out), daemon=True).start()
        with suppress(link.BrokenLink, OSError, ValueError):
            while (message := link.read(process.stdout)) is not None:
                self._on_message(*message)
        process.kill()
        process.wait()
        out.put(b"")

    def _why(self) -> str:
        assert self.process
        with suppress(OSError):
            if lines := self._log_file().read_text(errors="replace").strip().splitlines():
                return f"code {self.process.returncode}: {lines[-1]}"
        return f"code {self.process.returncode}"


def _write(process: "subprocess.Popen[bytes]", out: "queue.Queue[bytes]") -> None:
    """Write what is told to a process, until nothing more is."""
    assert process.stdin
    with suppress(OSError, ValueError):
        while data := out.get():
            process.stdin.write(data)
            process.stdin.flush()
    with suppress(OSError, ValueError):
        process.stdin.close()
