"""The live engine as the rest of the program sees it.

Settings and meters live in a file that this process and the stream process map, so they outlive a stream process;
the supervisor keeps one alive.
"""

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...chain import ChainSettings
from .devices import Device, DeviceError, check_channels, choose_pair, query
from .options import StreamOptions
from .shared_folder import MEMORY, PREFIX, SHARED, places
from .shared_memory import Shared
from .stream_process import Config
from .supervisor import Supervisor

log = logging.getLogger(__name__)


def log_event(kind: str, text: str) -> None:
    """Log what an engine reports; losses and waiting as warnings."""
    log.log(logging.INFO if kind in ("running", "back", "compiling") else logging.WARNING, "%s: %s", kind, text)


class LiveEngine:
    """Play live, in a process of its own, from an input to an output, until closed.

        with LiveEngine(ChainSettings(), StreamOptions(input_device="scarlett")) as engine:
            engine.play(settings)
            print(engine.meters()["out_lufs"])

    `env` is for the processes it starts. `standby` keeps a second stream process loaded (80 MB), which takes over in
    a fraction of a second. `empty` plays what comes in, `test_level` a test signal (test_signal.py): both for
    measurements.

    `on_event(kind, text)` is called, on another thread, for: compiling, running, lost, waiting, back.
    Entering the context raises DeviceError if the devices can not be opened; devices that vanish
    later are waited for.
    """

    def __init__(
        self,
        settings: ChainSettings,
        options: StreamOptions | None = None,
        *,
        env: Mapping[str, str] | None = None,
        on_event: Callable[[str, str], None] = log_event,
        standby: bool = False,
        empty: bool = False,
        test_level: float | None = None,
    ) -> None:
        self._settings, self._options, self._env = settings, options or StreamOptions(), env
        self._on_event, self._standby = on_event, standby
        self._empty, self._test_level = empty, test_level
        self._lock = threading.Lock()
        self._faded = False
        self._folder: Path | None = None
        self._shared: Shared | None = None
        self._supervisor: Supervisor | None = None

    # --- playing ----------------------------------------------------------------------------------

    def play(self, settings: ChainSettings, **flags: Any) -> None:
        """Play these settings from the next block on; flags as in `Shared.play`. Any thread may call this."""
        with self._lock:
            if not self._faded:
                self._open_shared.play(settings, **flags)

    def fade_out(self) -> None:
        """Fade out permanently; later calls to `play` are ignored."""
        with self._lock:
            self._faded = True
            self._open_shared.mute()

    def meters(self) -> Mapping[str, Any]:
        """Read every counter and meter; they go on counting when a stream process is replaced."""
        return self._open_shared.read()

    def recent_input(self, seconds: float) -> np.ndarray:
        """Copy the last seconds of input (frames, 2), float32 at `sample_rate`, mono in both; shorter early on."""
        return self._open_shared.recent_input(seconds, self.sample_rate)

    @property
    def status(self) -> Mapping[str, Any]:
        """What runs: input, output, api, sample_rate, block_size, input_latency, output_latency (s), priority."""
        return self._supervisor.status if self._supervisor else {}

    @property
    def sample_rate(self) -> float:
        return self.status["sample_rate"]

    @property
    def folder(self) -> Path:
        """Where the shared block lies while the engine is open; other files about it may lie beside it."""
        assert self._folder is not None, "not open"
        return self._folder

    @property
    def running(self) -> bool:
        """Whether the stream process is up; False while devices are waited for."""
        return self._supervisor is not None and self._supervisor.running

    @property
    def standing_by(self) -> bool:
        """Whether another stream process is loaded and would take over at once."""
        return self._supervisor is not None and self._supervisor.standing_by

    @property
    def pid(self) -> int:
        """The stream process."""
        assert self._supervisor is not None, "not open"
        return self._supervisor.pid

    def revive(self) -> bool:
        """Restart the watchdog if it has died; tells whether that was so."""
        return self._supervisor is not None and self._supervisor.revive()

    @property
    def _open_shared(self) -> Shared:
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
        wanted = self._options
        pair = choose_pair(query(self._env), wanted.input_device, wanted.output_device, wanted.api)
        self._folder, self._shared = share(wanted.sample_rate or pair[1].rate)
        self._shared.play(self._settings)
        config = self._config(self._folder, *pair)
        self._supervisor = Supervisor(self._shared, config, self._env, self._on_event, self._standby)
        self._supervisor.start()

    def _config(self, folder: Path, input: Device, output: Device) -> Config:
        wanted = self._options
        sources = tuple(wanted.input_channels or range(1, min(input.inputs, 2) + 1))
        sinks = tuple(wanted.output_channels or range(1, min(output.outputs, 2) + 1))
        check_channels(input, "input", sources)
        check_channels(output, "output", sinks)
        return Config(
            str(folder / SHARED),
            input,
            output,
            sources,
            sinks,
            wanted.sample_rate,
            wanted.block_size,
            wanted.latency,
            empty=self._empty,
            test_level=self._test_level,
        )

    def close(self) -> None:
        """Fade out, end the stream process, and delete the file. Meters can no longer be read."""
        if self._supervisor is not None:
            self._supervisor.stop_watching()
            if self.running:
                with self._lock:
                    self._open_shared.mute()
            self._supervisor.stop()
        self._shared = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def share(sample_rate: float) -> tuple[Path, Shared]:
    """Make the block that both processes map, in a folder of its own. Raises DeviceError E309 if there is no room."""
    why = "no folder"
    for place in places():
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            return folder, Shared.create(folder / SHARED, sample_rate)
        except OSError as error:
            why = error.strerror or str(error)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
    raise DeviceError("E309", f"{MEMORY} and the folder for temporary files have no room for 8 MB: {why}. Free some.")
