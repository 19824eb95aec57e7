"""JACK clients that PortAudio cannot be asked for: before 19.7 it takes their names for regular expressions.

And it looks for them anywhere in the names of others: "system" is in "my system", too.
"""

import re
from collections.abc import Iterable

SPECIAL = frozenset(".^$*+?()[]{}|\\")
ESCAPES_NAMES = 0x130700
"""PortAudio's number for 19.7.0, which takes names as they are."""


def misread(name: str, channels: int, others: Iterable[str], version: int) -> str:
    """Say why a client cannot be used, with the way out; "" if PortAudio finds its ports and nobody else's.

    channels: how many PortAudio says that it has; others: all clients' names; version: PortAudio's number.
    """
    escapes = version >= ESCAPES_NAMES
    found = _found(re.escape(name) if escapes else name, others)
    strangers = [other for other in found if other != name]
    if not strangers and ((channels and found) or escapes):
        return ""
    special = "" if escapes else "".join(dict.fromkeys(c for c in name if c in SPECIAL))
    whose = f"the ports of {strangers[0]}" if strangers else "no ports"
    number = f"{version >> 16 & 255}.{version >> 8 & 255}"
    if special:
        return (
            f"has {' '.join(special)} in its name, which PortAudio {number} takes for a pattern, and so finds {whose}: "
            "rename it, choose the device under ALSA, or install PortAudio 19.7"
        )
    if not strangers:  # a name that means nothing but itself, and no port
        return ""
    return (
        f"is called as {strangers[0]} ends, and PortAudio {number} finds {whose}, too: rename one of them, or choose "
        "the device under ALSA"
    )


def _found(name: str, clients: Iterable[str]) -> list[str]:
    """Give the clients of which PortAudio would find ports under a name."""
    try:
        pattern = re.compile(f"{name}:.*")
    except re.error:
        return []
    return [client for client in dict.fromkeys(clients) if pattern.search(f"{client}:")]
