"""A PipeWire session of our own, headless: no sound card, no desktop, and nobody else's nodes in it."""

import ctypes
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager

from afx_live.realtime.audio.virtual_mic_process import loopback
from support.jack import Server, need
from support.waiting import until

QUANTUM = 1024
"""Frames of a cycle: large, since no test machine has real-time priority."""
SESSION = "pipewire & pid=$!; sleep 0.3; wireplumber; kill $pid"


def _end_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class PipeWire(Server):
    """The session; `env` is for the processes that are to find it."""

    def __init__(self, folder):
        for program, package in (
            ("pipewire", "pipewire"),
            ("wireplumber", "wireplumber"),
            ("pw-loopback", "pipewire-bin"),
            ("pw-jack", "pipewire-jack"),
            ("dbus-run-session", "dbus"),
        ):
            need(program, package)
        run, home = folder / "run", folder / "home"
        for place in (run, home):
            place.mkdir(mode=0o700)
        self.env = {"XDG_RUNTIME_DIR": str(run), "HOME": str(home), "XDG_STATE_HOME": str(home), "DISPLAY": ""}
        self._log = open(folder / "pipewire.log", "ab")
        self.process: subprocess.Popen[bytes]

    def start(self):
        self.process = subprocess.Popen(
            ["dbus-run-session", "--", "sh", "-c", SESSION],
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=_end_with_us,
        )
        until(lambda: self.process.poll() is not None or "WirePlumber" in self.tool("wpctl", "status"))
        assert self.process.poll() is None, "PipeWire ended"
        self.tool("pw-metadata", "-n", "settings", "0", "clock.force-quantum", str(QUANTUM))

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(10)

    def sources(self):
        """Name the sources, by their nodes."""
        return [line.split(":")[0] for line in self.tool("pw-link", "-o").splitlines() if ":capture_FL" in line]

    def link(self, source, sink):
        for left, right in zip(source, sink, strict=True):
            end = time.monotonic() + 5
            while f"{left}\n" not in (there := self.tool("pw-link", "-io")) or f"{right}\n" not in there:
                assert time.monotonic() < end, f"{left} or {right} is not there:\n{there}"
                time.sleep(0.05)
            assert self.tool("pw-link", "-L", left, right) is not None

    @contextmanager
    def running(self, *command):
        """Run a program within the session until the end of the context; it gets SIGINT."""
        process = subprocess.Popen(command, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(5)


@contextmanager
def session(folder):
    server = PipeWire(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def card(server):
    """Have a microphone that is not ours, as a sound card's would be: "Some Card", with the node `card`."""
    command = loopback("card")
    source = {"media.class": "Audio/Source", "node.name": "card", "node.description": "Some Card"}
    command[command.index("--playback-props") + 1] = json.dumps({**source, "priority.session": 1600})
    with server.running(*command):
        until(lambda: "card" in server.sources())
        yield "card"
