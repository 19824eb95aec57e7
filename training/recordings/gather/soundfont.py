"""SoundFonts: their recorded instruments played as phrases, their kits as grooves, dry.

The little of SoundFont 2.04 (E-mu Systems, 2006) that this needs: presets, zones, loops, release.
"""

import math
import random
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .excerpts import PIECE_S, Excerpt, faded, in_turn
from .packages import Source
from .phrases import groove, phrase, played

RATE = 44100
GENERAL_MIDI = {  # program: (name, style, lowest key, highest key)
    0: ("grand piano", "chords", 40, 84), 6: ("harpsichord", "chords", 40, 80),
    9: ("glockenspiel", "melody", 72, 96), 11: ("vibraphone", "chords", 53, 84), 12: ("marimba", "melody", 48, 84),
    13: ("xylophone", "melody", 65, 96), 19: ("church organ", "chords", 40, 76), 21: ("accordion", "chords", 50, 79),
    22: ("harmonica", "melody", 60, 84), 24: ("nylon guitar", "chords", 40, 76), 25: ("steel guitar", "chords", 40, 76),
    26: ("jazz guitar", "chords", 40, 76), 27: ("clean guitar", "chords", 40, 76),
    28: ("muted guitar", "melody", 40, 72), 32: ("double bass", "melody", 28, 55),
    33: ("fingered bass", "melody", 28, 55), 34: ("picked bass", "melody", 28, 55),
    35: ("fretless bass", "melody", 28, 55), 40: ("violin", "melody", 55, 88), 41: ("viola", "melody", 48, 79),
    42: ("cello", "melody", 36, 67), 43: ("contrabass", "melody", 28, 52), 45: ("pizzicato strings", "melody", 40, 80),
    46: ("harp", "chords", 40, 88), 48: ("string section", "chords", 40, 80), 52: ("choir aah", "chords", 48, 76),
    53: ("voice ooh", "chords", 48, 76), 56: ("trumpet", "melody", 55, 82), 57: ("trombone", "melody", 40, 70),
    58: ("tuba", "melody", 29, 55), 59: ("muted trumpet", "melody", 55, 80), 60: ("french horn", "melody", 41, 72),
    61: ("brass section", "chords", 45, 76), 64: ("soprano sax", "melody", 56, 84), 65: ("alto sax", "melody", 50, 77),
    66: ("tenor sax", "melody", 44, 72), 67: ("baritone sax", "melody", 37, 65), 68: ("oboe", "melody", 58, 86),
    69: ("english horn", "melody", 52, 78), 70: ("bassoon", "melody", 36, 65), 71: ("clarinet", "melody", 52, 84),
    72: ("piccolo", "melody", 74, 100), 73: ("flute", "melody", 60, 91), 74: ("recorder", "melody", 65, 91),
    104: ("sitar", "melody", 48, 72), 105: ("banjo", "chords", 48, 76), 106: ("shamisen", "melody", 50, 76),
    107: ("koto", "melody", 50, 80), 109: ("bagpipe", "melody", 58, 74), 110: ("fiddle", "melody", 55, 86),
}  # fmt: skip
GUITARS, VOICES, DRUM_BANK = range(24, 40), (52, 53), 128
DRUM_KEYS = {"kick": (36, 35), "snare": (38, 40, 37), "hat": (42, 42, 44, 46), "tom": (41, 45, 48, 50),
             "cymbal": (49, 51, 57)}  # fmt: skip
NOT_RECORDED = r"(?i)electronic|tr-?808|sfx|dance"

Zone = dict[int, int]
"""A zone's amounts by generator number."""
ROOT, FINE, COARSE, SAMPLE, INSTRUMENT = 58, 52, 51, 53, 41
KEYS, VELOCITIES, LOOPS, ATTENUATION, RELEASE = 43, 44, 54, 48, 38


