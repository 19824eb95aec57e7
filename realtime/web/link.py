"""Messages between afx-live and the process that serves its page, over that process' standard input and output.

A message is a JSON object and some bytes: both lengths as 32-bit big-endian numbers, then both. JSON and
not pickle: what the network has got into its hands must not run anything in here.
"""

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

HEAD = struct.Struct(">II")
MAX_JSON, MAX_DATA = 1 << 22, 1 << 26
"""Bytes of a message's two parts, at most."""

Message = tuple[dict[str, Any], bytes]


class BrokenLink(ValueError):
    """What came is no message."""


def pack(message: Mapping[str, Any], data: bytes = b"") -> bytes:
    """Write a message. Raises ValueError for NaN or Inf, BrokenLink for more than a message holds."""
    text = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_JSON or len(data) > MAX_DATA:
        raise BrokenLink(f"{len(text)} and {len(data)} bytes are more than {MAX_JSON} and {MAX_DATA}")
    return HEAD.pack(len(text), len(data)) + text + data


def read(file: IO[bytes]) -> Message | None:
    """Read the next message; None at the end. Raises BrokenLink."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    size, more = HEAD.unpack(head)
    if size > MAX_JSON or more > MAX_DATA:
        raise BrokenLink(f"{size} and {more} bytes are no message's")
    text, data = file.read(size), file.read(more)
    if len(text) < size or len(data) < more:
        return None
    try:
        message = json.loads(text)
    except ValueError:
        raise BrokenLink("not JSON") from None
    if not isinstance(message, dict):
        raise BrokenLink("not a JSON object")
    return message, data
