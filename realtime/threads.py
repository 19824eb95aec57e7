"""Threads that other parts rely on: one that dies is noticed and started again."""

import threading
from collections.abc import Callable


class RestartableThread:
    """A daemon thread around `run`, which should return only when it is told to.

    `run` must be safe to call again. Whatever ends it (even a SystemExit from a library), `revive` restarts it. The
    owner calls `finish` before it tells `run` to return.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.name, self._run = name, run
        self._wanted = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._wanted = True
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def revive(self) -> bool:
        """Restart it if it has ended and should not have; tells whether that was so."""
        if not self._wanted or self.alive:
            return False
        self.start()
        return True

    def finish(self) -> None:
        """Allow it to end from now on."""
        self._wanted = False

    def join(self, timeout_s: float) -> None:
        """Wait for its end, unless called from within it."""
        if self.alive and self._thread not in (None, threading.current_thread()):
            self._thread.join(timeout_s)
