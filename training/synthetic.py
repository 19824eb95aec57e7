"""More sounds than there are recordings: pieces made up at random, played by FluidSynth, and sentences by eSpeak NG.

    python -m afx_live.training.synthetic FOLDER        # Debian: fluidsynth fluid-soundfont-gm espeak-ng

A model that has heard few instruments learns them by heart. FluidR3's samples (F. Wen and others, MIT
licence) give every General MIDI instrument, alone and in bands; eSpeak NG gives voices of many kinds.
What is written is mono, 48 kHz, Ogg Vorbis, in folders that `afx-train` reads as they are.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 48000
SECONDS = 14.0
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
HELD_OUT = {19, 21, 24, 26, 34, 35, 42, 46, 53, 70, 71, 73, 105}
"""Instruments that split.yaml keeps for validation and tests: none of them is heard in pieces."""
PROGRAMS = [program for program in range(112) if program not in HELD_OUT]
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 6, 7, 10), (0, 2, 4, 7, 9))
VOICES = ("en-gb", "en-us", "de", "fr-fr", "es", "it", "nl", "pl", "sv", "pt-br", "fi", "cs")
VARIANTS = ("m1", "m3", "m5", "m7", "f1", "f2", "f4", "klatt2", "klatt4", "croak", "whisper")
WORDS = (
    "morning river table seven against under yellow window paper quiet thunder market silver the and of with through "
    "children running slowly kitchen music station letter evening shadow garden walking never almost early bridge"
).split()

Event = tuple[float, bytes]


def notes(rng: np.random.Generator, seconds: float) -> list[Event]:
    """Make up a piece: one to four parts, perhaps drums; events at times in seconds."""
    events: list[Event] = []
    beat = 60.0 / rng.uniform(60.0, 150.0)
    scale, key = SCALES[rng.integers(len(SCALES))], int(rng.integers(40, 56))
    parts = int(rng.choice([1, 1, 1, 2, 3, 4]))
    for channel in range(parts):
        events.append((0.0, bytes([0xC0 | channel, int(rng.choice(PROGRAMS))])))
        octave, density = int(rng.integers(-1, 3)) * 12, rng.choice([0.25, 0.5, 1.0, 2.0])
        chords, legato = int(rng.choice([1, 1, 2, 3])), rng.uniform(0.3, 1.1)
        at, degree = 0.0, int(rng.integers(7))
        while at < seconds:
            length = beat * density * rng.choice([0.5, 1.0, 1.0, 2.0])
            degree = int(np.clip(degree + rng.integers(-3, 4), -5, 12))
            if rng.random() < 0.88:
                for k in range(chords):
                    step = degree + 2 * k
                    pitch = int(np.clip(key + octave + scale[step % len(scale)] + 12 * (step // len(scale)), 21, 108))
                    events.append((at, bytes([0x90 | channel, pitch, int(rng.integers(40, 120))])))
                    events.append((at + legato * length, bytes([0x80 | channel, pitch, 0])))
            at += length
    if rng.random() < 0.35:
        pattern = rng.random((3, 16)) < np.array([[0.25], [0.2], [0.5]])
        for step in range(int(seconds / beat * 4)):
            for row, drum in enumerate((36, 38, 42)):
                if pattern[row, step % 16]:
                    events.append((step * beat / 4, bytes([0x99, drum, int(rng.integers(50, 125))])))
    return sorted(events, key=lambda e: e[0])


def midi(events: list[Event]) -> bytes:
    """Write events as a Standard MIDI File of one track, 1000 ticks a second."""
    track, before = b"\x00\xff\x51\x03" + (1_000_000).to_bytes(3, "big"), 0
    for at, message in events:
        tick = round(1000 * at)
        delta, before = tick - before, tick
        digits = [delta & 0x7F]
        while delta := delta >> 7:
            digits.append(delta & 0x7F | 0x80)
        track += bytes(reversed(digits)) + message
    track += b"\x00\xff\x2f\x00"
    return (
        b"MThd" + (6).to_bytes(4, "big") + b"\x00\x00\x00\x01\x03\xe8" + b"MTrk" + len(track).to_bytes(4, "big") + track
    )


def played(rng: np.random.Generator, scratch: Path) -> np.ndarray:
    """Play a piece dry (frames,)."""
    song, out = scratch / "song.mid", scratch / "song.wav"
    song.write_bytes(midi(notes(rng, SECONDS)))
    command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(RATE), "-F", str(out)]
    subprocess.run([*command, str(SOUNDFONT), str(song)], check=True, capture_output=True)
    return soundfile.read(out, always_2d=True)[0].mean(1)[: int(SECONDS * RATE)]


def spoken(rng: np.random.Generator, scratch: Path) -> np.ndarray:
    """Say some words (frames,)."""
    out = scratch / "voice.wav"
    voice = f"{VOICES[rng.integers(len(VOICES))]}+{VARIANTS[rng.integers(len(VARIANTS))]}"
    words = " ".join(WORDS[i] + ("," if rng.random() < 0.15 else "") for i in rng.integers(len(WORDS), size=30))
    how = ["-s", str(rng.integers(130, 210)), "-p", str(rng.integers(20, 80)), "-v", voice]
    subprocess.run(["espeak-ng", *how, "-w", str(out), words], check=True, capture_output=True)
    x, rate = soundfile.read(out, always_2d=True)
    return soxr.resample(x.mean(1), rate, RATE)[: int(SECONDS * RATE)]


def main() -> None:
    """Write so many pieces and so many voices."""
    p = argparse.ArgumentParser(description="Make up pieces and sentences to train on.")
    p.add_argument("folder", type=Path)
    p.add_argument("--pieces", type=int, default=120)
    p.add_argument("--voices", type=int, default=24)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng = np.random.default_rng(a.seed)
    with tempfile.TemporaryDirectory() as scratch:
        for kind, make, count in (("instruments", played, a.pieces), ("speech", spoken, a.voices)):
            (a.folder / kind).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                x = make(rng, Path(scratch))
                x = 0.3 * x / (np.abs(x).max() + 1e-9)
                path = a.folder / kind / f"synthetic_{kind}_{i:03d}.ogg"
                soundfile.write(path, x, RATE, format="OGG", subtype="VORBIS", compression_level=0.3)


if __name__ == "__main__":
    main()
