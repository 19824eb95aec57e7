"""The stream process: `python -m afx_live.realtime.audio.stream_process` opens devices and plays until told to stop.

It is a process of its own because PortAudio hangs for ever in close and terminate when a JACK server
dies: the supervisor kills it and starts another. The first line on stdin is its `Config` in JSON;
"stop", or the end of stdin, ends it. It says one JSON object a line on stdout: loaded, waiting,
running, or error. One that is started as a stand-by loads before it reads that line, in its own time.

This is the one file that knows `sounddevice._StreamBase`, through which PortAudio gets a callback
that is machine code.
"""

import ctypes
import ctypes.util
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

from .devices import Device, DeviceError, again, check_channels, listing, load_sounddevice, offered

if TYPE_CHECKING:
    from .callback import Callback
    from .engine import Memory
    from .shared_memory import Shared

RETRY_S = 0.5
"""Between two looks for a device that is away."""
END_S = 2.0
"""Nothing keeps this process alive for longer after the end of stdin."""
INVALID_RATE = -9997
"""PortAudio's paInvalidSampleRate."""
STANDBY = "--standby"
"""The word with which it loads first, and asks later what to open."""
NICE = 10
"""How much the loading of a stand-by gives way to everything else."""
CLIENT = b"afx-live"
"""Our name among JACK's clients."""


@dataclass(frozen=True)
class Config:
    """What to open. Channels count from 1; latency in s, or "low" or "high"; no rate means the device's.

    `wait`: look for the devices until they are there. `empty`: the callback that only copies. `probe`:
    the one that plays a test signal of this level and keeps what comes in.
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
    probe: float | None = None

    @classmethod
    def of(cls, text: str) -> "Config":
        plain = json.loads(text)
        for key in ("input", "output"):
            plain[key] = Device.of(plain[key])
        for key in ("input_channels", "output_channels"):
            plain[key] = tuple(plain[key])
        return cls(**plain)

    def text(self) -> str:
        return json.dumps(asdict(self))


class Leash(threading.Thread):
    """Wait for the end of stdin, and see to it that the process ends soon after."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.pulled = threading.Event()
        self.orphaned = False

    def run(self) -> None:
        self.orphaned = sys.stdin.readline().strip() != "stop"
        self.pulled.set()
        time.sleep(END_S)
        os._exit(1)


class Voice:
    """Standard output as it was, for our events alone; whatever libraries print goes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def say(self, event: str, **more: Any) -> None:
        with suppress(BrokenPipeError):
            print(json.dumps({"event": event, **more}), file=self._out, flush=True)


# --- opening --------------------------------------------------------------------------------------


def _find(sd: Any, config: Config) -> tuple[Device, Device]:
    """Find both devices by name; DeviceError E303 or E304."""
    found = listing(sd)
    pair = again(found, config.input), again(found, config.output)
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
    if config.probe is not None:
        from .test_signal import probe

        return probe(work, rate, inputs, outputs, config.probe)
    from .callback import callback

    return callback(work, rate, inputs, outputs, config.empty)


def _open(sd: Any, config: Config, pair: tuple[Device, Device], shared: "Shared") -> tuple[Any, "Callback"]:
    """Bind the callback and open the stream; DeviceError E305 or E306."""
    from .engine import memory

    input, output = pair
    rate = config.sample_rate or output.rate
    inputs, outputs = max(config.input_channels), max(config.output_channels)
    places = _places(config.input_channels), _places(config.output_channels)
    work = memory(shared, rate, *places)
    for array in (work.ring, work.state):
        array[...] = array.copy()  # pages are mapped when first written: not in the audio thread
    bound = _bind(config, work, rate, inputs, outputs)
    try:
        stream = sd._StreamBase(
            kind="duplex",
            samplerate=rate,
            blocksize=config.block_size,
            device=(input.number, output.number),
            channels=(inputs, outputs),
            dtype="float32",
            latency=config.latency,
            clip_off=True,
            dither_off=True,
            callback=sd._ffi.cast("void *", bound.address),
            userdata=sd._ffi.cast("void *", bound.user),
        )
    except (sd.PortAudioError, ValueError) as error:
        raise _explain(sd, error, pair, rate) from error
    return stream, bound


def _explain(sd: Any, error: Exception, pair: tuple[Device, Device], rate: float) -> DeviceError:
    """Say why a stream did not open."""
    code = error.args[1] if len(error.args) > 1 else None
    if code != INVALID_RATE:
        names = " and ".join(dict.fromkeys(f"{d.name} ({d.api})" for d in pair))
        why = str(error.args[0] if error.args else error).removeprefix("Error opening _StreamBase: ")
        return DeviceError("E306", f"{names} does not open: {why}. Is another program using it?")
    info = sd.query_devices()
    rates = [offered(sd, d.number, info[d.number]) for d in pair]
    device, mine = next(((d, r) for d, r in zip(pair, rates, strict=True) if rate not in r), (pair[0], rates[0]))
    common = sorted(set(rates[0]) & set(rates[1]))
    offers = " ".join(map(str, mine)) or "none of the usual"
    advice = f" Use --samplerate {common[-1]}." if common else ""
    return DeviceError("E305", f"{device.name} does not run at {rate:g} Hz (offers {offers}).{advice}")


def _priority() -> int:
    """Tell the highest real-time priority among our threads; 0 if none has any, or nobody can tell."""
    best = 0
    with suppress(OSError, AttributeError):
        for thread in os.listdir("/proc/self/task"):
            best = max(best, os.sched_getparam(int(thread)).sched_priority)
    return best


def _name_client() -> None:
    """Tell PortAudio what to call us in JACK; before it starts, and only where it has JACK."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(ctypes.util.find_library("portaudio")).PaJack_SetClientName(CLIENT)


