"""A stream process as its parent sees it: start it, tell it what to open, hear its events, end it."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .devices import child_env
from .stream_process import Config

END_S = 1.0


class StreamChild:
    """A stream process (stream_process.py). Once loaded, it waits to be told what to open.

    env: variables on top of ours. `folder` gets its stderr, as stream.log. `words`: STANDBY, or nothing.
    """

    def __init__(self, env: Mapping[str, str] | None, folder: Path, *words: str) -> None:
        self._log = folder / "stream.log"
        with open(self._log, "ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "afx_live.realtime.audio.stream_process", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=child_env(env),
                start_new_session=True,  # Ctrl-C is for us: we stop it, with a fade
            )
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.pid = self._process.pid

    def open(self, config: Config) -> None:
        """Have it open the devices and play."""
        self._tell(config.to_json())

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._events.put(json.loads(line))
        self._events.put({"event": "ended"})

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def event(self, timeout_s: float) -> dict[str, Any] | None:
        """Wait for the next event; None if there is none in time."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def loaded(self) -> bool:
        """Whether a stand-by has reported that it is ready."""
        return self.alive and not self._events.empty()

    @property
    def why(self) -> str:
        """Say how it ended, with the last line it wrote."""
        with suppress(OSError):
            if lines := self._log.read_text(errors="replace").strip().splitlines():
                return f"code {self._process.poll()}: {lines[-1]}"
        return f"code {self._process.poll()}"

    def kill(self) -> None:
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def stop(self) -> None:
        """Let it fade out, close the devices and end; kill it if it does not."""
        self._tell("stop")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self.kill()
