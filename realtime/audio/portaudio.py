"""PortAudio beyond sounddevice's public interface: a compiled callback, our name in JACK, priority, errors in words.

This is the one file that knows sounddevice's private names; pyproject.toml pins its minor version for it.
"""

import ctypes
import ctypes.util
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .devices import Device, DeviceError, offered

if TYPE_CHECKING:
    from .callback import Callback

CLIENT = "afx-live"
"""Our name among JACK's clients."""
_CLIENT = CLIENT.encode()  # PortAudio keeps the pointer: it must live as long as the process
INVALID_RATE = -9997
"""PortAudio's paInvalidSampleRate."""


def set_client_name() -> None:
    """Tell PortAudio what to call us in JACK; before it starts, and only where it has JACK."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(ctypes.util.find_library("portaudio")).PaJack_SetClientName(_CLIENT)


def relist(sd: Any) -> None:
    """Have PortAudio look for devices again: it lists them when it starts, and only then."""
    sd._terminate()
    sd._initialize()


def open_stream(
    sd: Any,
    pair: tuple[Device, Device],
    channels: tuple[int, int],
    bound: "Callback",
    rate: float,
    block_size: int,
    latency: float | str,
) -> Any:
    """Open a duplex float32 stream from input to output that calls a compiled callback, not yet started.

    Rate in Hz, block in frames, latency in s, "low" or "high". Raises DeviceError E305 or E306.
    """
    try:
        return sd._StreamBase(
            kind="duplex",
            samplerate=rate,
            blocksize=block_size,
            device=tuple(device.number for device in pair),
            channels=channels,
            dtype="float32",
            latency=latency,
            clip_off=True,
            dither_off=True,
            callback=sd._ffi.cast("void *", bound.address),
            userdata=sd._ffi.cast("void *", bound.user),
        )
    except (sd.PortAudioError, ValueError) as error:
        raise explain(sd, error, pair, rate) from error


def explain(sd: Any, error: Exception, pair: tuple[Device, Device], rate: float) -> DeviceError:
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


def request_priority(sd: Any, stream: Any, api: str) -> None:
    """Ask for real-time priority under ALSA; the other hosts do so by themselves. Refusal is no error."""
    if api == "ALSA":
        with suppress(OSError, AttributeError):
            enable = ctypes.CDLL(sd._libname).PaAlsa_EnableRealtimeScheduling
            enable(ctypes.c_void_p(int(sd._ffi.cast("intptr_t", stream._ptr))), 1)


def highest_priority() -> int:
    """Give the highest real-time priority among our threads; 0 if none has any, or it cannot be known."""
    best = 0
    with suppress(OSError, AttributeError):
        for thread in os.listdir("/proc/self/task"):
            best = max(best, os.sched_getparam(int(thread)).sched_priority)
    return best
