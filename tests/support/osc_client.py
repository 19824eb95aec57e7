"""OSC datagrams written out byte for byte, and a client."""

import socket
import struct
import time

NOW = struct.pack(">Q", 1)

RATIO, THRESHOLD = "/afx/compressor/ratio", "/afx/compressor/threshold_db"


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return data + b"\0" * (4 - len(data) % 4)


def message(path, tags=None, *values):
    """Write a message; `tags` None leaves even the comma out, as old senders do."""
    if tags is None:
        return text(path)
    codes = {"i": ">i", "f": ">f", "d": ">d", "h": ">q"}
    with_data = [tag for tag in tags if tag in "ifdhs"]
    data = [text(v) if tag == "s" else struct.pack(codes[tag], v) for tag, v in zip(with_data, values, strict=True)]
    return text(path) + text("," + tags) + b"".join(data)


def bundle(*elements, tag=NOW):
    return b"#bundle\0" + tag + b"".join(struct.pack(">i", len(e)) + e for e in elements)


def ntp(seconds_ahead):
    return struct.pack(">Q", int((time.time() + seconds_ahead + 2208988800) * 2**32))


def nested(depth):
    datagram = message("/afx/ping")
    for _ in range(depth):
        datagram = bundle(datagram)
    return datagram


class Client:
    """A UDP socket that talks to the server."""

    def __init__(self, server):
        self.server = server
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(3.0)

    def send(self, datagram):
        self.socket.sendto(datagram, ("127.0.0.1", self.server.address[1]))

    def ask(self, datagram):
        self.send(datagram)
        return self.socket.recv(65536)

    def sync(self):
        """Wait until the server has done everything sent so far: it works in order."""
        assert self.ask(message("/afx/ping")) == message("/afx/ping", "f", 0.0)


BAD = {
    "element of size -4": b"#bundle\0" + NOW + b"\xff\xff\xff\xfc",
    "element of size 0": b"#bundle\0" + NOW + b"\0\0\0\0",
    "element of size 6": b"#bundle\0" + NOW + b"\0\0\0\6" + b"/a\0\0\0\0\0\0",
    "element past the end": b"#bundle\0" + NOW + b"\0\0\0\x10" + b"/a\0\0",
    "element that is neither": bundle(b"abc\0"),
    "no time tag": b"#bundle\0",
    "1500 nested bundles": nested(1500),
    "400 nested bundles": nested(400),
    "5 nested bundles": nested(5),
    "a row of stars": message("/afx/compressor/" + "*" * 18 + "z"),
    "braces": message("/afx/{compressor,reverb}/bypass", "T"),
    "address not UTF-8": message(b"/afx/\xff\xfe"),
    "address with a space": message("/afx/a b"),
    "no slash": message("afx"),
    "no bytes": b"",
    "3 bytes": b"/a\0",
    "8196 bytes": message("/" + "a" * 8192),
    "65 messages": bundle(*[message("/a")] * 65),
    "address without an end": b"/afx",
    "address padded with junk": b"/a\0x",
    "tags without a comma": text("/a") + text("f") + b"\0\0\0\0",
    "number cut off": text("/a") + text(",d") + b"\0\0\0\0",
    "bytes left over": message("/a", "T") + b"\0\0\0\0",
    "17 arguments": message("/a", "T" * 17),
    "not a number": message("/a", "f", float("nan")),
    "infinity": message("/a", "d", float("inf")),
    "text not UTF-8": message("/a", "s", b"\xc3("),
    "text with a line feed": message("/a", "s", "a\nb"),
    "text without an end": text("/a") + text(",s") + b"abcd",
    "blob": text("/a") + text(",b") + b"\0\0\0\4abcd",
    "blob of size -4": text("/a") + text(",b") + b"\xff\xff\xff\xfc",
    "7000 brackets": text("/a") + text("," + "[" * 7000),
    "nil": message("/a", "N"),
}


def mutate(rnd, datagram, at):
    kind = rnd.randrange(4)
    if kind == 0:
        datagram[at] ^= 1 << rnd.randrange(8)
    elif kind == 1:
        datagram[at & ~3 : (at & ~3) + 4] = rnd.choice(
            [b"\xff\xff\xff\xfc", b"\0\0\0\0", b"\0\0\0\4", b",T\0\0", b"/\0\0\0"]
        )
    elif kind == 2:
        datagram[at & ~3 : at & ~3] = rnd.choice([b"#bundle\0", b"\0\0\0\x10", b",f\0\0", b"\x7f\x80\0\0"])
    else:
        del datagram[at & ~3 :]
        datagram += bytes(4)
