"""The stream process: `python -m afx_live.realtime.audio.stream_process` opens devices and plays until told to stop.

It is a process of its own because PortAudio hangs for ever in close and terminate when a JACK server
dies: the supervisor kills it and starts another. The first line on stdin is its `Config` in JSON;
"stop", or the end of stdin, ends it. It prints one JSON object a line on stdout: loaded, waiting,
running, or error. With --standby it loads first, at low priority, and reads its configuration when it is needed.
"""

import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .devices import Device, DeviceError, check_channels, find_again, listing, load_sounddevice
from .portaudio import highest_priority, open_stream, relist, request_priority, set_client_name

if TYPE_CHECKING:
    from .callback import Callback
    from .engine import Memory
    from .shared_memory import Shared

RETRY_S = 0.5
"""Between two searches for a device that is away."""
END_S = 2.0
"""Nothing keeps this process alive for longer after the end of stdin."""
STANDBY = "--standby"
"""The flag with which it loads first, and is told later what to open."""
NICE = 10
"""Niceness at which a stand-by loads."""


@dataclass(frozen=True)
class Config:
    """What to open. Channels count from 1; latency in s, or "low" or "high"; no rate means the device's.

    `wait`: look for the devices until they are there. `empty`: the callback that only copies. `test_level`:
    the one that plays a test signal of this level and records what comes in.
    """

    shared: str
    input: Device
    output: Device
    input_channels: tuple[int, ...]
    output_channels: tuple[int, ...]
    sample_rate: float | None = None
    block_size: int = 128
    latency: float | str = "low"
    wait: bool = False
    empty: bool = False
    test_level: float | None = None

    @classmethod
    def from_json(cls, text: str) -> "Config":
        plain = json.loads(text)
        for key in ("input", "output"):
            plain[key] = Device.from_dict(plain[key])
        for key in ("input_channels", "output_channels"):
            plain[key] = tuple(plain[key])
        return cls(**plain)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class ParentWatcher(threading.Thread):
    """Waits for "stop" or the end of stdin, and makes sure that the process ends soon after."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.orphaned = False

    def run(self) -> None:
        self.orphaned = sys.stdin.readline().strip() != "stop"
        self.stopped.set()
        time.sleep(END_S)
        os._exit(1)


class EventPipe:
    """Standard output as it was, for our events alone; whatever libraries print goes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def send(self, event: str, **more: Any) -> None:
        with suppress(BrokenPipeError):
            print(json.dumps({"event": event, **more}), file=self._out, flush=True)


# --- opening --------------------------------------------------------------------------------------


def _find(sd: Any, config: Config) -> tuple[Device, Device]:
    """Find both devices by name; DeviceError E303 or E304."""
    found = listing(sd)
    pair = find_again(found, config.input), find_again(found, config.output)
    for device, asked in zip(pair, (config.input, config.output), strict=True):
        if device is None:
            raise DeviceError("E303", f'waiting for "{asked.name}" ({asked.api})')
    input, output = pair
    assert input is not None
    assert output is not None
    check_channels(input, "input", config.input_channels)
    check_channels(output, "output", config.output_channels)
    return input, output


def _places(channels: Sequence[int]) -> tuple[int, int]:
    """Turn channels that count from 1 into two places that count from 0; one channel serves both ears."""
    return channels[0] - 1, channels[-1] - 1


def _bind(config: Config, work: "Memory", rate: float, inputs: int, outputs: int) -> "Callback":
    """Compile the callback that is asked for, and bind it to its memory."""
    if config.test_level is not None:
        from .test_signal import noise_callback

        return noise_callback(work, rate, inputs, outputs, config.test_level)
    from .callback import callback

    return callback(work, rate, inputs, outputs, config.empty)


def _open(sd: Any, config: Config, pair: tuple[Device, Device], shared: "Shared") -> tuple[Any, "Callback"]:
    """Bind the callback and open the stream; DeviceError E305 or E306."""
    from .engine import memory

    rate = config.sample_rate or pair[1].rate
    work = memory(shared, rate, _places(config.input_channels), _places(config.output_channels))
    for array in (work.ring, work.effect_state):
        array[...] = array.copy()  # pages are mapped when first written: not in the audio thread
    channels = max(config.input_channels), max(config.output_channels)
    bound = _bind(config, work, rate, *channels)
    return open_stream(sd, pair, channels, bound, rate, config.block_size, config.latency), bound


