"""System checks: versions, sound servers, priorities, clocks, cache, model.

Each check gives a `Check`: the finding in words, and what to do about it (commands for Debian). None of them raises;
one that makes no sense on a system gives nothing (Linux has most).
"""

import ctypes
import ctypes.util
import os
import platform
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Literal

LIMITS = (
    "printf '@audio - rtprio 95\\n@audio - memlock unlimited\\n' | sudo tee /etc/security/limits.d/95-audio.conf; "
    "sudo usermod -aG audio $USER; then log out and in again"
)
MIN_LOCK = 256 << 20
"""Bytes that a JACK client may want to lock; Debian's default of 8 MB is too little for big buffers."""
GOVERNORS = Path("/sys/devices/system/cpu")
SERVERS = ("jackd", "jackdbus", "pipewire", "pipewire-pulse", "pulseaudio")
PACKAGES = ("afx-live", "numpy", "numba", "onnxruntime", "onnxruntime-gpu", "sounddevice")


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis; `fix` says what to do, and is empty if all is well."""

    name: str
    state: Literal["ok", "warning", "problem"]
    text: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.state:8} {self.name:13} {self.text}"
        return line + (f"\n{'':22} → {self.fix}" if self.fix else "")


def checks() -> Iterator[Check]:
    """Make every check that this system allows."""
    for check_one in (_versions, _servers, _priority, _memory, _group, _governor, _cores, _cache, _model):
        if (check := check_one()) is not None:
            yield check


# --- what is installed and running ----------------------------------------------------------------


def _library_version(library: str, function: str) -> str:
    """Ask a C library, if it is installed, for its version; that starts nothing."""
    with suppress(OSError, AttributeError, TypeError):
        call = getattr(ctypes.CDLL(ctypes.util.find_library(library)), function)
        call.restype = ctypes.c_char_p
        return call().decode(errors="replace")
    return ""


def portaudio_version() -> str:
    """Give the version of the system's PortAudio; empty if there is none (sounddevice may bring its own)."""
    return _library_version("portaudio", "Pa_GetVersionText").split(",")[0].removeprefix("PortAudio ")


def jack_version() -> str:
    """Give the version of the JACK library; empty if there is none."""
    return _library_version("jack", "jack_get_version_string")


def _versions() -> Check:
    found = [f"Python {sys.version.split()[0]}"]
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    found += [f"{name} {text}" for name, text in (("PortAudio", portaudio_version()), ("JACK", jack_version())) if text]
    return Check("versions", "ok", ", ".join(found))


def servers() -> list[str]:
    """Name the sound servers that run on this machine (Linux)."""
    running = set()
    for file in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            running.add(file.read_text().strip())
    return [name for name in SERVERS if name in running]


def _servers() -> Check | None:
    if sys.platform != "linux":
        return None
    running = servers()
    if {"pipewire", "pulseaudio"} & {*running} and not {"jackd", "jackdbus"} & {*running}:
        fix = "for the shortest delay: sudo apt install pipewire-jack; pw-jack afx-live doctor"
        if "pipewire" not in running:
            fix = "for the shortest delay: sudo apt install jackd2; pasuspender -- jackd -R -d alsa -p 128"
        return Check("sound servers", "warning", f"{', '.join(running)} may occupy the device, and adds delay", fix)
    return Check("sound servers", "ok", ", ".join(running) or "none: ALSA opens the devices")


# --- priority -------------------------------------------------------------------------------------


