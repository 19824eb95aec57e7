"""A virtual microphone: a source that OBS, Zoom and browsers list, fed by what afx-live plays.

On Linux PipeWire makes it, by a `pw-loopback` of ours: two nodes, of which other programs see only the
source. The feed is no sink, so nothing else is ever moved into it when another device vanishes, and
nobody's default. The sound reaches it through PipeWire's JACK library within the graph's own cycle: the
microphone adds no delay. On macOS and Windows a driver is needed; `steps` says what to do with it.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .devices import DeviceError, Listing, child_env, query
from .options import StreamOptions

NAME = "afx-live"
LATENCY = 0
"""Frames of delay that the microphone adds: it plays in the cycle in which it is fed."""
START_S, ANSWER_S = 5.0, 5.0
POLL_S = 0.05
TRIES = 3
TOOLS = {"pw-loopback": "pipewire-bin", "pw-dump": "pipewire-bin", "pw-jack": "pipewire-jack"}
"""Programs that are needed, and the Debian packages that have them."""
DRIVERS = ("BlackHole", "Loopback Audio", "Soundflower", "CABLE Input", "VB-Audio", "VoiceMeeter")
"""Parts of the names of virtual devices on macOS and Windows."""
STEPS = {
    "darwin": "install BlackHole (brew install blackhole-2ch)",
    "win32": "install VB-CABLE (vb-audio.com/Cable)",
}


_NAME = re.compile(r"\w[\w -]{0,31}")


class VirtualMicrophone:
    """A microphone called `name` while in its context; gone at the end, and when this process is killed.

        with VirtualMicrophone() as mic, LiveEngine(settings, mic.options(options), env=mic.env) as engine:
            ...

    `env` is for the processes that play into it.

    It never becomes the default by our doing unless `default` is set, and then until the end only. If
    PipeWire is started anew, so is the microphone. Entering raises DeviceError E311 if it cannot be made,
    a name of other signs than letters, digits, spaces, `_` and `-` ValueError.
    """

    def __init__(self, name: str = NAME, default: bool = False) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a microphone: 1 to 32 letters, digits, spaces, _ and -")
        self.name, self._default = name, default
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()
        self.env: dict[str, str] = {}

    @property
    def feed(self) -> str:
        """The output device that is heard in it."""
        return f"{self.name} feed"

    def options(self, options: StreamOptions) -> StreamOptions:
        """Choose the devices with which a LiveEngine, in the environment `env`, plays into it.

        The input is that of `options`, a part of a name, or else the system's default microphone. Raises
        DeviceError E311 if that is this microphone, which would hear itself, or if several fit, or none.
        """
        input_device = options.input_device
        found = graph()
        others = {name: label for name, label in found.sources.items() if name != self.name}
        if input_device is None:
            source = others.get(found.default_source or "") or next(iter(others.values()), None)
        else:
            words = str(input_device).lower().split()
            fits = [label for label in others.values() if all(word in label.lower() for word in words)]
            exact = [label for label in fits if label.lower() == str(input_device).lower()]
            source = (exact or fits or [None])[0] if len(exact or fits) < 2 else None
        if source is None:
            asked = "" if input_device is None else f'"{input_device}" is none, or several, of them. '
            names = ", ".join(f'"{label}"' for label in others.values()) or "none"
            own = "the one that afx-live makes would hear itself"
            raise DeviceError("E311", f"{asked}Microphones to play from: {names}; {own}. Choose with -i NAME.")
        return replace(options, input_device=source, output_device=self.feed, api="JACK")

    def __enter__(self) -> "VirtualMicrophone":
        need_pipewire()
        if self.name in graph().sources:
            raise DeviceError(
                "E311", f'There is a microphone "{self.name}" already: end that afx-live, or use --virtual-mic NAME.'
            )
        self.env = _jack_environment()
        words = [sys.executable, "-m", "afx_live.realtime.audio.virtual_mic_process", self.name]
        self._process = subprocess.Popen(
            [*words, *(["--default"] if self._default else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env=child_env(None),
            start_new_session=True,  # Ctrl-C is for us: the microphone ends after the fade
        )
        try:
            self._await()
        except BaseException:
            self.close()
            raise
        return self

    def _await(self) -> None:
        end = time.monotonic() + START_S
        while self.name not in graph().sources:
            if time.monotonic() > end:
                self._errors.seek(0)
                why = self._errors.read().decode(errors="replace").strip().splitlines()[:1] or ["no answer"]
                raise DeviceError("E311", f'PipeWire made no microphone "{self.name}" in {START_S:g} s: {why[0]}')
            time.sleep(POLL_S)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the microphone away."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel ends its pw-loopback
            self._process.wait()
        self._process = None


# --- PipeWire ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Graph:
    """What PipeWire has: sources by name with what people call them, and the name of the default one."""

    sources: Mapping[str, str]
    default_source: str | None


def graph() -> Graph:
    """Ask PipeWire. Raises DeviceError E311 if it does not answer, or there is none."""
    objects = next(filter(None, (_dump() for _ in range(TRIES))), None)
    if not objects:
        raise DeviceError("E311", "PipeWire does not answer, and it is what makes a virtual microphone. " + _instead())
    sources: dict[str, str] = {}
    default = None
    for thing in objects:
        props = (thing.get("info") or {}).get("props") or thing.get("props") or {}
        if str(props.get("media.class", "")).startswith("Audio/Source"):
            sources[props["node.name"]] = props.get("node.description") or props["node.name"]
        if props.get("metadata.name") == "default":
            for entry in thing.get("metadata", []):
                if entry.get("key") == "default.audio.source" and isinstance(entry.get("value"), dict):
                    default = entry["value"].get("name")
    return Graph(sources, default)


def _dump() -> list[dict[str, Any]]:
    """Give what pw-dump prints; nothing if it fails, as it may while nodes come and go."""
    try:
        done = subprocess.run(["pw-dump"], capture_output=True, timeout=ANSWER_S)
        return json.loads(done.stdout) if done.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return []


def _jack_environment() -> dict[str, str]:
    """Give the environment in which a program finds PipeWire's JACK library, as pw-jack would set it."""
    try:
        done = subprocess.run(["pw-jack", "env", "-0"], capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError("E311", f"pw-jack does not run: {error}") from None
    prefix = "LD_LIBRARY_PATH="
    return {prefix[:-1]: line.removeprefix(prefix) for line in done.stdout.split("\0") if line.startswith(prefix)}


def need_pipewire(list_devices: Callable[[], Listing] = query, platform: str = sys.platform) -> None:
    """Raise DeviceError E311 where no microphone can be made, with what to do there."""
    if platform != "linux":
        raise DeviceError("E311", steps(list_devices(), platform))
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
        raise DeviceError("E311", f"{', '.join(missing)} is missing. Debian and Ubuntu: sudo apt install {packages}")
    graph()


# --- elsewhere --------------------------------------------------------------------------------------


def _instead() -> str:
    return "Is a desktop session running? systemctl --user start pipewire wireplumber"


def steps(found: Listing, platform: str = sys.platform) -> str:
    """Say how a call hears afx-live where no microphone can be made: by a driver, one that is there if there is one."""
    there = [d for d in found.usable("output") if any(driver.lower() in d.name.lower() for driver in DRIVERS)]
    if not there:
        first = STEPS.get(platform, "install a driver that loops an output to an input")
        return (
            f"afx-live makes a microphone on Linux (PipeWire) only, and no virtual device was found here. 1. {first}; "
            "2. afx-live devices names it; 3. play into it with -o; 4. choose it as the microphone in the call."
        )
    names = ", ".join(f'"{name}"' for name in dict.fromkeys(d.name for d in there))
    return (
        f"afx-live makes a microphone on Linux (PipeWire) only, but there is {names}. 1. play into it: "
        f'-o "{there[0].name}" instead of --virtual-mic; 2. choose the same name as the microphone in the call.'
    )