# --- running --------------------------------------------------------------------------------------


def _load(config: Config, shared: "Shared") -> None:
    """Compile, or load what is compiled, and play silence: first calls find symbols and map code."""
    import numpy as np

    from .engine import memory

    rate = config.sample_rate or config.output.rate
    bound = _bind(config, memory(shared.copy(), rate), rate, 2, 2)
    silence, out = np.zeros((64, 2), np.float32), np.zeros((64, 2), np.float32)
    for _ in range(10):
        bound.call(silence, out)


def _preload() -> None:
    """Load all that any stream needs. PortAudio is not started: it would list the devices that there are now."""
    from ...chain import CANONICAL, ChainSettings, EffectSettings
    from .shared_memory import Shared

    if sys.platform == "linux":  # where niceness is a thread's own: the main thread keeps its priority
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    any_device = Device(0, "", "", 2, 2, 48000.0, 0.0, 0.0)
    shared = Shared.create(None, any_device.rate)
    shared.play(ChainSettings(tuple(map(EffectSettings, CANONICAL))))
    _load(Config("", any_device, any_device, (1, 2), (1, 2)), shared)


def _wait_open(
    sd: Any, config: Config, shared: "Shared", events: EventPipe, parent: ParentWatcher
) -> tuple[Any, Any] | None:
    """Open the stream, or wait until that works; None if stdin ended before."""
    while True:
        try:
            return _open(sd, config, _find(sd, config), shared)
        except DeviceError as error:
            if not config.wait:
                raise
            events.send("waiting", code=error.code, message=error.message)
        if parent.stopped.wait(RETRY_S):
            return None
        with suppress(OSError):
            os.ftruncate(2, 0)  # libraries write the same complaint each time
        relist(sd)


def run(config: Config, events: EventPipe, parent: ParentWatcher) -> None:
    """Play until stdin ends. Raises DeviceError if the devices do not open, and `wait` is not set."""
    set_client_name()
    sd = load_sounddevice()
    if not config.wait:
        _find(sd, config)  # complain before the long part
    from .safety import FADE_S
    from .shared_memory import Shared

    shared = Shared.open(Path(config.shared))
    _load(config, shared)
    events.send("loaded")
    opened = _wait_open(sd, config, shared, events, parent)
    if opened is None:
        return
    stream, bound = opened
    gc.collect()
    gc.freeze()
    request_priority(sd, stream, config.input.api)
    stream.start()
    delays = dict(zip(("input_latency", "output_latency"), stream.latency, strict=True))
    names = {"input": config.input.name, "output": config.output.name, "api": config.input.api}
    rate = {"sample_rate": stream.samplerate, "block_size": stream.blocksize}
    events.send("running", **names, **rate, **delays, priority=highest_priority())
    parent.stopped.wait()
    shared.mute()
    time.sleep(3 * FADE_S + 2 * max(config.block_size, 512) / stream.samplerate)
    stream.stop()
    stream.close()
    del bound  # alive until here: PortAudio had its addresses


def main() -> None:
    """Run, and end by `os._exit`: an interpreter that cleans up would clean up PortAudio, which may hang."""
    events, parent = EventPipe(), ParentWatcher()
    if STANDBY in sys.argv:
        loader = threading.Thread(target=_preload)
        loader.start()
        loader.join()
        events.send("loaded")
    if not (line := sys.stdin.readline()):  # never needed
        os._exit(0)
    config = Config.from_json(line)
    parent.start()
    try:
        run(config, events, parent)
    except DeviceError as error:
        events.send("error", code=error.code, message=error.message)
        os._exit(error.exit_code)
    except Exception:
        traceback.print_exc()
        os._exit(1)
    if parent.orphaned:
        _remove(Path(config.shared).parent)
    os._exit(0)


def _remove(folder: Path) -> None:
    """Remove what a program that was killed has left."""
    with suppress(OSError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


if __name__ == "__main__":
    main()
