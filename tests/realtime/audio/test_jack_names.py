"""Devices whose names PortAudio takes for patterns: told with the way out, never a stranger's ports."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from afx_live.realtime.audio import devices
from afx_live.realtime.audio.devices import Device, DeviceError, Listing, choose, choose_pair
from afx_live.realtime.audio.jack_names import misread
from afx_live.realtime.cli.devices import table

OLD, NEW = 0x130600, 0x130700


@pytest.mark.parametrize("name", ["Speaker + Headphones", "Scarlett 2i2 (2nd gen)", "a[b", "c{d", "^up", "down$"])
def test_a_pattern_that_finds_no_ports_is_told_with_the_way_out(name):
    why = misread(name, 0, [name, "system"], OLD)
    assert "PortAudio 19.6 takes for a pattern, and so finds no ports" in why
    assert "rename it" in why
    assert misread(name, 2, [name, "system"], NEW) == ""


@pytest.mark.parametrize(("name", "stranger"), [("a.c", "abc"), ("amp|mic", "mic"), ("colou?r", "color"), ("x*", "y")])
def test_one_that_finds_a_strangers_ports_is_not_used(name, stranger):
    assert f"finds the ports of {stranger}" in misread(name, 4, [name, stranger], OLD)


def test_one_that_finds_its_own_is_used():
    assert misread("USB 2.0 Mic", 2, ["USB 2.0 Mic", "system"], OLD) == ""
    assert misread("Scarlett 2i2", 2, ["Scarlett 2i2", "system"], OLD) == ""


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_name_at_the_end_of_a_strangers_is_not_used(version):
    why = misread("system", 4, ["system", "my system"], version)
    assert "finds the ports of my system, too: rename one of them" in why
    for other in ("system 2", "systems", "System", "my system "):
        assert misread("system", 2, ["system", other], version) == ""
    assert misread("my system", 2, ["system", "my system"], version) == ""


PLAIN = Device(0, "system", "JACK", 2, 2, 48000.0, 0.01, 0.01, (48000,))
ODD = replace(PLAIN, number=1, name="Scarlett (2nd)", inputs=0, outputs=0, rates=(), trouble="has ( ) in its name …")
FOUND = Listing((PLAIN, ODD), {"JACK": (1, 1)})


def test_it_is_never_chosen_and_the_choice_says_why():
    assert choose_pair(FOUND, None, None) == (PLAIN, PLAIN)
    for want in (1, "1", "scarlett"):
        with pytest.raises(DeviceError, match=r"E312 1 Scarlett \(2nd\) \(JACK\) has \( \) in its name"):
            choose(FOUND, "input", want)
    with pytest.raises(DeviceError, match="E312"):
        choose(Listing((ODD,), {"JACK": (0, 0)}), "output", None)
    assert "not usable: 1 Scarlett (2nd) (JACK) has ( ) in its name" in table(FOUND)


CLIENT = """
import ctypes, ctypes.util, sys
jack = ctypes.CDLL(ctypes.util.find_library('jack'))
jack.jack_client_open.restype = ctypes.c_void_p
jack.jack_port_register.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong]
jack.jack_activate.argtypes = [ctypes.c_void_p]
for name in sys.argv[1:]:
    client = jack.jack_client_open(name.encode(), 1, ctypes.byref(ctypes.c_int()))
    for flags, port in ((2, b'capture_1'), (1, b'playback_1')):
        jack.jack_port_register(client, port, b'32 bit float mono audio', flags, 0)
    jack.jack_activate(client)
print('ready', flush=True)
sys.stdin.read()
"""


@pytest.mark.jack
@pytest.mark.slow
def test_over_jack(jack):
    names = ["Scarlett 2i2 (2nd gen)", "Speaker + Headphones", "a.c", "abc", "USB 2.0", "other USB 2.0"]
    env = {**os.environ, **jack.env}
    words = [sys.executable, "-c", CLIENT, *names]
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout
        assert client.stdin
        assert client.stdout.readline() == "ready\n"
        found = {d.name: d for d in devices.query(jack.env).devices}
        client.stdin.close()
    assert set(names) <= set(found)
    for name in ("abc", "other USB 2.0", "system"):
        assert found[name].trouble == ""
        assert found[name].inputs >= 1
    assert found["USB 2.0"].inputs == 2  # one of them a stranger's
    assert "finds the ports of other USB 2.0" in found["USB 2.0"].trouble
    if found["a.c"].trouble:  # PortAudio before 19.7
        assert "finds the ports of abc" in found["a.c"].trouble
        assert all("takes for a pattern" in found[name].trouble for name in names[:2])
    else:
        assert all(found[name].inputs == 1 for name in names[:4])