class SoundFont:
    """A SoundFont's presets and samples, read where they are asked for."""

    def __init__(self, path: Path) -> None:
        self._data = np.memmap(path, dtype=np.uint8, mode="r")
        self._chunks: dict[str, tuple[int, int]] = {}
        self._walk(12, len(self._data))
        self.samples = np.frombuffer(self._bytes("smpl"), "<i2")
        self.presets = self._table("phdr", "<20sHHHIII")
        self._preset_zones = self._table("pbag", "<HH"), self._table("pgen", "<Hh")
        self._instruments = self._table("inst", "<20sH")
        self._instrument_zones = self._table("ibag", "<HH"), self._table("igen", "<Hh")
        self._samples = self._table("shdr", "<20sIIIIIBbHH")

    def _walk(self, at: int, end: int) -> None:
        while at + 8 <= end:
            tag = bytes(self._data[at : at + 4]).decode("latin1")
            size = int.from_bytes(bytes(self._data[at + 4 : at + 8]), "little")
            if tag == "LIST":
                self._walk(at + 12, at + 8 + size)
            else:
                self._chunks[tag] = (at + 8, size)
            at += 8 + size + size % 2

    def _bytes(self, tag: str) -> bytes:
        at, size = self._chunks[tag]
        return self._data[at : at + size].tobytes()

    def _table(self, tag: str, layout: str) -> list[tuple[Any, ...]]:
        return list(struct.iter_unpack(layout, self._bytes(tag)))

    @staticmethod
    def _zones_of(tables: tuple, first: int, last: int, target: int) -> list[Zone]:
        """Give each zone that names a target, with the global zone's amounts underneath."""
        bags, generators = tables
        shared: Zone = {}
        zones = []
        for bag in range(first, last):
            zone = dict(generators[bags[bag][0] : bags[bag + 1][0]])
            if target in zone:
                zones.append({**shared, **zone})
            elif bag == first:
                shared = zone
        return zones

    def zones(self, program: int, bank: int = 0) -> list[tuple[Zone, Zone]]:
        """Give all zones of a preset, outer and inner; none if the font lacks it."""
        for i, header in enumerate(self.presets[:-1]):
            if header[1] == program and header[2] == bank:
                found = []
                for outer in self._zones_of(self._preset_zones, header[3], self.presets[i + 1][3], INSTRUMENT):
                    number = outer[INSTRUMENT]
                    span = self._instruments[number][1], self._instruments[number + 1][1]
                    found += [(outer, inner) for inner in self._zones_of(self._instrument_zones, *span, SAMPLE)]
                return found
        return []

    @staticmethod
    def _within(zone: Zone, generator: int, value: int) -> bool:
        amount = zone.get(generator, 0x7F00) & 0xFFFF
        return (amount & 0xFF) <= value <= (amount >> 8)

    def note(self, zones: Sequence[tuple[Zone, Zone]], key: int, held_s: float, loudness: float) -> np.ndarray:
        """Play one note at RATE: the zones that sound for this key, mixed."""
        velocity = int(40 + 87 * loudness)
        out = np.zeros(int((held_s + 1.5) * RATE), np.float32)
        for pair in zones:
            if all(self._within(z, KEYS, key) and self._within(z, VELOCITIES, velocity) for z in pair):
                x = self._zone(*pair, key, held_s) * np.float32(loudness)
                out[: len(x)] += x[: len(out)]
        return out

    def _zone(self, outer: Zone, inner: Zone, key: int, held_s: float) -> np.ndarray:
        _, start, end, loop_start, loop_end, rate, root, correction, _, _ = self._samples[inner[SAMPLE]]
        root = inner[ROOT] if inner.get(ROOT, -1) >= 0 else root

        def both(generator: int) -> int:
            return inner.get(generator, 0) + outer.get(generator, 0)

        cents = 100 * (key - root) + correction + both(FINE) + 100 * both(COARSE)
        step = 2 ** (cents / 1200) * rate / RATE
        release_s = min(1.2, max(0.05, 2 ** ((inner.get(RELEASE, -6000) + outer.get(RELEASE, 0)) / 1200)))
        where = np.arange(int((held_s + release_s) * RATE)) * step
        if inner.get(LOOPS, 0) & 1 and loop_end > loop_start + 8:
            over = where > loop_end - start
            where[over] = loop_start - start + (where[over] - (loop_start - start)) % (loop_end - loop_start)
        else:
            where = where[where < end - start - 3]
        x = self._read(start + where)
        fade, tail = np.ones(len(x), np.float32), max(0, len(x) - int(held_s * RATE))
        if tail:
            fade[-tail:] = 10 ** (-3 * np.arange(tail) / (release_s * RATE))
        return faded(x * fade, RATE, 0.002) * np.float32(10 ** (-0.4 * both(ATTENUATION) / 200))

    def _read(self, where: np.ndarray) -> np.ndarray:
        """Read samples at fractional places, by Catmull and Rom's cubic."""
        i = np.clip(where.astype(np.int64), 1, len(self.samples) - 3)
        t = (where - i).astype(np.float32)
        a, b, c, d = (self.samples[i + k].astype(np.float32) / 32768 for k in (-1, 0, 1, 2))
        return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def sf2(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Play a SoundFont's recorded instruments as phrases, those of the source's kind, in turn."""
    font, name = SoundFont(root / names[0]), Path(names[0]).name
    programs = [p for p in GENERAL_MIDI if source.kind == _kind(p)]
    return in_turn([_instrument(font, name, p, source.group_minutes) for p in programs])


def _kind(program: int) -> str:
    return "guitar" if program in GUITARS else "vocals" if program in VOICES else "instruments"


def _instrument(font: SoundFont, font_name: str, program: int, minutes: float) -> Iterator[Excerpt]:
    name, style, low, high = GENERAL_MIDI[program]
    zones, chance = font.zones(program), random.Random(program)
    for _ in range(math.ceil(minutes * 60 / (PIECE_S - 4)) if zones else 0):
        notes = phrase(style, low, high, chance)
        x = played(notes, RATE, lambda key, held_s, loudness: font.note(zones, int(key), held_s, loudness))
        yield Excerpt(x, RATE, name, f"{font_name}: {name}, phrase of {len(notes)} notes")


def sf2drums(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Play a SoundFont's recorded kits as grooves."""
    font = SoundFont(root / names[0])
    for header in [h for h in font.presets[:-1] if h[2] == DRUM_BANK] or font.presets[:1]:
        name = header[0].split(b"\0")[0].decode("latin1").strip()
        if re.search(NOT_RECORDED, name):
            continue
        zones, chance = font.zones(header[1], header[2]), random.Random(name)
        for _ in range(math.ceil(source.group_minutes * 60 / (PIECE_S - 5))):
            hits = [hit._replace(held_s=1.0, key=chance.choice(DRUM_KEYS[str(hit.key)])) for hit in groove(chance)]
            x = played(hits, RATE, lambda key, held_s, loudness, z=zones: font.note(z, int(key), held_s, loudness))
            yield Excerpt(x, RATE, name, f"{Path(names[0]).name}: {name}, groove of {len(hits)} strokes")
