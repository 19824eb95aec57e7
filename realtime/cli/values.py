"""Values on the command line, read by argparse: what is wrong is said with what is allowed."""

import argparse
import math
from collections.abc import Callable

from ..osc import HOST, PORT


def amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not in 0..1{_as_share(text)}")
    return value


def names(text: str) -> list[str]:
    found = [name for part in text.split(",") if (name := part.strip())]
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing; give names with commas between: compressor,reverb")
    return found


def _as_share(text: str) -> str:
    """Suggest the number for a percentage."""
    share = text.removesuffix("%").strip().replace(",", ".", 1)
    plain = share.replace(".", "", 1).isdecimal()
    return f": {text} is {float(share) / 100:g}" if plain and text.endswith("%") else ", like 0.5"


def above(low: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above {low:g}")
        return value

    return number


def frames(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames")
    return int(text)


def latency(text: str) -> float | str:
    return text if text in ("low", "high") else above(0.0)(text)


def device(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def channels(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) not in (1, 2) or min(found, default=0) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one or two channel numbers, counted from 1: 2 or 1,2")
    return found


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def lufs(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -60.0 <= value <= 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no loudness: -60 to 0 LUFS, like -16")
    return value


def shard(text: str) -> tuple[int, int]:
    i, _, n = text.partition("/")
    if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N, like 2/8: 1/8 to 8/8")
    return int(i), int(n)


def port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def host_port(text: str) -> tuple[str, int] | None:
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if ":" in host:
        raise argparse.ArgumentTypeError(f"{text!r} is IPv6, which is not received; write {HOST}:{port or PORT}")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT or off")
    return host or HOST, int(port)


def host_port_only(text: str) -> tuple[str, int]:
    found = host_port(text)
    if found is None or ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, like 127.0.0.1:9000")
    return found
