"""Names and a sender for attacks over OSC."""

import socket

from afx_live.realtime.osc.packets import datagrams
from support.osc_client import bundle, message
from support.waiting import until

PING = bundle(*[message("/afx/ping")] * 3)  # as nothing else here asks for it
PONG = next(datagrams([("/afx/ping", 0.0)] * 3, 1000))
OUTSIDE = (
    "../secret.wav",
    "../../etc/passwd",
    "/etc/passwd",
    "~/secret.wav",
    "~root",
    "link.wav",
    "away/secret.wav",
    "loop",
    ".",
    "..",
    "",
    "/",
    "a" * 300,
    "a/" * 2000,
    "\u2025/secret.wav",
    "\uff0e\uff0e\uff0fsecret.wav",
    "..\\secret.wav",
    "%2e%2e/secret.wav",
    "file:///etc/passwd",
    "pipe",
    "secret",
    "../secret",
    "../presets/../secret",
    "secret.json",
    "mine.json",
    "mine/",
    "./mine",
    "/dev/zero",
    "/proc/self/mem",
    "con",
    "nul:",
    "good.wav/..",
    "\u202e",
    "mine ",
    "good.wav/../../secret.wav",
)


class Attacker:
    """A socket that sends no faster than the server reads, so that nothing is lost and every fate is known."""

    def __init__(self, server, source="127.0.0.1"):
        self.server, self.sent, self.waiting = server, server.counters["packets"], 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.settimeout(5.0)

    def send(self, datagram):
        self.socket.sendto(datagram, ("127.0.0.1", self.server.address[1]))
        self.sent += 1
        self.waiting += len(datagram) + 1000
        if self.waiting > 100_000:
            self.settle()

    def settle(self):
        until(lambda: self.server.counters["packets"] == self.sent)
        self.waiting = 0

    def answers(self):
        """Ping, and give all datagrams that come before the answer."""
        self.send(PING)
        found = []
        while (answer := self.socket.recv(65536)) != PONG:
            found.append(answer)
        return found
