"""Audio devices: listed, chosen by number or words, and refused with a reason."""

import os

import pytest

from afx_live.realtime.audio import devices
from afx_live.realtime.audio.devices import Device, DeviceError, Listing
from afx_live.realtime.cli.devices import table

RATE = 48000


@pytest.mark.jack
@pytest.mark.slow
def test_devices_are_listed(jack):
    found = devices.query(jack.env, rates=True)
    assert [(d.name, d.api, d.inputs, d.outputs, d.rates) for d in found.devices] == [("system", "JACK", 2, 2, (RATE,))]
    assert "default input and output" in table(found)


def device(number, name, api="ALSA", inputs=2, outputs=2):
    return Device(number, name, api, inputs, outputs, 48000.0, 0.004, 0.004, (44100, 48000))


FOUND = Listing(
    (
        device(0, "HDMI 0", inputs=0),
        device(1, "Scarlett 2i2 USB"),
        device(2, "USB Mic", outputs=0),
        device(3, "Scarlett 2i2 USB", "JACK"),
    ),
    {"OSS": (-1, -1), "ALSA": (2, 0), "JACK": (3, 3)},
)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ((None, None), (2, 0)),
        (("scarlett", None), (1, 0)),
        (("Scarlett jack", None), (3, 3)),
        ((None, "scarlett"), (2, 1)),
        ((2, "1"), (2, 1)),
        (("scarlett", "scarlett", "jack"), (3, 3)),
    ],
)
def test_devices_are_chosen_by_number_or_words(wanted, numbers):
    assert tuple(d.number for d in devices.choose_pair(FOUND, *wanted)) == numbers


@pytest.mark.parametrize(
    ("wanted", "code", "text"),
    [
        (("usb", None), "E302", "2 inputs: 1 Scarlett 2i2 USB (ALSA), 2 USB Mic (ALSA). Use -i 1"),
        (("hdmi", None), "E303", "There are: 1 Scarlett"),
        ((0, None), "E303", "0 HDMI 0 (ALSA) has no input"),
        ((4, None), "E303", "0 to 3"),
        ((1, 3), "E308", "same host API"),
        ((None, None, "coreaudio"), "E303", "there are OSS, ALSA, JACK"),
    ],
)
def test_a_choice_that_fails_says_why(wanted, code, text):
    with pytest.raises(DeviceError, match=code) as error:
        devices.choose_pair(FOUND, *wanted)
    assert text in error.value.message


def test_no_device_at_all_says_what_was_looked_at():
    with pytest.raises(DeviceError, match=r"E301 No audio device found. Looked at: ALSA, OSS. Try: .*demo"):
        devices.choose_pair(Listing((), {"ALSA": (-1, -1), "OSS": (-1, -1)}), None, None)


def test_missing_portaudio_says_what_to_install(tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with pytest.raises(DeviceError, match=r"E300 .*libportaudio2"):
        devices.query({"PYTHONPATH": path})
