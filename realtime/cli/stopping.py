"""How afx-live is asked to stop: by Ctrl-C, SIGTERM, or a terminal that closes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue


class Stop:
    """An event that a signal's handler may set: threading.Event has a lock, which the waiting thread holds at times."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Ask for the end, from any thread or handler."""
        self._asked.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the end is asked for, or so long; tells whether it has been."""
        try:
            self._asked.get(timeout=timeout_s)
        except Empty:
            return False
        self.set()
        return True


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into an event, so that the end is a fade and not a click."""
    stop = Stop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored: nohup, play on
        numbers.append(signal.SIGHUP)
    old = {s: signal.signal(s, lambda *_: stop.set()) for s in numbers}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def term_interrupts() -> Iterator[None]:
    """Let SIGTERM end work as Ctrl-C does, with nothing left half-written; only on the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
