"""Datagrams: what is refused, and what means the same to python-osc."""

import math
import random

import pytest
from pythonosc.osc_packet import OscPacket

from afx_live.realtime.osc.packets import BadPacket, decode, encode
from support.osc_client import (
    BAD,
    RATIO,
    bundle,
    message,
    mutate,
    ntp,
)


@pytest.mark.parametrize("name", BAD)
def test_bad_packets_are_refused(name):
    with pytest.raises(BadPacket):
        decode(BAD[name])


def test_what_is_decoded_means_the_same_to_python_osc():
    """Datagrams and their mutants, of which a part is still good."""
    rnd = random.Random(3)
    parts = [message(RATIO, "f", 2.0), message("/afx/reference", "s", "ß.wav"), message("/a", "hdTFi", 1, 2.0, 3)]
    good = [*parts, bundle(*parts), bundle(parts[0], bundle(*parts, tag=ntp(9)), bundle(bundle(parts[1])))]
    accepted, pool = 0, list(good)
    for n in range(20000):
        datagram = bytearray(rnd.choice(pool))
        for _ in range(rnd.choice((1, 1, 2, 4))):
            mutate(rnd, datagram, rnd.randrange(len(datagram)))
        datagram = rnd.randbytes(rnd.randrange(64)) if n % 20 == 0 else bytes(datagram)
        try:
            found = decode(datagram)
        except BadPacket:
            continue
        accepted += 1
        theirs = OscPacket(datagram).messages
        assert [(m.address, [*m.arguments]) for m in found] == [(t.message.address, t.message.params) for t in theirs]
        assert [m.time_s for m in found] == pytest.approx([t.time for t in theirs], abs=1.0)
        if len(datagram) < 1000:  # mutate mutants, too
            pool = [*good, *pool[len(good) :][-200:], datagram]
    assert accepted > 2000


@pytest.mark.parametrize("value", [0.5, -1e-30, 7, "Stimme.wav", "grün"])
def test_what_is_written_python_osc_reads(value):
    (found,) = OscPacket(encode("/afx/x", value)).messages
    assert found.message.address == "/afx/x"
    assert found.message.params == [pytest.approx(value) if isinstance(value, float) else value]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39])
def test_what_float32_cannot_hold_is_not_written(value):
    assert encode("/afx/x", value) == b""
