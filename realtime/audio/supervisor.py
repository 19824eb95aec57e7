"""Keeping a stream process alive: start one, watch its callbacks, replace it when they stop.

Whatever made the callbacks stop, the process is killed, which is all that helps when a JACK server has died, and the
next one waits for the same devices to come back. With a stand-by the next one has loaded long before.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..threads import RestartableThread
from .devices import DeviceError
from .shared_memory import Shared
from .stream_child import StreamChild
from .stream_process import RETRY_S, STANDBY, Config

POLL_S = 0.05
STALL_S = 0.25
"""Callbacks that stand still for longer (or for two blocks, if that is longer) are lost."""
START_S = 2.0
"""A stream that has just started may take this long until its first callback."""
LOAD_S = 180.0
"""Longest wait for a process that compiles, which it does once for each version."""
COMPILING_S = 5.0
"""After this long, the first start is said to be compiling."""
ANSWER_S = 10.0
"""Longest wait for a process that is loaded; it reports twice a second."""

log = logging.getLogger(__name__)


class Supervisor:
    """Runs stream processes on one `config`, one after the other, until stopped.

    shared: the block that they map. `on_event(kind, text)` gets, on another thread: compiling, running, lost, waiting,
    back. `standby` keeps a second process loaded (80 MB), which takes over in a fraction of a second.
    """

    def __init__(
        self,
        shared: Shared,
        config: Config,
        env: Mapping[str, str] | None,
        on_event: Callable[[str, str], None],
        standby: bool,
    ) -> None:
        self._shared, self._config, self._env, self._on_event = shared, config, env, on_event
        self._folder = Path(config.shared).parent
        self._closing = threading.Event()
        self._child: StreamChild | None = None
        self._standby = standby
        self._next: StreamChild | None = None
        self._watcher = RestartableThread("the watchdog", self._watch)
        self.revive = self._watcher.revive
        self.status: Mapping[str, Any] = {}
        """What runs: input, output, api, sample_rate, block_size, input_latency, output_latency (s), priority."""

    def start(self) -> None:
        """Open the devices; DeviceError if that fails. Devices that vanish later are waited for."""
        self._child = self._open(self._config)
        self._await_running(self._child)
        self._event("running", self._describe())
        self._watcher.start()

    def stop_watching(self) -> None:
        """Start no other process from now on."""
        self._closing.set()
        self._watcher.finish()
        self._watcher.join(LOAD_S)

    def stop(self) -> None:
        """End the stream process, with a fade if it plays."""
        self.stop_watching()
        if self._child is not None:
            self._child.stop() if self.running else self._child.kill()
        self.status = {**self.status, "running": False}
        if self._next is not None:
            self._next.kill()
        self._child = self._next = None

    @property
    def running(self) -> bool:
        return bool(self.status.get("running"))

    @property
    def standing_by(self) -> bool:
        """Whether another stream process is loaded and would take over at once."""
        return self._next is not None and self._next.loaded

    @property
    def pid(self) -> int:
        """The stream process."""
        assert self._child is not None, "not running"
        return self._child.pid

    def _await_running(self, child: StreamChild) -> bool:
        """Wait until the stream runs; False if we close first. Raises DeviceError if it can't."""
        patience, began, told = LOAD_S, time.monotonic(), ""
        while not self._closing.is_set():
            event = child.event(POLL_S)
            if event is None:
                if time.monotonic() - began > patience:
                    raise DeviceError("E307", f"The stream process gave no answer in {patience:g} s.")
                if patience == LOAD_S and not told and time.monotonic() - began > COMPILING_S:
                    told = "Compiling the effects."
                    self._event("compiling", told)
                continue
            patience, began = ANSWER_S, time.monotonic()
            if event["event"] == "running":
                self.status = {**event, "running": True}
                del self.status["event"]
                return True
            if event["event"] == "waiting" and event["message"] != told:
                told = event["message"]
                self._event("waiting", told)
            if event["event"] == "error":
                raise DeviceError(event["code"], event["message"])
            if event["event"] == "ended":
                raise DeviceError("E307", f"The stream process ended with {child.why}")
        return False

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                self._watch_one()
            except Exception:  # nothing is wrong with the sound, but the next loss must be met, too
                log.exception("the watchdog failed, and goes on")
                self._closing.wait(RETRY_S)

    def _watch_one(self) -> None:
        """Look after one stream process, to the start of the next."""
        if self._standby and self._next is None:
            self._next = StreamChild(self._env, self._folder, STANDBY)
        if not self._run_until_lost():
            return
        self.status = {**self.status, "running": False}
        began = time.monotonic()
        if self._replace():
            self._event("back", f"{self._describe()}, after {time.monotonic() - began:.1f} s")

    def _run_until_lost(self) -> bool:
        """Return True once the callbacks stand still or the process is gone, False when we close."""
        child = self._child
        assert child is not None
        block_s = 2 * self.status["block_size"] / self.status["sample_rate"]
        seen, since, limit = -1, time.monotonic(), START_S
        start = int(self._shared.meters[0]["callbacks"])
        while not self._closing.wait(POLL_S):
            count, now = int(self._shared.meters[0]["callbacks"]), time.monotonic()
            if count != seen:
                seen, since = count, now
                if count != start:
                    limit = max(STALL_S, block_s)
            if not child.alive:
                self._event("lost", f"the stream process ended with {child.why}")
                return True
            if now - since > limit:
                self._event("lost", f'no callback for {now - since:.2f} s: lost "{self.status["output"]}"')
                return True
        return False

    def _replace(self) -> bool:
        """Kill the stream process and start others until one runs; False if we close first."""
        assert self._child
        config = replace(self._config, wait=True)
        while not self._closing.is_set():
            self._child.kill()
            self._child = self._open(config)
            try:
                return self._await_running(self._child)
            except DeviceError as error:
                self._event("waiting", error.message)
                self._closing.wait(RETRY_S)
        return False

    def _open(self, config: Config) -> StreamChild:
        """Have a stream process open these devices: the stand-by, or a new one."""
        child, self._next = self._next, None
        if child is not None and not child.alive:
            child.kill()
        if child is None or not child.alive:
            child = StreamChild(self._env, self._folder)
        child.open(config)
        return child

    def _event(self, kind: str, text: str) -> None:
        try:
            self._on_event(kind, text)
        except Exception:
            log.exception("on_event failed")

    def _describe(self) -> str:
        s = self.status
        names = s["input"] if s["input"] == s["output"] else f"{s['input']} → {s['output']}"
        return f"{names} ({s['api']}), {s['sample_rate']:g} Hz, block {s['block_size']}"
