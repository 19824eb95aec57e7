"""One-shots → grooves, single notes → phrases: simple, dry, with human timing, so that kits and pianos are playing."""

import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from .excerpts import AUDIO, HIGHEST_RATE, PIECE_S, Excerpt, faded, grouped, read_mono, trimmed
from .packages import Source

PARTS_OF_KIT = {  # a one-shot's part in the kit, told from its file's name
    "kick": r"kick|bass ?drum|\bbd|_bd", "snare": r"snare|\bsn|\bsd|_sd|rim|clap|slap",
    "hat": r"hat|\bhh|_hh|shaker|tamb", "tom": r"tom|\btm|conga|bongo|djembe|cajon",
    "cymbal": r"cymbal|crash|ride|china|splash|\brd|\bcy",
}  # fmt: skip
NOTE_NAME = re.compile(r"([A-Ga-g])([#sb]?)(-?\d)")


class Note(NamedTuple):
    """When a sound begins and how long it is held, in seconds; its MIDI key or part of a kit; loudness 0 to 1."""

    at_s: float
    held_s: float
    key: int | str
    loudness: float


Sound = Callable[[int | str, float, float], np.ndarray]
"""Gives a note's sound (frames,) by key, seconds held and loudness."""


def played(notes: Sequence[Note], rate: int, sound_of: Sound) -> np.ndarray:
    """Mix notes into one clip of about half a minute."""
    x = np.zeros(int((PIECE_S + 8) * rate), np.float32)
    for note in notes:
        sound, first = sound_of(note.key, note.held_s, note.loudness), int(note.at_s * rate)
        n = min(len(sound), len(x) - first)
        if n > 0:
            x[first : first + n] += sound[:n]
    peak = float(np.abs(x).max(initial=0)) or 1.0
    return trimmed(x * (0.7 / peak), rate)[: int((PIECE_S + 2) * rate)]


# --- drums -----------------------------------------------------------------------------------------------------


def groove(chance: random.Random) -> list[Note]:
    """Make up a simple rock pattern; keys are parts of the kit."""
    beat_s, hits, step = 60 / chance.uniform(80, 140), [], 0
    while step * beat_s / 2 < PIECE_S - 6:
        parts = [("hat", 0.6)] if chance.random() < 0.9 else []
        parts += [("kick", 1.0)] if step % 8 in (0, 5) or chance.random() < 0.12 else []
        parts += [("snare", 0.9)] if step % 8 in (2, 6) or chance.random() < 0.08 else []
        parts += [("tom", 0.8)] if step % 32 > 27 and chance.random() < 0.8 else []
        parts += [("cymbal", 0.7)] if step % 32 == 0 else []
        for part, loudness in parts:
            at_s = max(0.0, step * beat_s / 2 + chance.gauss(0, 0.006))
            hits.append(Note(at_s, 0.0, part, loudness * chance.uniform(0.6, 1.0)))
        step += 1
    return hits


