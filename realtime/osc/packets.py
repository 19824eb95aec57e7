"""OSC datagrams: checked first, decoded by python-osc only then.

One hostile datagram of 20 bytes makes python-osc loop for ever (a bundle element of negative size),
a nested one makes it recurse, a string that is not UTF-8 makes it raise what it does not promise.
So `check` walks a datagram without recursion and refuses everything python-osc could stumble over,
and everything this program has no use for: blobs, arrays, address patterns.
"""

import math
import re
import struct
from collections.abc import Sequence

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket, TimedMessage

MAX_SIZE = 8192  # bytes in a datagram
MAX_DEPTH = 4  # bundles in bundles
MAX_MESSAGES = 64  # in a datagram
MAX_ARGUMENTS = 16  # in a message; every address takes one, a few more are only useless
MAX_TEXT = 48  # bytes of text in a reply: twice a request and 64 bytes always hold it

BUNDLE = b"#bundle\0"
# No spaces, no control characters, nothing above ASCII, and no `*?[]{}`: addresses are looked up,
# never matched, as matching a row of stars costs seconds.
ADDRESS = re.compile(rb"/[^\x00-\x20\x7f-\xff*?\[\]{}]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
NUMBERS = {ord(tag): struct.Struct(code) for tag, code in {"i": ">i", "f": ">f", "d": ">d", "h": ">q"}.items()}
TEXT = ord("s")
TRUTH = frozenset(b"TF")  # N (nil) and I (impulse) carry no value to set: refused with the rest


class BadPacket(ValueError):
    """A datagram that is not fit to be decoded; the text says why."""


def check(datagram: bytes) -> None:
    """Return if the datagram is safe to decode; raise BadPacket with the reason if it is not."""
    _require(0 < len(datagram) <= MAX_SIZE, "{} bytes; 4 to {} are taken", len(datagram), MAX_SIZE)
    _require(len(datagram) % 4 == 0, "{} bytes; OSC comes in multiples of 4", len(datagram))
    messages = 0
    todo = [(0, len(datagram), 1)]
    while todo:
        start, stop, depth = todo.pop()
        if datagram.startswith(BUNDLE, start, stop):
            _require(depth <= MAX_DEPTH, "bundles nested deeper than {}", MAX_DEPTH)
            todo += [(*element, depth + 1) for element in _elements(datagram, start, stop)]
        else:
            messages += 1
            _require(messages <= MAX_MESSAGES, "more than {} messages", MAX_MESSAGES)
            _check_message(datagram[start:stop])


def decode(datagram: bytes) -> list[TimedMessage]:
    """Give the messages of a datagram that `check` let pass: (`time` in s since 1970, `message`)."""
    return OscPacket(datagram).messages


def encode(replies: Sequence[tuple[str, float | str]], limit: int) -> bytes:
    """Write (address, value) pairs as one datagram of at most `limit` bytes; what does not fit stays out.

    One pair becomes a plain message, more become a bundle. Numbers and switches are float32, the one
    type every controller learns; text is cut at MAX_TEXT bytes. Nothing that fits: empty bytes.
    """
    messages = [_message(address, value) for address, value in replies]
    if len(messages) == 1:
        return messages[0].dgram if messages[0].size <= limit else b""
    bundle, size = OscBundleBuilder(IMMEDIATELY), 16
    for message in messages:
        size += 4 + message.size
        if size > limit:
            break
        bundle.add_content(message)  # pyright: ignore[reportArgumentType] (it takes messages, its hint says bundles)
    built = bundle.build()
    return built.dgram if built.num_contents else b""


def _message(address: str, value: float | str) -> OscMessage:
    builder = OscMessageBuilder(address)
    if isinstance(value, str):
        builder.add_arg(_cut(value), OscMessageBuilder.ARG_TYPE_STRING)
    else:
        builder.add_arg(float(value), OscMessageBuilder.ARG_TYPE_FLOAT)
    return builder.build()


def _cut(text: str) -> str:
    """Leave out what OSC can not carry (a zero ends a string), and shorten to MAX_TEXT bytes of UTF-8."""
    data = CONTROL.sub("", text).encode("utf-8", "replace")
    if len(data) <= MAX_TEXT:
        return data.decode()
    return data[: MAX_TEXT - 3].decode("utf-8", "ignore") + "…"


def _require(condition: bool, reason: str, *values: object) -> None:
    if not condition:
        raise BadPacket(reason.format(*values))


def _elements(datagram: bytes, start: int, stop: int) -> list[tuple[int, int]]:
    """Where a bundle's elements begin and end."""
    _require(stop - start >= 16, "a bundle without a time tag")
    found = []
    at = start + 16
    while at < stop:
        # Sizes are multiples of 4 all the way down, so these 4 bytes are always there.
        (size,) = struct.unpack_from(">i", datagram, at)
        at += 4
        _require(size > 0 and size % 4 == 0, "a bundle element of {} bytes", size)
        _require(size <= stop - at, "a bundle element of {} bytes where {} are left", size, stop - at)
        found.append((at, at + size))
        at += size
    return found


def _check_message(message: bytes) -> None:
    address, at = _string(message, 0)
    _require(ADDRESS.fullmatch(address) is not None, "address {!r} is not a plain one", address[:64])
    if at == len(message):
        return  # old senders leave the type tags out when there is no argument
    tags, at = _string(message, at)
    _require(tags[:1] == b",", "type tags without a comma")
    _require(len(tags) <= 1 + MAX_ARGUMENTS, "more than {} arguments", MAX_ARGUMENTS)
    for tag in tags[1:]:
        at = _check_argument(message, at, tag)
    _require(at == len(message), "{} bytes after the last argument", len(message) - at)


def _check_argument(message: bytes, at: int, tag: int) -> int:
    """Check one argument and return where the next begins."""
    if tag in NUMBERS:
        number = NUMBERS[tag]
        _require(at + number.size <= len(message), "argument {!r} is cut off", chr(tag))
        _require(math.isfinite(number.unpack_from(message, at)[0]), "a number that is not finite")
        return at + number.size
    if tag == TEXT:
        data, at = _string(message, at)
        _check_text(data)
        return at
    _require(tag in TRUTH, "type tag {!r}; i f d h s T F are taken", chr(tag))
    return at


def _check_text(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadPacket(f"text that is not UTF-8: {error.reason}") from None
    _require(CONTROL.search(text) is None, "control characters in text")


def _string(message: bytes, at: int) -> tuple[bytes, int]:
    """Read a zero-terminated string padded to 4 bytes; return it and where the next thing begins."""
    end = message.find(b"\0", at)
    _require(end >= 0, "a string without an end")
    after = (end // 4 + 1) * 4
    _require(not any(message[end:after]), "a string padded with something else than zeros")
    return message[at:end], after
