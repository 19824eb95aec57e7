"""Ardour without a screen: a session with a sound on a track and a plug-in behind it, exported from its command line.

`ardourN-lua` makes the session; it cannot import a sound, so the region is written into the session's file.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import soundfile

RATE = 48000
MAKE = """\
AudioEngine:set_backend("None (Dummy)", "", "")
local s = create_session("{folder}", "s", {rate})
local at = ARDOUR.PresentationInfo.max_order
local t = s:new_audio_track(2, 2, nil, 1, "take", at, ARDOUR.TrackMode.Normal, true):front()
local p = ARDOUR.LuaAPI.new_plugin(s, "{uri}", ARDOUR.PluginType.LV2, "{preset}")
assert(not p:isnil(), "Ardour does not find the plug-in")
assert(t:add_processor_by_index(p, 0, nil, true) == 0, "Ardour does not take the plug-in")
{more}
s:save_state("")
close_session()
quit()
"""
REGION = (
    '<Region name="take" opaque="1" whole-file="{whole}" start="a0" length="a{length}@a0" sync-position="a0" '
    'ancestral-start="a0" ancestral-length="a0@a0" stretch="1" shift="1" layering-index="0" envelope-active="0" '
    'fade-in-active="0" fade-out-active="0" scale-amplitude="1" id="{id}" type="audio" channels="2" '
    'source-0="90001" source-1="90002" master-source-0="90001" master-source-1="90002"/>'
)


def programs() -> list[str]:
    """The newest Ardour's programs for Lua and for exporting; none if it is not installed."""
    places = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    found = sorted(str(file) for place in places if place.is_dir() for file in place.glob("ardour*-lua"))
    exporters = [file.removesuffix("-lua") + "-export" for file in found]
    return next(([a, b] for a, b in zip(found[::-1], exporters[::-1], strict=True) if shutil.which(b)), [])


def play(x: np.ndarray, uri: str, lv2_path: str, folder: Path, preset: str = "") -> np.ndarray:
    """Export a sound (frames, 2) through the plug-in of a URI, at a preset of that label; float32, a second longer."""
    env, session = _make(uri, lv2_path, folder, preset), folder / "s"
    soundfile.write(session / "interchange" / "s" / "audiofiles" / "take.wav", x, RATE, subtype="FLOAT")
    file = session / "s.ardour"
    file.write_text(_with_region(file.read_text(), len(x)))
    _run([programs()[1], "-b", "float", "-o", str(folder / "out.wav"), str(session), "s"], env)
    return soundfile.read(folder / "out.wav", dtype="float32", always_2d=True)[0]


def save_preset(uri: str, lv2_path: str, folder: Path, preset: str, label: str) -> Path:
    """Have Ardour load a preset, and save what it then has as another; the bundle that it writes."""
    more = f'assert(p:to_insert():plugin(0):save_preset("{label}").valid, "Ardour saves no preset")'
    _make(uri, lv2_path, folder, preset, more)
    return next((folder / ".lv2").glob("*.lv2"))


def _make(uri: str, lv2_path: str, folder: Path, preset: str, more: str = "") -> dict[str, str]:
    """Make the session, and give the environment that its programs need."""
    env = {**os.environ, "LV2_PATH": lv2_path, "HOME": str(folder)}
    text = MAKE.format(folder=folder / "s", rate=RATE, uri=uri, preset=preset, more=more)
    (folder / "make.lua").write_text(text)
    _run([programs()[0], str(folder / "make.lua")], env)
    return env


def _run(words: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def _with_region(text: str, frames: int) -> str:
    clock = re.search(r'superclocks-per-second="(\d+)"', text)
    assert clock
    length = frames * int(clock[1]) // RATE
    source = '<Source id="{}" name="take.wav" type="audio" flags="" origin="" channel="{}" gain="1"/>'
    sources = source.format(90001, 0) + source.format(90002, 1)
    end = length + int(clock[1])
    session = f'<Location id="90010" name="session" start="a0" end="a{end}" flags="IsSessionRange"/>'
    region = REGION.format(whole=0, length=length, id=90004)
    for old, new in (
        (r"<Sources/>", f"<Sources>{sources}</Sources>"),
        (r"<Regions/>", f"<Regions>{REGION.format(whole=1, length=length, id=90003)}</Regions>"),
        (r'(<Playlist [^>]*name="take"[^>]*)/>', rf"\1>{region}</Playlist>"),
        (r"<Locations/>", f"<Locations>{session}</Locations>"),
        (r'id-counter="\d+"', 'id-counter="90100"'),
    ):
        text, count = re.subn(old, new, text, count=1)
        assert count == 1, f"Ardour writes no {old} any more"
    return text
