"""Sound servers of our own: JACK without a sound card, and what a session of PipeWire has in common with it."""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


def _end_with_us():
    """Have the kernel kill this process when the test run dies: an orphaned server would keep the name."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def need(program: str, package: str) -> str:
    """Give the path of a program; without it a test is skipped, in CI failed: there it must be installed."""
    path = shutil.which(program)
    if path is None:
        why = f"{program} is missing (Debian: {package})"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    return path


class Server:
    """A sound server of our own; `env` is for the processes that are to find it."""

    env: dict[str, str]

    def tool(self, *command):
        """Run one of its tools; returns its output, or nothing if it fails."""
        done = subprocess.run(command, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=10)
        return done.stdout if done.returncode == 0 else ""


class Jack(Server):
    """A JACK server without a sound card.

    AFX_JACK_REALTIME=1 asks for real-time priority, where the system allows it, as a musician's has.
    JACK remembers servers in a table of eight names, those that were killed too, and takes a name's
    place again only under the same name. So all our servers share one, and runs of the tests take turns;
    another one is for where a killed server lingers as a zombie, which JACK takes for alive.
    """

    NAMES = ("afx-live-test", "afx-live-test-2", "afx-live-test-3")

    def __init__(self):
        self._use(self.NAMES[0])
        self._turn = open(Path(tempfile.gettempdir()) / f"{self.name}.lock", "w")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        self.process: subprocess.Popen[bytes]

    def _use(self, name):
        self.name, self.env = name, {"JACK_DEFAULT_SERVER": name, "JACK_NO_AUDIO_RESERVATION": "1"}

    def start(self, *options):
        """Start it, with more options for its driver, and return once it answers."""
        while "already active" in (words := self._started(*options)) and self.name != self.NAMES[-1]:
            self._use(self.NAMES[self.NAMES.index(self.name) + 1])
        if words:
            pytest.fail(f"jackd ended with code {self.process.returncode}: {words[-600:]}")

    def _started(self, *options):
        """Try to start it; returns nothing once it answers, or what it said when it ended."""
        urgent = ["-R", "-P", "20"] if os.environ.get("AFX_JACK_REALTIME") else ["-r"]
        command = ["jackd", "-n", self.name, *urgent, "-d", "dummy", "-r", "48000", "-p", "128", *options]
        with tempfile.TemporaryFile("w+") as words:
            env = {**os.environ, **self.env}
            self.process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_us,
            )
            deadline = time.monotonic() + 10
            while not self.ports():
                if self.process.poll() is not None:
                    words.seek(0)
                    return words.read() or "nothing"
                assert time.monotonic() < deadline, "jackd does not answer"
                time.sleep(0.05)
        return ""

    def kill(self):
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        for left in Path("/dev/shm").glob(f"jack*{self.name}_*"):  # a server that was killed leaves its semaphores
            left.unlink(missing_ok=True)
        self._turn.close()

    def ports(self):
        return self.tool("jack_lsp").split()

    def connect(self, source, sink):
        """Make `source` the only thing that `sink` hears."""
        lines = self.tool("jack_lsp", "-c", sink).splitlines()
        for line in lines[1:]:
            self.tool("jack_disconnect", line.strip(), sink)
        self.tool("jack_connect", source, sink)
