"""Values that people type: what is wrong is said with what is meant."""

import argparse

import pytest

from afx_live.realtime.cli import values


@pytest.mark.parametrize(
    ("text", "words"),
    [("50%", "50% is 0.5"), ("12.5 %", "12.5 % is 0.125"), ("1.5", "is not in 0..1, like 0.5"), ("loud", "0..1")],
)
def test_an_amount_is_a_share(text, words):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        values.amount(text)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["[::1]:9123", "::1", "fe80::1:9000"])
def test_ipv6_is_told(text):
    for read in (values.host_port, values.host_port_only):
        with pytest.raises(argparse.ArgumentTypeError, match=r"is IPv6, which is not received; write 127\.0\.0\.1:\d+"):
            read(text)


def test_what_is_right_passes():
    assert values.amount("0.25") == 0.25
    assert values.host_port("0.0.0.0:9123") == ("0.0.0.0", 9123)
    assert values.host_port(":9000") == ("127.0.0.1", 9000)
    assert values.host_port("off") is None