def _hurry(sd: Any, stream: Any, api: str) -> None:
    """Ask for real-time priority under ALSA; the other hosts do so by themselves. Refusal is no error."""
    if api == "ALSA":
        with suppress(OSError, AttributeError):
            hurry = ctypes.CDLL(sd._libname).PaAlsa_EnableRealtimeScheduling
            hurry(ctypes.c_void_p(int(sd._ffi.cast("intptr_t", stream._ptr))), 1)


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


def _stand_by() -> None:
    """Load all that any stream needs. PortAudio is not started: it would list the devices that there are now."""
    from ...chain import CANONICAL, ChainSettings, EffectSettings
    from .shared_memory import Shared

    if sys.platform == "linux":  # where priority is a thread's own: that of the main thread stays
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    any_device = Device(0, "", "", 2, 2, 48000.0, 0.0, 0.0)
    shared = Shared.create(None, any_device.rate)
    shared.play(ChainSettings(tuple(map(EffectSettings, CANONICAL))))
    _load(Config("", any_device, any_device, (1, 2), (1, 2)), shared)


def _wait_open(sd: Any, config: Config, shared: "Shared", voice: Voice, leash: Leash) -> tuple[Any, Any] | None:
    """Open the stream, or wait until that works; None if stdin ended before."""
    while True:
        try:
            return _open(sd, config, _find(sd, config), shared)
        except DeviceError as error:
            if not config.wait:
                raise
            voice.say("waiting", code=error.code, message=error.message)
        if leash.pulled.wait(RETRY_S):
            return None
        with suppress(OSError):
            os.ftruncate(2, 0)  # libraries write the same complaint at every look
        sd._terminate()  # PortAudio lists its devices when it starts, and only then
        sd._initialize()


def run(config: Config, voice: Voice, leash: Leash) -> None:
    """Play until stdin ends. Raises DeviceError if the devices do not open, and `wait` is not set."""
    _name_client()
    sd = load_sounddevice()
    if not config.wait:
        _find(sd, config)  # complain before the long part
    from .engine import FADE_S
    from .shared_memory import Shared

    shared = Shared.open(Path(config.shared))
    _load(config, shared)
    voice.say("loaded")
    opened = _wait_open(sd, config, shared, voice, leash)
    if opened is None:
        return
    stream, bound = opened
    gc.collect()
    gc.freeze()
    _hurry(sd, stream, config.input.api)
    stream.start()
    delays = dict(zip(("input_latency", "output_latency"), stream.latency, strict=True))
    names = {"input": config.input.name, "output": config.output.name, "api": config.input.api}
    rate = {"sample_rate": stream.samplerate, "block_size": stream.blocksize}
    voice.say("running", **names, **rate, **delays, priority=_priority())
    leash.pulled.wait()
    shared.mute()
    time.sleep(3 * FADE_S + 2 * max(config.block_size, 512) / stream.samplerate)
    stream.stop()
    stream.close()
    del bound  # alive until here: PortAudio had its addresses


def main() -> None:
    """Run, and end by `os._exit`: an interpreter that cleans up would clean up PortAudio, which may hang."""
    voice, leash = Voice(), Leash()
    if STANDBY in sys.argv:
        loader = threading.Thread(target=_stand_by)
        loader.start()
        loader.join()
        voice.say("loaded")
    if not (line := sys.stdin.readline()):  # never needed
        os._exit(0)
    config = Config.of(line)
    leash.start()
    try:
        run(config, voice, leash)
    except DeviceError as error:
        voice.say("error", code=error.code, message=error.message)
        os._exit(error.exit_code)
    except Exception:
        traceback.print_exc()
        os._exit(1)
    if leash.orphaned:
        _tidy(Path(config.shared).parent)
    os._exit(0)


def _tidy(folder: Path) -> None:
    """Remove what a supervisor that died has left."""
    with suppress(OSError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


if __name__ == "__main__":
    main()
