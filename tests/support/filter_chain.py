"""A PipeWire server of our own, without a session or a sound card, that plays a file through a filter-chain."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import soundfile

PROGRAMS = ("dbus-run-session", "pipewire", "wireplumber", "pw-record", "pw-play", "pw-link")


def missing():
    """Name a program that is not there, or give an empty string."""
    return next((name for name in PROGRAMS if not shutil.which(name)), "")


class PipeWire:
    """Servers that know one drop-in configuration, in a folder; `play` sends a sound through its sink."""

    def __init__(self, folder: Path, environment=None):
        self.run, self.configuration = folder / "run", folder / "config/pipewire/pipewire.conf.d"
        self.run.mkdir(mode=0o700)
        self.configuration.mkdir(parents=True)
        self.folder = folder
        self.env = {**os.environ, **(environment or {}), "XDG_RUNTIME_DIR": str(self.run)}
        self.env |= {"XDG_CONFIG_HOME": str(folder / "config"), "PIPEWIRE_DEBUG": "0"}
        self._session = None

    def __enter__(self):
        script = "pipewire & P=$!; sleep 1; wireplumber & W=$!; read -r _; kill $W $P; wait"
        self._session = subprocess.Popen(
            ["dbus-run-session", "bash", "-c", script],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_):
        session = self._session
        assert session
        session.communicate(b"\n", timeout=20)

    def _wait_for(self, port):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found = subprocess.run(["pw-link", "-io"], capture_output=True, text=True, env=self.env)
            if port in found.stdout:
                return
            time.sleep(0.2)
        raise TimeoutError(f"PipeWire shows no {port}")

    def play(self, name, x, rate):
        """Play a sound into `effect_input.NAME` and record `effect_output.NAME`; returns (frames, 2)."""
        soundfile.write(self.folder / "in.wav", x, rate, subtype="FLOAT")
        self._wait_for(f"effect_input.{name}:playback_FR")
        words = [
            "pw-record",
            "--target",
            f"effect_output.{name}",
            "--rate",
            str(rate),
            "--channels",
            "2",
            "--format",
            "f32",
        ]
        recorder = subprocess.Popen([*words, self.folder / "out.wav"], env=self.env)
        self._wait_for("pw-record:input_FR")
        time.sleep(0.5)
        words = ["pw-play", "--target", f"effect_input.{name}", self.folder / "in.wav"]
        subprocess.run(words, env=self.env, check=True, timeout=60)
        time.sleep(0.5)
        recorder.send_signal(signal.SIGINT)
        recorder.wait(20)
        return soundfile.read(self.folder / "out.wav", always_2d=True)[0]
