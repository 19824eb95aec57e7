"""A session without an engine or a model: it keeps its state, and notes what is asked of it, by OSC address."""

import threading
from types import SimpleNamespace
from typing import Any

from afx_live.chain import ChainSettings
from afx_live.effects import names
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.session.state import SessionState

CONTROLS = {a.target: a.control for a in addresses() if a.control}
TARGETS = {control: target for target, control in CONTROLS.items()}


class FakeSession:
    """A session with every effect there is. `hold` keeps `apply` from coming back; 13 is a value that fails.

    `calls` has the values of each `apply`, `requests` each (address, text), `events` both in order.
    """

    def __init__(self):
        self.state = SessionState(ChainSettings.default(n for n in names() if n != "gain"))
        self.engine: Any = SimpleNamespace(sample_rate=48000.0, status={}, meters=Shared.create(None, 100.0).read)
        self.calls, self.requests, self.events = [], [], []
        self.hold = threading.Event()
        self.hold.set()

    def apply(self, values):
        if any(v == 13.0 for v in values.values()):
            raise RuntimeError("thirteen")
        self.calls.append({TARGETS[c]: v for c, v in values.items()})
        self.events.append(self.calls[-1])
        for control, value in values.items():
            self.state = control.write(self.state, value)
        self.hold.wait(5.0)

    def request(self, control, text):
        if text == "thirteen":
            raise RuntimeError("thirteen")
        self.requests.append((TARGETS[control], text))
        self.events.append(self.requests[-1])

    def read(self, path):
        return CONTROLS[path].read(self.state)

    def write(self, path, value):
        self.state = CONTROLS[path].write(self.state, value)
