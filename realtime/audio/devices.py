"""Audio devices: list them, and choose one by its number or a part of its name.

PortAudio makes its list when it starts and never again, and asking a sound server that has died can
hang for ever. So a short-lived process does: `python -m afx_live.realtime.audio.devices` prints JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NoReturn

from .jack_names import misread

RATES = (44100, 48000, 88200, 96000)
"""Sample rates that a device is asked about, in Hz."""
TIMEOUT_S = 10.0
SHORT_API = {"JACK Audio Connection Kit": "JACK", "Windows DirectSound": "DirectSound", "Windows WASAPI": "WASAPI"}
INSTALL = (
    "PortAudio is missing: {error}. Debian and Ubuntu: sudo apt install libportaudio2. Fedora: sudo dnf install "
    "portaudio. macOS and Windows: pip install --force-reinstall sounddevice brings it."
)
NO_DEVICE = (
    "No audio device found. Looked at: {apis}. Try: plug one in or start a JACK server (none answers), then afx-live "
    "devices · afx-live doctor says more · no sound card? afx-live demo"
)

Kind = Literal["input", "output"]


class DeviceError(RuntimeError):
    """An audio device cannot be used (exit code 3); `code` is E300 to E312, the text says why and what to do.

    E300 PortAudio missing, E301 no device at all, E302 a name fits several, E303 a name or number
    fits none, E304 not enough channels, E305 rate not offered, E306 it does not open, E307 no
    answer, E308 input and output under different host APIs, E309 no room for the memory that two
    processes share, E310 no loop from output to input, E311 no virtual microphone, E312 a name that
    PortAudio takes for a pattern.
    """

    exit_code = 3

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message = code, message


@dataclass(frozen=True)
class Device:
    """What PortAudio reports about a device: latencies in s, rates in Hz; `rates` is empty unless asked for.

    trouble: why it cannot be used, and what to do; "" for nearly all.
    """

    number: int
    name: str
    api: str
    inputs: int
    outputs: int
    rate: float
    input_latency: float
    output_latency: float
    rates: tuple[int, ...] = ()
    trouble: str = ""

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Device":
        """Make one from what `dataclasses.asdict` and JSON made of it."""
        return cls(**{**plain, "rates": tuple(plain["rates"])})

    def channels(self, kind: Kind) -> int:
        return self.inputs if kind == "input" else self.outputs

    def __str__(self) -> str:
        return f"{self.number} {self.name} ({self.api})"


@dataclass(frozen=True)
class Listing:
    """Every device; `apis` are the host APIs that were asked, each with its default input and output, or -1."""

    devices: tuple[Device, ...]
    apis: Mapping[str, tuple[int, int]]

    def usable(self, kind: Kind) -> list[Device]:
        return [d for d in self.devices if d.channels(kind) > 0 and not d.trouble]

    def default(self, kind: Kind, api: str | None = None) -> Device | None:
        """Give the default device of a host API, or of the first that has one."""
        for name, pair in self.apis.items():
            number = pair[kind == "output"]
            if number >= 0 and api in (None, name) and not self.devices[number].trouble:
                return self.devices[number]
        return None


# --- asking ---------------------------------------------------------------------------------------


def query(env: Mapping[str, str] | None = None, rates: bool = False) -> Listing:
    """Ask PortAudio for its devices, in a process of its own; with `rates` also which rates each offers.

    env: environment variables to set for that process. Raises DeviceError E300 or E307.
    """
    command = [sys.executable, "-m", "afx_live.realtime.audio.devices", *(["--rates"] if rates else [])]
    try:
        done = subprocess.run(
            command, env=child_env(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            "E307", f"The sound system gave no answer in {TIMEOUT_S:g} s; a sound server may hang: restart it."
        ) from None
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise DeviceError("E307", f"Asking for devices ended with code {done.returncode}: {last}") from None
    if "code" in answer:
        raise DeviceError(answer["code"], answer["message"])
    devices = tuple(Device.from_dict(d) for d in answer["devices"])
    return Listing(devices, {name: (pair[0], pair[1]) for name, pair in answer["apis"].items()})


def child_env(env: Mapping[str, str] | None) -> dict[str, str]:
    """Give the environment of a child: ours, `env` on top, no threads in BLAS, no modules from the current folder."""
    quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "JACK_NO_START_SERVER": "1"}
    return {**os.environ, **quiet, **(env or {})}


def listing(sd: Any, rates: bool = False) -> Listing:
    """Read the list out of the sounddevice module of this process."""
    hosts, version = sd.query_hostapis(), sd.get_portaudio_version()[0]
    names = [SHORT_API.get(str(h["name"]), str(h["name"])) for h in hosts]
    found = list(sd.query_devices())
    clients = [str(d["name"]) for d in found if names[d["hostapi"]] == "JACK"]

    def trouble(d: Mapping[str, Any]) -> str:
        channels = d["max_input_channels"] + d["max_output_channels"]
        return misread(d["name"], channels, clients, version) if names[d["hostapi"]] == "JACK" else ""

    devices = tuple(
        Device(
            number,
            str(d["name"]),
            names[d["hostapi"]],
            d["max_input_channels"],
            d["max_output_channels"],
            d["default_samplerate"],
            d["default_low_input_latency"],
            d["default_low_output_latency"],
            offered(sd, number, d) if rates and not trouble(d) else (),
            trouble(d),
        )
        for number, d in enumerate(found)
    )
    pairs = [(h["default_input_device"], h["default_output_device"]) for h in hosts]
    return Listing(devices, dict(zip(names, pairs, strict=True)))


def offered(sd: Any, number: int, device: Mapping[str, Any]) -> tuple[int, ...]:
    """Try the usual rates; none if the device is busy."""
    rates = []
    for rate in RATES:
        try:
            if device["max_output_channels"]:
                sd.check_output_settings(number, min(2, device["max_output_channels"]), "float32", samplerate=rate)
            if device["max_input_channels"]:
                sd.check_input_settings(number, min(2, device["max_input_channels"]), "float32", samplerate=rate)
            rates.append(rate)
        except sd.PortAudioError:
            pass
    return tuple(rates)


def load_sounddevice() -> Any:
    """Import sounddevice, which starts PortAudio; DeviceError E300 if the library is missing, E307 if it fails."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError("E300", INSTALL.format(error=str(error).rstrip("."))) from error
    except Exception as error:  # sounddevice.PortAudioError, which has no name as long as its import fails
        raise DeviceError("E307", f"PortAudio does not start: {error}") from error
    return sounddevice


