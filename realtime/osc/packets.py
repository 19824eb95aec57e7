"""OSC datagrams: checked and decoded in one pass, and written.

One hostile datagram of 20 bytes makes python-osc loop for ever (a bundle element of negative size),
a nested one makes it recurse, a string that is not UTF-8 makes it raise what it does not promise. So
`decode` is our own: it never recurses, and refuses everything this program has no use for (blobs, arrays,
address patterns). What is sent is written by python-osc.
"""

import math
import re
import struct
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from pythonosc.osc_message_builder import OscMessageBuilder

MAX_SIZE = 8192  # bytes in a datagram
MAX_DEPTH = 4  # bundles in bundles
MAX_MESSAGES = 64  # in a datagram
MAX_ARGUMENTS = 16  # in a message; every address takes one, a few more are only useless
MAX_TEXT = 48  # bytes of text in a reply: twice a request and 64 bytes always hold it

BUNDLE = b"#bundle\0"
IMMEDIATELY = b"\0\0\0\0\0\0\0\1"  # a time tag
NTP_EPOCH_S = 2208988800  # from 1900 to 1970
# No spaces, no control characters, nothing above ASCII, and no `*?[]{}`: addresses are looked up,
# never matched, as matching a row of stars costs seconds.
ADDRESS = re.compile(rb"/[^\x00-\x20\x7f-\xff*?\[\]{}]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
NUMBERS = {ord(tag): struct.Struct(code) for tag, code in {"i": ">i", "f": ">f", "d": ">d", "h": ">q"}.items()}
TEXT = ord("s")
TRUTH = {ord("T"): True, ord("F"): False}  # N (nil) is refused with the rest
MAX_FLOAT = 3.4e38

Argument = int | float | bool | str


class BadPacket(ValueError):
    """A datagram that is refused; the text says why."""


class Message(NamedTuple):
    """One message: its address, its arguments, and when it is due, in s since 1970."""

    address: str
    arguments: tuple[Argument, ...]
    time_s: float


# --- reading ----------------------------------------------------------------------------------------


def decode(datagram: bytes) -> list[Message]:
    """Give the messages of a datagram, by the time they are due. Raises BadPacket.

    Time tags that are immediate or in the past count as now.
    """
    _require(0 < len(datagram) <= MAX_SIZE, "{} bytes; 4 to {} are taken", len(datagram), MAX_SIZE)
    _require(len(datagram) % 4 == 0, "{} bytes; OSC comes in multiples of 4", len(datagram))
    now = time.time()
    found: list[Message] = []
    todo = [(0, len(datagram), 1, now)]
    while todo:
        start, stop, depth, due = todo.pop()
        if datagram.startswith(BUNDLE, start, stop):
            _require(depth <= MAX_DEPTH, "bundles nested deeper than {}", MAX_DEPTH)
            _require(stop - start >= 16, "a bundle without a time tag")
            due = max(_seconds(datagram[start + 8 : start + 16]), now)
            elements = _elements(datagram, start + 16, stop)
            todo += [(*element, depth + 1, due) for element in reversed(elements)]
        else:
            _require(len(found) < MAX_MESSAGES, "more than {} messages", MAX_MESSAGES)
            found.append(_message(datagram[start:stop], due))
    return sorted(found, key=lambda message: message.time_s)


def _seconds(time_tag: bytes) -> float:
    return 0.0 if time_tag == IMMEDIATELY else int.from_bytes(time_tag, "big") / 2**32 - NTP_EPOCH_S


def _elements(datagram: bytes, at: int, stop: int) -> list[tuple[int, int]]:
    """Find where a bundle's elements begin and end."""
    found = []
    while at < stop:
        # Sizes are multiples of 4 all the way down, so these 4 bytes are always there.
        (size,) = struct.unpack_from(">i", datagram, at)
        at += 4
        _require(size > 0 and size % 4 == 0, "a bundle element of {} bytes", size)
        _require(size <= stop - at, "a bundle element of {} bytes where {} are left", size, stop - at)
        found.append((at, at + size))
        at += size
    return found


def _message(data: bytes, due: float) -> Message:
    address, at = _string(data, 0)
    _require(ADDRESS.fullmatch(address) is not None, "address {!r} is not a plain one", address[:64])
    arguments = []
    if at < len(data):  # old senders leave the type tags out when there is no argument
        tags, at = _string(data, at)
        _require(tags[:1] == b",", "type tags without a comma")
        _require(len(tags) <= 1 + MAX_ARGUMENTS, "more than {} arguments", MAX_ARGUMENTS)
        for tag in tags[1:].replace(b"I", b""):  # an impulse carries no value: it is as if nothing were there
            argument, at = _argument(data, at, tag)
            arguments.append(argument)
        _require(at == len(data), "{} bytes after the last argument", len(data) - at)
    return Message(address.decode(), tuple(arguments), due)


def _argument(data: bytes, at: int, tag: int) -> tuple[Argument, int]:
    """Read one argument; returns it and where the next begins."""
    if tag in NUMBERS:
        number = NUMBERS[tag]
        _require(at + number.size <= len(data), "argument {!r} is cut off", chr(tag))
        (value,) = number.unpack_from(data, at)
        _require(math.isfinite(value), "a number that is not finite")
        return value, at + number.size
    if tag == TEXT:
        raw, at = _string(data, at)
        return _text(raw), at
    _require(tag in TRUTH, "type tag {!r}; i f d h s T F I are taken", chr(tag))
    return TRUTH[tag], at


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadPacket(f"text that is not UTF-8: {error.reason}") from None
    _require(CONTROL.search(text) is None, "control characters in text")
    return text


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a zero-terminated string padded to 4 bytes; returns it and where the next thing begins."""
    end = data.find(b"\0", at)
    _require(end >= 0, "a string without an end")
    after = (end // 4 + 1) * 4
    _require(not any(data[end:after]), "a string that is not padded with zeros")
    return data[at:end], after


def _require(condition: bool, reason: str, *values: object) -> None:
    if not condition:
        raise BadPacket(reason.format(*values))


# --- writing ----------------------------------------------------------------------------------------


def encode(address: str, value: float | str, longest: int = MAX_TEXT) -> bytes:
    """Write a message with one argument; nothing (no bytes) for a number that float32 cannot hold.

    An int is sent as int32. Other numbers and switches are float32, the one type that every controller
    learns. Text is cut at `longest` bytes.
    """
    if isinstance(value, str):
        return _built(address, OscMessageBuilder.ARG_TYPE_STRING, _cut(value, longest))
    if isinstance(value, int) and not isinstance(value, bool):
        return _head(address, OscMessageBuilder.ARG_TYPE_INT) + struct.pack(">i", value)
    if abs(value) < MAX_FLOAT:
        return _head(address, OscMessageBuilder.ARG_TYPE_FLOAT) + struct.pack(">f", value)
    return b""


@lru_cache(1024)
def _head(address: str, tag: str) -> bytes:
    """Write all of a message but its number: meters and faders send the same address a thousand times."""
    return _built(address, tag, 0)[:-4]


def _built(address: str, tag: str, value: float | str) -> bytes:
    builder = OscMessageBuilder(address)
    builder.add_arg(value, tag)
    return builder.build().dgram


def datagrams(values: Iterable[tuple[str, float | str]], limit: int, longest: int = MAX_TEXT) -> Iterator[bytes]:
    """Write (address, value) pairs as datagrams of at most `limit` bytes: bundles, or a message that is alone.

    What does not fit into a datagram of its own is left out. Texts are cut at `longest` bytes.
    """
    bundle, size = [], 16
    for message in (encode(*pair, longest) for pair in values):
        if not 0 < len(message) <= limit:
            continue
        if bundle and size + 4 + len(message) > limit:
            yield _bundled(bundle)
            bundle, size = [], 16
        bundle.append(message)
        size += 4 + len(message)
    if bundle:
        yield _bundled(bundle)


def _bundled(messages: list[bytes]) -> bytes:
    if len(messages) == 1:
        return messages[0]
    return BUNDLE + IMMEDIATELY + b"".join(struct.pack(">i", len(m)) + m for m in messages)


def _cut(text: str, longest: int) -> str:
    """Leave out what OSC cannot carry (a zero ends a string), and shorten to `longest` bytes of UTF-8."""
    data = CONTROL.sub("", text).encode("utf-8", "replace")
    if len(data) <= longest:
        return data.decode()
    return data[: longest - 3].decode("utf-8", "ignore") + "…"
