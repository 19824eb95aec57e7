"""The process that keeps a virtual microphone: `python -m afx_live.realtime.audio.virtual_mic_process NAME`.

It runs `pw-loopback`, starts it again when PipeWire was started anew, and ends with its standard input,
that is, with afx-live, however that ended. If it is killed itself, the kernel ends the pw-loopback.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

RETRY_S, END_S = 0.5, 1.0
PR_SET_PDEATHSIG = 1
DEFAULT = "default.configured.audio.source"
"""The key in PipeWire's metadata under which the user's choice of a microphone is kept."""


def loopback(name: str) -> list[str]:
    """Give the command that makes the microphone: a source called `name`, and a feed that nothing joins by itself."""
    feed = {
        "media.class": "Stream/Input/Audio",
        "node.name": f"{name}.feed",
        "node.description": f"{name} feed",
        "node.autoconnect": False,  # else the session manager would connect the real microphone
    }
    # Any other microphone is rather the default: priorities of real ones are about 2000, of virtual ones 0.
    source = {"media.class": "Audio/Source", "node.name": name, "node.description": name, "priority.session": -1}
    sides = ["--capture-props", json.dumps(feed), "--playback-props", json.dumps(source)]
    return ["pw-loopback", "--name", name.replace(" ", "-"), "-c", "2", "-m", "[ FL FR ]", *sides]


def _end_with_us() -> None:
    """Have the kernel end this process when its parent is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _metadata(*words: str) -> str:
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(["pw-metadata", *words], capture_output=True, text=True, timeout=2.0).stdout
    return ""


class _Default:
    """The choice of the default microphone: ours while we run, then what it was."""

    def __init__(self, name: str) -> None:
        self._name, self._before = name, ""

    def take(self) -> None:
        for line in _metadata("0", DEFAULT).splitlines():
            _, found, rest = line.partition("value:'")
            if found:
                self._before = rest.partition("' type:")[0]
        _metadata("0", DEFAULT, json.dumps({"name": self._name}), "Spa:String:JSON")

    def give_back(self) -> None:
        if self._before:
            _metadata("0", DEFAULT, self._before, "Spa:String:JSON")
        else:
            _metadata("--delete", "0", DEFAULT)


def main() -> None:
    """Keep the microphone until standard input ends."""
    name, ended = sys.argv[1], threading.Event()
    default = _Default(name) if "--default" in sys.argv else None
    running: list[subprocess.Popen[bytes]] = []

    def leash() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        ended.set()
        for process in running:
            process.terminate()

    threading.Thread(target=leash, daemon=True).start()
    if default:
        default.take()
    while not ended.is_set():
        process = subprocess.Popen(loopback(name), stdin=subprocess.DEVNULL, preexec_fn=_end_with_us)
        running[:] = [process]
        if ended.is_set():  # between the two lines above
            process.terminate()
        process.wait()
        ended.wait(RETRY_S)
    if default:
        default.give_back()


if __name__ == "__main__":
    main()