# --- choosing -------------------------------------------------------------------------------------


def require_any(found: Listing) -> None:
    """Raise DeviceError E301 if there is no device at all."""
    if not found.devices:
        raise DeviceError("E301", NO_DEVICE.format(apis=", ".join(found.apis) or "no host API"))


def choose(found: Listing, kind: Kind, want: int | str | None, api: str | None = None, near: str = "") -> Device:
    """Find the device that a number, or words from its name and host API, stand for; None is the default.

    `api` leaves only that host API; `near` is the preferred one. Raises DeviceError E301 to E304.
    """
    require_any(found)
    if api is not None:
        api = _api(found, api)
    usable = [d for d in found.usable(kind) if api in (None, d.api)]
    troubled = [d for d in found.devices if d.trouble and api in (None, d.api)]
    if troubled and not usable:
        raise DeviceError("E312", f"{troubled[0]} {troubled[0].trouble}.")
    if not usable:
        where = api or ", ".join(found.apis)
        raise DeviceError("E304", f"No audio {kind} found. Looked at: {where}. Try: afx-live devices")
    if want is None:
        return found.default(kind, api or near or None) or found.default(kind, api) or usable[0]
    if isinstance(want, int) or want.strip().isdecimal():
        return _by_number(found, kind, int(want))
    return _by_name(usable, kind, want, near or usable[0].api, troubled)