def drums(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Play each kit's one-shots as a few grooves."""
    for group, members in grouped(source, [n for n in names if n.lower().endswith(AUDIO)]).items():
        kit: dict[str, list[str]] = defaultdict(list)
        for name in members:
            plain = Path(name).name.lower()
            part = next((part for part, words in PARTS_OF_KIT.items() if re.search(words, plain)), "other")
            kit[part].append(name)
        rate, chance = min(soundfile.info(root / members[0]).samplerate, HIGHEST_RATE), random.Random(group)
        stroke = _strokes(root, kit, members, rate, chance)
        for _ in range(math.ceil(source.group_minutes * 60 / (PIECE_S - 5))):
            yield Excerpt(played(groove(chance), rate, stroke), rate, group, f"groove of {len(members)} one-shots")


def _strokes(root: Path, kit: dict[str, list[str]], members: list[str], rate: int, chance: random.Random) -> Sound:
    known: dict[str, np.ndarray] = {}

    def stroke(part: int | str, held_s: float, loudness: float) -> np.ndarray:
        name = chance.choice(kit.get(str(part)) or kit.get("other") or members)
        if name not in known:
            x, its_rate = read_mono(root / name, 0, 4.0)
            known[name] = soxr.resample(x, its_rate, rate) if its_rate != rate else x
        return known[name] * np.float32(loudness)

    return stroke


# --- phrases ---------------------------------------------------------------------------------------------------


def phrase(style: str, low: int, high: int, chance: random.Random) -> list[Note]:
    """Make up chords or a melody between two MIDI keys; keys are MIDI keys."""
    scale = [0, 2, 4, 5, 7, 9, 11] if chance.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10]
    tonic, beat_s = chance.randrange(12), 60 / chance.uniform(70, 130)
    keys = [k for k in range(low, high + 1) if (k - tonic) % 12 in scale]
    notes: list[Note] = []
    t, here = 0.0, len(keys) // 2
    while t < PIECE_S - 6:
        if style == "chords":
            chord, hold_s = _chord(t, keys, low, beat_s, chance)
            notes += chord
        else:
            hold_s = beat_s * chance.choice([0.5, 0.5, 1, 1, 1.5, 2])
            here = min(len(keys) - 1, max(0, here + chance.choice([-3, -2, -1, -1, 1, 1, 2, 3])))
            if chance.random() > 0.08:
                notes.append(Note(t, hold_s * chance.uniform(0.7, 1.0), keys[here], chance.uniform(0.45, 0.95)))
        t += hold_s
    return notes


def _chord(t: float, keys: list[int], low: int, beat_s: float, chance: random.Random) -> tuple[list[Note], float]:
    """Make up a chord, struck or broken; gives how long it lasts too."""
    root = chance.randrange(max(1, len(keys) - 5))
    bass = keys[root] - 12 if keys[root] - 12 >= low else keys[root]
    chord = {bass, *(keys[min(len(keys) - 1, root + d)] for d in (0, 2, 4))}
    broken = chance.random() < 0.5
    hold_s = beat_s * chance.choice([1, 2, 2, 4])
    notes = []
    for i, key in enumerate(sorted(chord)):
        late_s = i * (beat_s / 2 if broken else chance.uniform(0.0, 0.02))
        notes.append(Note(t + late_s, max(0.2, hold_s - late_s), key, chance.uniform(0.5, 0.95)))
    return notes, hold_s


def _pitched(x: np.ndarray, semitones: float) -> np.ndarray:
    return x if abs(semitones) < 1e-3 else soxr.resample(x, 2 ** (semitones / 12) * 16000, 16000)


def notes(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Play one-note recordings, named by pitch, as phrases."""
    recorded: dict[int, str] = {}
    for name in names:
        found = NOTE_NAME.search(Path(name).stem)
        if found:
            accidental = {"#": 1, "s": 1, "b": -1}.get(found[2], 0)
            recorded["C D EF G A B".index(found[1].upper()) + accidental + 12 * (int(found[3]) + 1)] = name
    if not recorded:
        return
    rate, known = min(HIGHEST_RATE, soundfile.info(root / names[0]).samplerate), {}

    def sound_of(key: int | str, held_s: float, loudness: float) -> np.ndarray:
        near = min(recorded, key=lambda k: abs(k - int(key)))
        if near not in known:
            known[near] = read_mono(root / recorded[near])[0]
        x = _pitched(known[near], int(key) - near)[: int((held_s + 0.4) * rate)]
        release = np.minimum(1, np.linspace(len(x) / (0.3 * rate), 0, len(x), dtype=np.float32))
        return faded(x, rate, 0.003) * np.float32(loudness) * release

    name = source.names[0]
    chance, low, high = random.Random(name), max(36, min(recorded)), min(84, max(recorded))
    for i in range(int(source.group_minutes * 60 / PIECE_S) + 2):
        x = played(phrase(("chords", "melody")[i % 2], low, high, chance), rate, sound_of)
        yield Excerpt(x, rate, name.split("/")[-1], f"phrase of {len(recorded)} recorded notes")
