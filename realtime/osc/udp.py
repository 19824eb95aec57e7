"""The UDP socket under OSC: where it listens, who a peer is, and the errors of a port that is taken."""

import errno
import ipaddress
import socket
import struct
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any

_SO_MEMINFO, _DROPS = 55, struct.Struct("9I")  # Linux, since 4.12; the last of nine numbers is what was dropped


class PortError(OSError):
    """The UDP port cannot be opened; the text says which, why, and what to do."""

    exit_code = 6


class PortBusy(PortError):
    """Another program has the UDP port."""


@lru_cache(256)
def peer_name(text: str) -> str:
    """Write an IP address in the one form that is compared. Raises ValueError."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"OSC: {text!r} is not an IP address, like 192.168.1.20") from None
    return str(getattr(ip, "ipv4_mapped", None) or ip)


@lru_cache(256)
def is_local(text: str) -> bool:
    """Tell whether an IP address is this computer's own loop-back."""
    return ipaddress.ip_address(peer_name(text)).is_loopback


def resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Give the family and the socket address of a host and port. Raises ValueError if there is no such host."""
    if not 0 <= port <= 65535:
        raise ValueError(f"OSC: port {port} is not in 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"OSC: {host!r} is not the name or address of a machine") from None
    # `localhost` is both; nearly everything that speaks OSC sends to 127.0.0.1.
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, where


def bind(family: socket.AddressFamily, where: Any, host: str, port: int) -> socket.socket:
    """Open a socket there. Raises PortBusy or PortError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # bursts wait in the kernel
    try:
        sock.bind(where)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            text = f"UDP port {port} on {host} is in use by another program, perhaps another afx-live."
            raise PortBusy(f"{text} Use --osc {host}:{port % 65535 + 1} or --osc off.") from None
        text = f"UDP port {port} on {host} cannot be opened: {error.strerror}."
        raise PortError(f"{text} Use --osc HOST:PORT or --osc off.") from None
    return sock


def outlet(listening: socket.socket, family: socket.AddressFamily, where: Any) -> socket.socket:
    """Give a socket that reaches a place: the one we listen on, unless it is of another family or kept to loop-back."""
    if family == listening.family and (is_local(where[0]) or not is_local(listening.getsockname()[0])):
        return listening
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def lost(sock: socket.socket) -> int:
    """Count the datagrams lost to a full socket buffer; 0 where the system does not say."""
    with suppress(OSError, struct.error):
        if sys.platform == "linux":
            return _DROPS.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.size))[-1]
    return 0