def find_again(found: Listing, device: Device) -> Device | None:
    """Find the device of an earlier list by name and host API; of twins, the one with the same number."""
    twins = [d for d in found.devices if (d.name, d.api) == (device.name, device.api)]
    return next((d for d in twins if d.number == device.number), twins[0] if twins else None)


def _api(found: Listing, api: str) -> str:
    names = [name for name in found.apis if api.lower() in name.lower()]
    if len(names) != 1:
        raise DeviceError("E303", f'"{api}" is not a host API here; there are {", ".join(found.apis)}.')
    return names[0]


def _by_number(found: Listing, kind: Kind, number: int) -> Device:
    if not 0 <= number < len(found.devices):
        raise DeviceError("E303", f"There is no device {number}: they go from 0 to {len(found.devices) - 1}.")
    device = found.devices[number]
    if device.trouble:
        raise DeviceError("E312", f"{device} {device.trouble}.")
    if not device.channels(kind):
        _none(found.usable(kind), kind, f"{device} has no {kind}.")
    return device


def _by_name(usable: Sequence[Device], kind: Kind, want: str, near: str, troubled: Sequence[Device]) -> Device:
    """An exact name wins, then the host API at hand."""
    words = want.lower().split()

    def fitting(some: Sequence[Device]) -> list[Device]:
        return [d for d in some if all(w in f"{d.name} {d.api}".lower() for w in words)]

    fits, lost = fitting(usable), fitting(troubled)
    if lost and not fits:
        raise DeviceError("E312", f"{lost[0]} {lost[0].trouble}.")
    for narrower in ([d for d in fits if d.name.lower() == want.lower()], [d for d in fits if d.api == near]):
        fits = narrower or fits
    if not fits:
        _none(usable, kind, f'"{want}" is in the name of no {kind}.')
    if len(fits) > 1:
        flag = f"-{kind[0]}"
        raise DeviceError(
            "E302",
            f'"{want}" matches {len(fits)} {kind}s: {", ".join(map(str, fits))}. '
            f'Use {flag} {fits[0].number} or {flag} "{fits[-1].name} {fits[-1].api}".',
        )
    return fits[0]


def _none(usable: Sequence[Device], kind: Kind, why: str) -> NoReturn:
    raise DeviceError("E303", f"{why} There are: {', '.join(map(str, usable)) or 'none'}. Try: afx-live devices")


def choose_pair(
    found: Listing, input_device: int | str | None, output_device: int | str | None, api: str | None = None
) -> tuple[Device, Device]:
    """Choose input and output, which must be under one host API. Raises DeviceError E301 to E304 and E308."""
    if input_device is None and output_device is not None:
        output = choose(found, "output", output_device, api)
        input = choose(found, "input", None, api, output.api)
    else:
        input = choose(found, "input", input_device, api)
        output = choose(found, "output", output_device, api, input.api)
    if input.api != output.api:
        raise DeviceError("E308", f"Input {input} and output {output} must be under the same host API.")
    return input, output


def check_channels(device: Device, kind: Kind, channels: Sequence[int]) -> None:
    """Raise DeviceError E304 unless the device has all these channels, which count from 1."""
    there = device.channels(kind)
    if missing := [c for c in channels if not 1 <= c <= there]:
        plural = "" if there == 1 else "s"
        raise DeviceError(
            "E304", f"{device.name} has {there} {kind} channel{plural}; there is no channel {missing[0]}."
        )


def main() -> None:
    """Print the list as one line of JSON."""
    try:
        print(json.dumps(asdict(listing(load_sounddevice(), "--rates" in sys.argv))), flush=True)
    except DeviceError as error:
        print(json.dumps({"code": error.code, "message": error.message}), flush=True)
    os._exit(0)  # PortAudio's clean-up may hang when a sound server has just died


if __name__ == "__main__":
    main()
