"""A terminal of our own, and the view's process on it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager

from afx_live.realtime.view import terminal as watch
from afx_live.realtime.view.console import Console
from support.view import NARROW


class Pty:
    """A terminal of our own, which remembers all that was written to it."""

    def __init__(self, size=NARROW):
        self.master, self.slave = pty.openpty()
        self.data = bytearray()
        self.resize(*size)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                self.data += os.read(self.master, 65536)
            except OSError:  # closed
                return

    def resize(self, width, height):
        self.size = width, height
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def text(self):
        return self.data.decode(errors="replace")

    def screen(self, after=0):
        """Give the lines that the last full picture and what came after it leave; nothing may lie outside."""
        width, height = self.size
        cells = [[" "] * width for _ in range(height)]
        written = self.text()[after:]
        drawn = written[written.rfind(watch.CLEAR) :]
        for row, column, text in re.findall(r"\x1b\[(\d+);(\d+)H((?:[^\x1b]|\x1b\[[\d;]*m)*)", drawn):
            plain = re.sub(r"\x1b\[[\d;]*m", "", text)
            for i, c in enumerate(plain):
                cells[int(row) - 1][int(column) - 1 + i] = c
        return ["".join(row) for row in cells]

    def close(self):
        os.close(self.slave)
        os.close(self.master)


def start(terminal, folder, **env):
    words = [sys.executable, "-m", "afx_live.realtime.view.terminal", str(folder)]
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM")} | {"TERM": "xterm-256color"} | env
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=terminal.slave, stderr=subprocess.PIPE, env=env)


def let_go(child):
    """Close its standard input, as afx-live does when it ends, or is killed."""
    child.stdin.close()


def cpu_s(pid):
    """Give the processor time of a process with one thread."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) * 1e-9


@contextmanager
def speaking(terminal, monkeypatch):
    """Have the terminal as standard error, and a voice on it."""
    with os.fdopen(os.dup(terminal.slave), "w", encoding="utf-8") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", file)
        patch.setenv("TERM", "xterm-256color")
        with Console() as voice:
            yield voice
