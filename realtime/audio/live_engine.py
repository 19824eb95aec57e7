"""The live engine as the rest of the program sees it: it starts the stream process and keeps it alive.

Settings and meters live in a file that both processes map, so they outlive a stream process. When
the callbacks stop, for whatever reason, the stream process is killed, which is all that helps when a
JACK server has died, and the next one waits for the same devices to come back. With a `standby` the
next one has loaded long before.
"""

import json
import logging
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...chain import ChainSettings
from ..threads import RestartableThread
from .devices import Device, DeviceError, check_channels, child_env, choose_pair, query
from .shared_memory import Shared
from .stream_process import RETRY_S, STANDBY, Config

__all__ = ["DeviceError", "LiveEngine"]

POLL_S = 0.05
STALL_S = 0.25
"""Callbacks that stand still for longer (or for two blocks, if that is longer) are lost."""
START_S = 2.0
"""A stream that has just started may take this long until its first callback."""
LOAD_S = 180.0
"""Longest wait for a process that compiles, which it does once for each version."""
ANSWER_S = 10.0
"""Longest wait for a process that is loaded; it says something twice a second."""
END_S = 1.0
MEMORY = "/dev/shm"

log = logging.getLogger(__name__)


class _Child:
    """A stream process and what it says. Once loaded, it waits to be told what to open."""

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
        self._tell(config.text())

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

    def event(self, timeout: float) -> dict[str, Any] | None:
        """Wait for the next event; None if there is none in time."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def loaded(self) -> bool:
        """Whether one that is not told yet what to open has said that it is ready."""
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
        self._end()

    def stop(self) -> None:
        """Let it fade out, close the devices and end; kill it if it does not."""
        self._tell("stop")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self.kill()

    def _end(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


def _report(kind: str, text: str) -> None:
    log.log(logging.INFO if kind in ("running", "back", "compiling") else logging.WARNING, "%s: %s", kind, text)


class LiveEngine:
    """Play live, in a process of its own, from an input to an output, until closed.

        with LiveEngine(ChainSettings(), input_device="scarlett") as engine:
            engine.play(settings)
            print(engine.meters()["out_lufs"])

    Devices are numbers or words out of their names; channels count from 1. One input channel goes
    to both ears, one output channel gets the mean of both. Rates are in Hz, `latency` in s, or "low"
    or "high"; a `block_size` of 0 leaves it to the host. `env` is for the processes it starts. `standby`
    keeps a second stream process loaded (80 MB), which takes over in a fraction of a second.

    `on_event(kind, text)` hears, on another thread, of: compiling, running, lost, waiting, back.
    Entering the context raises DeviceError if the devices can not be opened; devices that vanish
    later are waited for.
    """

    def __init__(
        self,
        settings: ChainSettings,
        *,
        input_device: int | str | None = None,
        output_device: int | str | None = None,
        api: str | None = None,
        input_channels: Sequence[int] | None = None,
        output_channels: Sequence[int] | None = None,
        sample_rate: float | None = None,
        block_size: int = 128,
        latency: float | str = "low",
        env: Mapping[str, str] | None = None,
        on_event: Callable[[str, str], None] = _report,
        empty: bool = False,
        probe: float | None = None,
        standby: bool = False,
    ) -> None:
        for name, channels in (("input_channels", input_channels), ("output_channels", output_channels)):
            if channels is not None and len(channels) not in (1, 2):
                raise ValueError(f"{name}: {list(channels)}; one or two channels, not {len(channels)}")
        self._settings, self._env, self._on_event = settings, env, on_event
        self._wanted = input_device, output_device, api
        self._channels = input_channels, output_channels
        self._options: dict[str, Any] = {
            "sample_rate": sample_rate,
            "block_size": block_size,
            "latency": latency,
            "empty": empty,
            "probe": probe,
        }
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._status: dict[str, Any] = {}
        self._faded = False
        self._folder: Path | None = None
        self._child: _Child | None = None
        self._standby = standby
        self._next: _Child | None = None
        self._shared: Shared | None = None
        self._config: Config | None = None
        self._watcher = RestartableThread("the watchdog", self._watch)
        self.revive = self._watcher.revive

    # --- what the program does with it ------------------------------------------------------------

    def play(self, settings: ChainSettings, **flags: Any) -> None:
        """Play these settings from the next block on; flags as in `Shared.play`. Any thread may call this."""
        with self._lock:
            if not self._faded:
                self._mapped.play(settings, **flags)

    def fade_out(self) -> None:
        """Fade out now, for good: what is asked for later is not played."""
        with self._lock:
            self._faded = True
            self._mapped.mute()

    def meters(self) -> Mapping[str, Any]:
        """Read every counter and meter; they go on counting when a stream process is replaced."""
        return self._mapped.read()

    def heard(self, seconds: float) -> np.ndarray:
        """Copy the last seconds of input (frames, 2), float32 at `sample_rate`, mono in both; shorter early on."""
        return self._mapped.heard(seconds, self.sample_rate)

    @property
    def status(self) -> Mapping[str, Any]:
        """What runs: input, output, api, sample_rate, block_size, input_latency, output_latency (s), priority."""
        return self._status

    @property
    def sample_rate(self) -> float:
        return self._status["sample_rate"]

    @property
    def folder(self) -> Path:
        """Where the shared block lies, while the engine is open; other files about it may lie beside it."""
        assert self._folder is not None, "not open"
        return self._folder

    @property
    def running(self) -> bool:
        """Whether the stream process is up; False while devices are waited for."""
        return bool(self._status.get("running"))

    @property
    def standing_by(self) -> bool:
        """Whether another stream process is loaded and would take over at once."""
        return self._next is not None and self._next.loaded

    @property
    def pid(self) -> int:
        """The stream process."""
        assert self._child is not None, "not running"
        return self._child.pid

    @property
    def _mapped(self) -> Shared:
        if self._shared is None:
            raise RuntimeError("the engine is not open: use it in a with statement")
        return self._shared

    # --- opening and closing ----------------------------------------------------------------------

    def __enter__(self) -> "LiveEngine":
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self) -> None:
        pair = choose_pair(query(self._env), *self._wanted)
        self._folder, self._shared = _share(self._options["sample_rate"] or pair[1].rate)
        self._shared.play(self._settings)
        self._config = self._configure(*pair)
        self._child = self._opened(self._config)
        self._await_running(self._child)
        self._event("running", self._describe())
        self._watcher.start()

    def _configure(self, input: Device, output: Device) -> Config:
        sources = tuple(self._channels[0] or range(1, min(input.inputs, 2) + 1))
        sinks = tuple(self._channels[1] or range(1, min(output.outputs, 2) + 1))
        check_channels(input, "input", sources)
        check_channels(output, "output", sinks)
        assert self._folder is not None
        return Config(str(self._folder / "shared"), input, output, sources, sinks, **self._options)

    def close(self) -> None:
        """Fade out, end the stream process, and delete the file. Meters can no longer be read."""
        self._closing.set()
        self._watcher.finish()
        self._watcher.join(LOAD_S)
        if self._child is not None and self.running:
            with self._lock:
                self._mapped.mute()
            self._child.stop()
        elif self._child is not None:
            self._child.kill()
        self._status = {**self._status, "running": False}
        if self._next is not None:
            self._next.kill()
        self._child = self._next = self._shared = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- looking after the stream process ---------------------------------------------------------

    def _await_running(self, child: _Child) -> bool:
        """Wait until the stream runs; False if we close first. Raises DeviceError if it can't."""
        patience, began, told = LOAD_S, time.monotonic(), ""
        while not self._closing.is_set():
            event = child.event(POLL_S)
            if event is None:
                if time.monotonic() - began > patience:
                    raise DeviceError("E307", f"The stream process gave no answer in {patience:g} s.")
                if patience == LOAD_S and not told and time.monotonic() - began > 5.0:
                    told = "Compiling the effects; this happens once."
                    self._event("compiling", told)
                continue
            patience, began = ANSWER_S, time.monotonic()
            if event["event"] == "running":
                self._status = {**event, "running": True}
                del self._status["event"]
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
        assert self._folder
        if self._standby and self._next is None:
            self._next = _Child(self._env, self._folder, STANDBY)
        if not self._run_until_lost():
            return
        self._status = {**self._status, "running": False}
        began = time.monotonic()
        if self._replace():
            self._event("back", f"{self._describe()}, after {time.monotonic() - began:.1f} s")

    def _run_until_lost(self) -> bool:
        """Return True once the callbacks stand still or the process is gone, False when we close."""
        shared, child = self._mapped, self._child
        assert child is not None
        block = 2 * self._status["block_size"] / self.sample_rate
        seen, since, limit = -1, time.monotonic(), START_S
        start = int(shared.meters[0]["callbacks"])
        while not self._closing.wait(POLL_S):
            count, now = int(shared.meters[0]["callbacks"]), time.monotonic()
            if count != seen:
                seen, since = count, now
                if count != start:
                    limit = max(STALL_S, block)
            if not child.alive:
                self._event("lost", f"the stream process ended with {child.why}")
                return True
            if now - since > limit:
                self._event("lost", f'no callback for {now - since:.2f} s: lost "{self._status["output"]}"')
                return True
        return False

    def _replace(self) -> bool:
        """Kill the stream process and start others until one runs; False if we close first."""
        assert self._child
        assert self._config
        config = replace(self._config, wait=True)
        while not self._closing.is_set():
            self._child.kill()
            self._child = self._opened(config)
            try:
                return self._await_running(self._child)
            except DeviceError as error:
                self._event("waiting", error.message)
                self._closing.wait(RETRY_S)
        return False

    def _opened(self, config: Config) -> _Child:
        """Give a stream process that opens these devices: the one that stands by, or a new one."""
        assert self._folder
        child, self._next = self._next, None
        if child is not None and not child.alive:
            child.kill()
        if child is None or not child.alive:
            child = _Child(self._env, self._folder)
        child.open(config)
        return child

    def _event(self, kind: str, text: str) -> None:
        try:
            self._on_event(kind, text)
        except Exception:
            log.exception("on_event failed")

    def _describe(self) -> str:
        s = self._status
        names = s["input"] if s["input"] == s["output"] else f"{s['input']} → {s['output']}"
        return f"{names} ({s['api']}), {s['sample_rate']:g} Hz, block {s['block_size']}"


def _share(sample_rate: float) -> tuple[Path, Shared]:
    """Make the block that both processes map. Raises DeviceError E309 if there is room for it nowhere.

    In memory if it can be: writing a disk's pages back would stop the audio thread.
    """
    why = "no folder"
    for place in (*[p for p in (MEMORY,) if os.path.isdir(p)], None):
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix="afx-live-", dir=place))
            return folder, Shared.create(folder / "shared", sample_rate)
        except OSError as error:
            why = error.strerror or str(error)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
    raise DeviceError("E309", f"{MEMORY} and the folder for temporary files have no room for 8 MB: {why}. Free some.")
