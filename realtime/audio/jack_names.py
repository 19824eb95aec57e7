"""JACK clients that PortAudio cannot be asked for: before 19.7 it takes their names for regular expressions."""

import re
from collections.abc import Iterable

SPECIAL = frozenset(".^$*+?()[]{}|\\")
ESCAPES_NAMES = 0x130700
"""PortAudio's number for 19.7.0, which does not."""


def misread(name: str, channels: int, others: Iterable[str], version: int) -> str:
    """Say why a client cannot be used, with the way out; "" if PortAudio finds its ports and nobody else's.

    channels: how many PortAudio says that it has; others: all clients' names; version: PortAudio's number.
    """
    special = "".join(dict.fromkeys(c for c in name if c in SPECIAL))
    if version >= ESCAPES_NAMES or not special:
        return ""
    found = _found(name, others)
    if channels and found == [name]:
        return ""
    strangers = [other for other in found if other != name]
    whose = f"the ports of {strangers[0]}" if strangers else "no ports"
    number = f"{version >> 16 & 255}.{version >> 8 & 255}"
    return (
        f"has {' '.join(special)} in its name, which PortAudio {number} takes for a pattern, and so finds {whose}: "
        "rename it, choose the device under ALSA, or install PortAudio 19.7"
    )


def _found(name: str, clients: Iterable[str]) -> list[str]:
    """Give the clients of which PortAudio would find ports under a name."""
    try:
        pattern = re.compile(f"{name}:.*")
    except re.error:
        return []
    return [client for client in dict.fromkeys(clients) if pattern.search(f"{client}:")]
