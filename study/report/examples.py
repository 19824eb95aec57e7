"""Examples to listen to, of the clips that come with the program: before, reference, truth, and answers."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from ... import presets
from ...training.recordings.recordings import Recording
from ..metrics.audio import matched
from ..pairs import generators
from ..pairs.case import Case
from ..systems import registry
from .tables import title

CLIPS = {"voice": "speech", "guitar": "instrument", "drums": "instrument"}
"""Dry clips of our own making (bench/make_clips.py), which we may ship; and what kind they are."""
CASES = (
    (Case(row="equaliser", kind="speech"), 1),
    (Case(row="compressor", kind="instrument"), 0),
    (Case(row="distortion", kind="instrument"), 2),
    (Case(row="reverb", kind="speech"), 3),
    (Case(row="all", mode="other", kind="instrument"), 4),
)
"""A case and which of its pairs."""
SYSTEMS = ("match_eq_50", "ad", "spsa", "np", "response", "ours", "ceiling")
SEED = 11
QUALITY = 0.5


def clips() -> list[Recording]:
    """List our own dry clips as recordings."""
    found = []
    for name, kind in CLIPS.items():
        path = presets.clip(name)
        info = soundfile.info(path)
        found.append(Recording(path, 0.0, info.duration, info.samplerate, info.channels, name, kind))
    return found


def render(models: Path, folder: Path, wanted: Sequence[str] = SYSTEMS) -> Path:
    """Render examples into a folder, with examples.json that lists them, and return that; who fails is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name in wanted:
        try:
            made[name] = registry.system(name, models)
        except FileNotFoundError:
            continue  # not trained
    listed = [_example(i, case, index, made, folder) for i, (case, index) in enumerate(CASES)]
    path = folder / "examples.json"
    path.write_text(json.dumps(listed, indent=1) + "\n")
    return path


def _example(number: int, case: Case, index: int, made: dict[str, registry.System], folder: Path) -> dict:
    pair = generators.draw_pair(case, clips(), index, SEED)
    sounds = {"before": pair.input, "reference": pair.reference, "truth (what it should become)": pair.answer}
    for name, system in made.items():
        try:
            sounds[title(name)] = system(pair).audio
        except Exception:  # counted as a failure in the rows; here there is nothing to hear
            continue
    files = []
    for label, x in sounds.items():
        name = f"{number}-{label.split(' (')[0].replace(' ', '-').replace('%', '').replace(',', '')}.ogg"
        level = matched(x, pair.sample_rate)
        level *= min(1.0, 0.98 / max(1e-9, float(np.abs(level).max())))
        write_ogg(folder / name, level, pair.sample_rate)
        files.append({"file": name, "label": label})
    about = f"f is {pair.about}. Reference from the {case.mode} recording. All at -23 LUFS: judge sound, not level."
    return {"title": f"{case.row.capitalize()}, {pair.recording}", "about": about, "sounds": files}


# --- Ogg --------------------------------------------------------------------------------------------


def write_ogg(path: Path, x: np.ndarray, sample_rate: int) -> None:
    """Write Ogg Vorbis whose bytes depend on the sound alone: libsndfile numbers a stream by chance."""
    soundfile.write(path, x, sample_rate, format="OGG", subtype="VORBIS", compression_level=1.0 - QUALITY)
    path.write_bytes(numbered(path.read_bytes(), 1))


def numbered(data: bytes, serial: int) -> bytes:
    """Give every page of an Ogg file a serial number, and the checksum that goes with it (RFC 3533, section 6)."""
    out, at = bytearray(data), 0
    while at < len(out):
        if out[at : at + 4] != b"OggS":
            raise ValueError(f"no Ogg page at byte {at}")
        segments = out[at + 26]
        end = at + 27 + segments + sum(out[at + 27 : at + 27 + segments])
        out[at + 14 : at + 18] = serial.to_bytes(4, "little")
        out[at + 22 : at + 26] = bytes(4)
        out[at + 22 : at + 26] = _crc(out[at:end]).to_bytes(4, "little")
        at = end
    return bytes(out)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
        table.append(crc & 0xFFFFFFFF)
    return table


_CRC = _table()


def _crc(data: bytes | bytearray) -> int:
    crc = 0
    for byte in data:
        crc = ((crc << 8) & 0xFFFFFFFF) ^ _CRC[(crc >> 24) ^ byte]
    return crc