def has_realtime_priority() -> bool:
    """Tell whether our threads get real-time priority (SCHED_FIFO), by trying it in one that ends at once."""
    granted = []

    def ask() -> None:
        with suppress(OSError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            granted.append(True)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return bool(granted)


def _priority() -> Check | None:
    if sys.platform != "linux":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    shown = "unlimited" if limit == resource.RLIM_INFINITY else limit
    if has_realtime_priority():
        return Check("priority", "ok", f"threads get real-time priority (SCHED_FIFO; ulimit -r: {shown})")
    rtkit = any(Path(folder, "rtkit-daemon").exists() for folder in ("/usr/libexec", "/usr/lib/rtkit"))
    by = "rtkit is there, for PipeWire alone" if rtkit else "no rtkit either"
    return Check("priority", "problem", f"threads get no real-time priority (ulimit -r: {shown}; {by})", LIMITS)


def _memory() -> Check | None:
    if sys.platform != "linux":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit == resource.RLIM_INFINITY or limit >= MIN_LOCK or os.geteuid() == 0:
        return Check("locked memory", "ok", "JACK may keep audio memory from being swapped out (ulimit -l)")
    text = f"JACK may lock {limit >> 20} MB only (ulimit -l); swapping it out would delay the sound"
    return Check("locked memory", "warning", text, LIMITS)


def _group() -> Check | None:
    """Check whether this session is in the group to which Debian gives sound cards and their limits."""
    if sys.platform != "linux" or os.geteuid() == 0:
        return None
    import grp
    import pwd

    try:
        audio = grp.getgrnam("audio")
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None
    if audio.gr_gid in {os.getegid(), *os.getgroups()}:
        return Check("group audio", "ok", f"{name} is in it")
    again = "log out and in again"
    if name in audio.gr_mem:
        return Check("group audio", "warning", f"{name} is in it, but this session began before", again)
    return Check("group audio", "warning", f"{name} is not in it", f"sudo usermod -aG audio {name}; {again}")


# --- the machine ----------------------------------------------------------------------------------


def _governor() -> Check | None:
    modes = set()
    for file in GOVERNORS.glob("cpu[0-9]*/cpufreq/scaling_governor"):
        with suppress(OSError):
            modes.add(file.read_text().strip())
    if not modes:
        return None
    if modes == {"performance"}:
        return Check("CPU clock", "ok", "governor performance")
    fix = "sudo apt install linux-cpupower; sudo cpupower frequency-set -g performance (until the next start)"
    return Check("CPU clock", "warning", f"governor {', '.join(sorted(modes))}: it slows down between blocks", fix)


def _cores() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count > 1:
        return Check("CPU cores", "ok", str(count))
    return Check("CPU cores", "warning", "1: model and sound share it", "match once: afx-live --freeze")


def _cache() -> Check:
    """Check whether there is compiled code, or a place to keep it: that saves 15 s at every start but the first."""
    from ...dsp import library
    from ...dsp.sources import FOLDER, folder

    if ready := library.opened():
        return Check("compiled code", "ok", f"came with the package; {ready.name} is used")
    if folder() is None:
        fix = "export XDG_CACHE_HOME=/some/folder/you/may/write"
        return Check("compiled code", "warning", f"{FOLDER} cannot be written: every start compiles, for 15 s", fix)
    sizes = [file.stat().st_size for file in FOLDER.rglob("*.nb?")]
    text = f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB in {FOLDER}" if sizes else f"none yet; will be in {FOLDER}"
    return Check("compiled code", "ok", text)


def _model() -> Check:
    """Load the shipped model, and analyse 5 s of noise with it."""
    import numpy as np

    from ...matching.model import MatchModel
    from ...matching.onnx_sandbox import ModelError
    from ...presets import SHIPPED_MODEL

    begin = perf_counter()
    try:
        model = MatchModel(SHIPPED_MODEL)
        loaded = perf_counter()
        model.analyse(np.random.default_rng(0).normal(0, 0.1, 5 * model.sample_rate), model.sample_rate)
    except ModelError as error:
        fix = "in the folder of afx-live: pip install --force-reinstall --no-deps ."
        return Check("model", "problem", str(error), fix)
    except Exception as error:  # onnxruntime that is not there, or is for another machine
        kind = "onnxruntime-gpu" if (sys.platform, platform.machine()) == ("linux", "x86_64") else "onnxruntime"
        return Check("model", "problem", f"onnxruntime: {error}", f"pip install --force-reinstall {kind}")
    took = f"loads in {loaded - begin:.2f} s, analyses 5 s of sound in {perf_counter() - loaded:.2f} s"
    return Check("model", "ok", f"{model.name} {took}")


# --- no device ------------------------------------------------------------------------------------


def no_device(problem: str, cards: Path = Path("/proc/asound/cards"), nodes: Path = Path("/dev/snd")) -> Check:
    """Say where sound cards were looked for in vain, and what to do. `problem` is what PortAudio said."""
    if sys.platform != "linux":
        return Check("devices", "problem", problem, "plug one in, then: afx-live devices")
    looked, todo = [], []
    try:
        there = [line.strip() for line in cards.read_text().splitlines() if "[" in line]
    except OSError:
        there = []
    looked.append(f"{cards}: {'; '.join(there) or 'no sound card'}")
    if there and not any(os.access(node, os.R_OK | os.W_OK) for node in nodes.glob("pcm*")):
        looked.append(f"{nodes}: you have no access")
        todo.append("sudo usermod -aG audio $USER; log out and in again")
    elif not there:
        todo.append("plug in an interface (lsusb shows it)")
    running = servers()
    looked.append(f"sound servers: {', '.join(running) or 'none'}")
    if not portaudio_version():
        looked.append("libportaudio: not installed")
        todo.insert(0, "sudo apt install libportaudio2")
    looked.append(f"libjack: {jack_version() or 'not installed'}")
    if "pipewire" in running:
        todo.append("sudo apt install pipewire-jack; pw-jack afx-live doctor")
    get = "" if shutil.which("jackd") else "sudo apt install jackd2; "
    todo.append(f"without a sound card: {get}jackd -r -d dummy -r 48000 -p 128 &  and again: afx-live doctor")
    return Check("devices", "problem", f"{problem} Looked for: {' · '.join(looked)}", " · or ".join(todo))
