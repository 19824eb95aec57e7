"""Threads that other parts can rely on: one that has ended before its time is noticed and started again."""

import threading
from collections.abc import Callable


class RestartableThread:
    """A daemon thread around `run`, which is to come back only when it is told to.

    `run` must be fit to be called again. Whatever ends it (even a SystemExit out of a library), `revive`
    starts it anew; the part that owns it calls `finish` before it tells `run` to come back.
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
        """Start it again if it has ended and should not have; tells whether that was so."""
        if not self._wanted or self.alive:
            return False
        self.start()
        return True

    def finish(self) -> None:
        """From now on it may end."""
        self._wanted = False

    def join(self, timeout_s: float) -> None:
        """Wait for its end, but not from within."""
        if self.alive and self._thread not in (None, threading.current_thread()):
            self._thread.join(timeout_s)
