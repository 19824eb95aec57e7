"""Make the demo clips in presets/clips: a voice, a guitar, drums, and two references.

    python bench/make_clips.py [FOLDER]

All of it is synthesised here, from seeds: a small formant synthesiser that reads a list of
phonemes, plucked strings on a wooden body, a drum machine. The dry clips have -26 LUFS; the
references are other phrases of the same kind, through effects, and have -16 LUFS.
48 kHz, mono, 16-bit FLAC.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
from numba import njit

from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.dsp.loudness import integrated_loudness

RATE = 48000
DRY_LUFS, WET_LUFS, CHAIN_LUFS = -26.0, -16.0, -23.0

# --- voice: cascade of formants (D. H. Klatt, Software for a cascade/parallel formant synthesizer, JASA 67(3), 1980)

# F1, F2, F3 in Hz; voicing, aspiration, frication (0 to 1); centre and bandwidth of the frication in Hz; ms
VOWEL = (1.0, 0.0, 0.0, 3000, 2000)
PHONEMES = {
    "IY": (280, 2250, 2950, *VOWEL, 120),
    "IH": (400, 1950, 2550, *VOWEL, 85),
    "EH": (550, 1800, 2500, *VOWEL, 105),
    "AE": (680, 1700, 2450, *VOWEL, 130),
    "AA": (720, 1120, 2500, *VOWEL, 140),
    "AO": (580, 880, 2450, *VOWEL, 140),
    "OW": (480, 900, 2400, *VOWEL, 90),
    "UH": (440, 1050, 2300, *VOWEL, 80),
    "UW": (310, 900, 2250, *VOWEL, 110),
    "AH": (620, 1200, 2500, *VOWEL, 85),
    "AX": (500, 1450, 2500, *VOWEL, 55),
    "ER": (480, 1330, 1680, *VOWEL, 120),
    "W": (290, 650, 2200, 0.6, 0.0, 0.0, 3000, 2000, 70),
    "Y": (260, 2150, 3000, 0.6, 0.0, 0.0, 3000, 2000, 60),
    "L": (340, 1050, 2850, 0.55, 0.0, 0.0, 3000, 2000, 70),
    "R": (340, 1150, 1550, 0.55, 0.0, 0.0, 3000, 2000, 75),
    "M": (240, 1100, 2150, 0.33, 0.0, 0.0, 3000, 2000, 75),
    "N": (240, 1550, 2500, 0.33, 0.0, 0.0, 3000, 2000, 65),
    "NG": (240, 2000, 2700, 0.33, 0.0, 0.0, 3000, 2000, 80),
    "S": (320, 1500, 2550, 0.0, 0.0, 0.85, 7200, 2600, 105),
    "Z": (280, 1500, 2550, 0.35, 0.0, 0.5, 7000, 2600, 75),
    "SH": (320, 1800, 2500, 0.0, 0.0, 0.9, 3300, 1800, 110),
    "F": (330, 1150, 2300, 0.0, 0.05, 0.2, 6000, 6000, 90),
    "V": (280, 1150, 2300, 0.4, 0.0, 0.12, 6000, 6000, 55),
    "TH": (330, 1350, 2550, 0.0, 0.05, 0.15, 6500, 5000, 80),
    "DH": (280, 1350, 2550, 0.42, 0.0, 0.06, 6000, 5000, 40),
    "HH": (500, 1500, 2500, 0.0, 0.5, 0.0, 3000, 2000, 60),
    # a stop is a closure (small letters) and a burst
    "p": (260, 900, 2200, 0.0, 0.0, 0.0, 1200, 1500, 65),
    "P": (380, 1000, 2300, 0.0, 0.4, 0.35, 1200, 1500, 30),
    "t": (260, 1700, 2600, 0.0, 0.0, 0.0, 4500, 2500, 55),
    "T": (380, 1700, 2600, 0.0, 0.25, 0.9, 4500, 2500, 32),
    "k": (260, 1900, 2300, 0.0, 0.0, 0.0, 1900, 900, 60),
    "K": (380, 1900, 2300, 0.0, 0.35, 0.7, 1900, 900, 36),
    "b": (220, 900, 2200, 0.12, 0.0, 0.0, 900, 1500, 55),
    "B": (320, 1000, 2300, 0.5, 0.1, 0.25, 900, 1500, 12),
    "d": (220, 1700, 2600, 0.12, 0.0, 0.0, 4200, 2500, 45),
    "D": (320, 1700, 2600, 0.5, 0.1, 0.45, 4200, 2500, 14),
    "g": (220, 1900, 2300, 0.12, 0.0, 0.0, 1900, 900, 50),
    "G": (320, 1900, 2300, 0.5, 0.1, 0.45, 1900, 900, 18),
    ",": (500, 1500, 2500, 0.0, 0.0, 0.0, 3000, 2000, 260),
    ".": (500, 1500, 2500, 0.0, 0.0, 0.0, 3000, 2000, 420),
}
# "1" stresses the phoneme before it. "Hello, we are live. The evening was warm and slow, and nobody spoke of it."
DRY_VOICE = """HH AX L OW1 UH , W IY AA R L AA1 IY V . DH IY IY1 V N IH NG W AX Z W AO1 R M AX N d D S L OW1 UH ,
AX N d D N OW1 UH b B AA d D IY S p P OW1 UH k K AX V IH1 t T ."""
# "Good morning. This is the sound of a radio voice, close and loud and bright."
REFERENCE_VOICE = """g G UH d D M AO1 R N IH NG . DH IH S IH Z DH AX S AA1 UH N d D AX V AX R EH1 IY d D IY OW
V AO1 IH S , k K L OW1 UH S AX N d D L AA1 UH d D AX N d D b B R AA1 IY t T ."""


@njit
def _glottis(pitch, jitter, open_part):
    """Derivative of the glottal flow (Klatt and Klatt, KLGLOTT88), one number a sample, and the flow's gate."""
    y, gate = np.zeros(len(pitch)), np.zeros(len(pitch))
    phase, level, pulse = 0.0, 1.0, 0
    for n in range(len(pitch)):
        phase += pitch[n] * (1.0 + 0.012 * jitter[pulse % len(jitter)]) / RATE
        if phase >= 1.0:
            phase -= 1.0
            pulse += 1
            level = 1.0 + 0.06 * jitter[(7 * pulse + 3) % len(jitter)]
        if phase < open_part:
            t = phase / open_part
            y[n] = level * (2.0 * t - 3.0 * t * t)
            gate[n] = t * t * (1.0 - t) * 6.75
    return y, gate


@njit
def _resonate(x, hz, width_hz, unity_at_dc):
    """A two-pole resonance whose frequency and bandwidth move: 1 at DC, or about 1 at its peak without DC."""
    y = np.zeros(len(x))
    y1, y2, x1, x2 = 0.0, 0.0, 0.0, 0.0
    for n in range(len(x)):
        r = np.exp(-np.pi * width_hz[n] / RATE)
        b, c = 2.0 * r * np.cos(2.0 * np.pi * hz[n] / RATE), -r * r
        drive = (1.0 - b - c) * x[n] if unity_at_dc else 0.5 * (1.0 - r * r) * (x[n] - x2)
        v = drive + b * y1 + c * y2
        y1, y2, x1, x2 = v, y1, x[n], x1
        y[n] = v
    return y


def _smooth(steps: np.ndarray, ms: int) -> np.ndarray:
    """Round off a staircase of 1 value a ms, and bring it to the sample rate."""
    window = np.hanning(ms + 2)
    padded = np.pad(steps, (ms, ms), "edge")
    smooth = np.convolve(padded, window / window.sum(), "same")[ms:-ms]
    return np.interp(np.arange(len(steps) * RATE // 1000) * 1000 / RATE, np.arange(len(steps)), smooth)


def _melody(phonemes: list[str], ms: list[int], pitch_hz: float) -> np.ndarray:
    """Pitch by the ms: it falls through each phrase, rises on stresses, and falls more at a full stop."""
    pitch, start = np.zeros(0), 0
    ends = [i for i, p in enumerate(phonemes) if p[0] in ",."]
    for end in ends:
        length = sum(ms[start : end + 1])
        fall = 0.26 if phonemes[end] == "." else 0.12
        line = pitch_hz * (1.12 - fall * np.linspace(0, 1, length))
        at = 0
        for p, d in zip(phonemes[start : end + 1], ms[start : end + 1], strict=True):
            if p.endswith("1"):
                line *= 1 + 0.16 * np.exp(-(((np.arange(length) - at - d / 2) / 95.0) ** 2))
            at += d
        pitch, start = np.concatenate([pitch, line]), end + 1
    return pitch


def voice(text: str, pitch_hz: float, size: float, seed: int, pace: float = 1.0) -> np.ndarray:
    """Speak phonemes. `size` scales the formants: over 1 a smaller head. Returns (frames,), peak 1."""
    rng = np.random.default_rng(seed)
    phonemes = [".", *text.split()]
    rows = np.array([PHONEMES[p.rstrip("1")] for p in phonemes])
    ms = [round(d * pace * (1.3 if p.endswith("1") else 1.0)) for p, d in zip(phonemes, rows[:, 8], strict=True)]
    ms[0], ms[-1] = 120, 500
    track = np.repeat(rows, ms, 0)
    f1, f2, f3 = (_smooth(track[:, i] * size, 70) for i in range(3))
    voiced, breath, hiss = (_smooth(track[:, i], 22 if i == 3 else 9) for i in (3, 4, 5))
    hiss_hz, hiss_width = _smooth(track[:, 6], 20), _smooth(track[:, 7], 20)
    pitch = _smooth(_melody(phonemes, ms, pitch_hz), 90)
    wobble = _smooth(rng.standard_normal(len(track)), 180) * 0.06
    source, gate = _glottis(pitch * (1 + wobble), rng.standard_normal(997), 0.62)
    noise = rng.standard_normal(len(source))
    same = np.ones(len(source))
    x = voiced * (source + 0.05 * noise * gate) + 0.25 * breath * noise
    x = _resonate(x, 0 * same, 9500 * same, True)  # the voice's spectral tilt
    moving = [(f1, 70 + 0.04 * f1), (f2, 90 * same), (f3, 130 * same)]
    fixed = [(hz * size * same, (0.04 * hz + 90) * same) for hz in range(3500, 11000, 1000)]
    for hz, width in moving + fixed:
        x = _resonate(x, hz, width, True)
    x = np.diff(x, prepend=0.0) * 2.2 + 0.35 * x  # lips
    x += 0.22 * _resonate(noise * hiss, hiss_hz, hiss_width, False)
    x += 0.005 * _resonate(noise * gate * voiced, 9000 * same, 6000 * same, False)  # air
    x /= np.max(np.abs(x))
    return x + 10 ** (-72 / 20) * rng.standard_normal(len(x))


# --- guitar ---------------------------------------------------------------------------------------


@njit
def _string(burst, delay, decay, dull):
    """A string (Karplus and Strong, Computer Music Journal 7(2), 1983) of a fractional length in samples."""
    whole = int(delay - dull - 0.1)
    part = delay - dull - whole  # 0.1 to 1.1, made by an all-pass
    a = (1.0 - part) / (1.0 + part)
    line, y = np.zeros(whole), np.zeros(len(burst))
    last, ap_x, ap_y = 0.0, 0.0, 0.0
    for n in range(len(burst)):
        v = line[n % whole]
        low = decay * ((1.0 - dull) * v + dull * last)
        last = v
        ap_y = a * low + ap_x - a * ap_y
        ap_x = low
        y[n] = ap_y + burst[n]
        line[n % whole] = y[n]
    return y


def _pluck(midi: float, seconds: float, force: float, muted: bool, rng: np.random.Generator) -> np.ndarray:
    """One note: a burst of noise, softer and darker the less force, plucked at 1/7 of the string."""
    hz = 440 * 2 ** ((midi - 69) / 12)
    frames, period = round(seconds * RATE), RATE / hz
    burst = np.zeros(frames)
    burst[: round(period)] = rng.uniform(-1, 1, round(period))
    same = np.ones(frames)
    burst = _resonate(burst, 0 * same, (1000 + 3600 * force) * same, True)
    where = round(period / 7)
    burst[where:] -= 0.9 * burst[:-where].copy()
    rt60_s = 0.22 if muted else 5.5 * (110 / hz) ** 0.45
    y = _string(burst, period, 10 ** (-3 / (rt60_s * hz)), 0.45 if muted else 0.25 + 0.1 * (1 - force))
    fade = min(frames, round(0.012 * RATE))
    y[-fade:] *= np.linspace(1, 0, fade)
    return force * y


def guitar(notes: list[tuple[float, float, float, float, bool]], seconds: float, seed: int) -> np.ndarray:
    """Play (start s, midi note, length s, force, muted) on strings and a body. Returns (frames,), peak 1."""
    rng = np.random.default_rng(seed)
    x = np.zeros(round(seconds * RATE))
    for start, midi, length, force, muted in notes:
        begin = round((start + rng.uniform(0, 0.006)) * RATE)
        tone = _pluck(midi + rng.normal(0, 0.02), length, force * rng.uniform(0.88, 1.0), muted, rng)
        x[begin : begin + len(tone)] += tone[: max(0, len(x) - begin)]
    same = np.ones(len(x))
    body = sum(
        gain * _resonate(x, hz * same, width * same, False)
        for hz, width, gain in ((98, 14, 1.6), (196, 22, 1.4), (395, 45, 0.8), (560, 70, 0.6), (1250, 300, 0.5))
    )
    x = 0.7 * x + body
    x[-RATE // 5 :] *= np.linspace(1, 0, RATE // 5) ** 2
    x /= np.max(np.abs(x))
    return x + 10 ** (-76 / 20) * rng.standard_normal(len(x))


def _arpeggio() -> list[tuple[float, float, float, float, bool]]:
    """E minor, C, G, D, picked in eighths at 104 to the minute, and a last strum."""
    beat, notes = 60 / 104 / 2, []
    chords = ((40, 52, 55, 59, 64), (48, 52, 55, 60, 64), (43, 50, 55, 59, 67), (50, 57, 62, 66, 69))
    for bar, (bass, *upper) in enumerate(chords):
        for i, string in enumerate((None, 1, 2, 3, 2, 1)):
            midi = bass if string is None else upper[string]
            notes.append(
                ((6 * bar + i) * beat, midi, 1.6 if string is None else 0.9, 0.95 if i in (0, 3) else 0.6, False)
            )
    end = 6 * len(chords) * beat
    return [(t + 0.1, *rest) for t, *rest in notes] + [
        (end + 0.1 + 0.022 * i, m, 2.6, 0.8, False) for i, m in enumerate((40, 47, 52, 55, 59, 64))
    ]


def _riff() -> list[tuple[float, float, float, float, bool]]:
    """Power chords in A with muted eighths between, at 120 to the minute, and a short answer on top."""
    beat, notes = 0.25, []
    pattern = "C.mmC.mmC.mmG.F.C.mmC.mm"  # C, G, F: chords; m: muted A
    roots = {"C": 45, "G": 43, "F": 41}
    for i, what in enumerate(pattern):
        if what == "m":
            notes.append((i * beat, 45, 0.24, 0.7, True))
        elif what in roots:
            notes += [(i * beat + 0.008 * k, roots[what] + up, 0.48, 0.95, False) for k, up in enumerate((0, 7, 12))]
    notes += [(6.0 + 0.17 * i, m, 0.22, 0.8, False) for i, m in enumerate((69, 67, 64))]
    return [(t + 0.1, *rest) for t, *rest in notes] + [(6.65, m, 1.2, 0.9, False) for m in (45, 52, 57)]


# --- drums ----------------------------------------------------------------------------------------


def _kick(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    phase = 2 * np.pi * (48 * t + 110 * 0.032 * (1 - np.exp(-t / 0.032)))
    return np.sin(phase) * np.exp(-t / 0.16) + 0.25 * rng.standard_normal(len(t)) * np.exp(-t / 0.004)


def _snare(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    same = np.ones(len(t))
    rattle = _resonate(rng.standard_normal(len(t)), 1100 * same, 900 * same, False) * np.exp(-t / 0.06)
    wires = _resonate(rng.standard_normal(len(t)), 3800 * same, 6000 * same, False) * np.exp(-t / 0.09)
    shell = np.sin(2 * np.pi * 186 * t) * np.exp(-t / 0.07) + 0.6 * np.sin(2 * np.pi * 331 * t) * np.exp(-t / 0.045)
    return 0.8 * shell + 1.1 * wires + 0.5 * rattle


def _hat(t: np.ndarray, rng: np.random.Generator, decay_s: float) -> np.ndarray:
    metal = sum(np.sign(np.sin(2 * np.pi * hz * t + k)) for k, hz in enumerate((3170, 4285, 5438, 6307, 7853, 9412)))
    x = 0.12 * metal + 0.5 * rng.standard_normal(len(t))
    same = np.ones(len(t))
    return _resonate(x, 9500 * same, 5000 * same, False) * np.exp(-t / decay_s)


def drums(seed: int, bars: int = 3, tempo: float = 108.0) -> np.ndarray:
    """A beat in sixteenths: kick, snare, closed and open hats. Returns (frames,), peak 1."""
    rng = np.random.default_rng(seed)
    step = 60 / tempo / 4
    x = np.zeros(round((16 * bars * step + 0.25) * RATE))
    for bar in range(bars):
        kicks = "K.....K...K....." if bar % 2 == 0 else "K..K..K...K..K.."
        snares = "....S.......S..s" if bar % 2 == 0 else "....S..s....S.ss"
        for i, (k, s, h) in enumerate(zip(kicks, snares, "h.hhh.hoh.hhh.oh", strict=True)):
            begin = round(((16 * bar + i) * step + (0.012 if i % 2 else 0.0)) * RATE)
            t = np.arange(min(round(0.45 * RATE), len(x) - begin)) / RATE
            hit = np.zeros(len(t))
            if k == "K":
                hit += rng.uniform(0.9, 1.0) * _kick(t, rng)
            if s in "Ss":
                hit += (0.8 if s == "S" else 0.22) * rng.uniform(0.9, 1.0) * _snare(t, rng)
            if h in "ho":
                hit += (0.3 if i % 4 == 0 else 0.2) * _hat(t, rng, 0.028 if h == "h" else 0.16)
            x[begin : begin + len(t)] += hit
    return x / np.max(np.abs(x))


# --- references -----------------------------------------------------------------------------------

RADIO = ChainSettings(
    (
        EffectSettings(
            "equaliser",
            {
                "low_shelf_hz": 140.0,
                "low_shelf_db": 6.0,
                "peak_1_hz": 380.0,
                "peak_1_db": -5.0,
                "peak_1_q": 0.9,
                "peak_3_hz": 3200.0,
                "peak_3_db": 5.0,
                "peak_3_q": 0.7,
                "high_shelf_hz": 7500.0,
                "high_shelf_db": 7.0,
            },
        ),
        EffectSettings(
            "compressor", {"threshold_db": -38.0, "ratio": 5.0, "attack_ms": 3.0, "release_ms": 90.0, "makeup_db": 8.0}
        ),
        EffectSettings("distortion", {"drive_db": 6.0, "tone_hz": 14000.0, "mix": 0.5}),
    )
)
STAGE = ChainSettings(
    (
        EffectSettings(
            "equaliser",
            {
                "low_shelf_hz": 120.0,
                "low_shelf_db": -4.0,
                "peak_2_hz": 800.0,
                "peak_2_db": 4.0,
                "peak_2_q": 0.8,
                "peak_3_hz": 2600.0,
                "peak_3_db": 5.0,
                "peak_3_q": 0.8,
                "high_shelf_hz": 6000.0,
                "high_shelf_db": -5.0,
            },
        ),
        EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 3.0, "attack_ms": 12.0, "release_ms": 150.0}),
        EffectSettings("distortion", {"drive_db": 22.0, "bias": 0.1, "tone_hz": 5500.0}),
        EffectSettings(
            "reverb", {"rt60_s": 1.1, "hf_ratio": 0.45, "predelay_ms": 12.0, "low_cut_hz": 150.0, "mix": 0.22}
        ),
    )
)


def at_loudness(x: np.ndarray, lufs: float, peak: float = 0.97) -> np.ndarray:
    """Bring a clip to a loudness; ValueError if that would clip."""
    x = x * 10 ** ((lufs - integrated_loudness(x, RATE)) / 20)
    if np.max(np.abs(x)) > peak:
        raise ValueError(f"at {lufs:g} LUFS the clip peaks at {np.max(np.abs(x)):.2f}")
    return x


def through(x: np.ndarray, chain: ChainSettings) -> np.ndarray:
    """Play a clip through effects at the loudness that they are set for."""
    return ChainPlayer(chain, RATE, 1).play(at_loudness(x, CHAIN_LUFS)[:, None])[:, 0]


def dry_clips() -> dict[str, np.ndarray]:
    """Make the clips that nothing was done to, by name: (frames,) at 48 kHz and -26 LUFS."""
    made = {
        "voice": voice(DRY_VOICE, 168.0, 1.08, 1, 1.1),
        "guitar": guitar(_arpeggio(), 7.6, 2),
        "drums": drums(3),
    }
    return {name: at_loudness(x, DRY_LUFS) for name, x in made.items()}


def references() -> dict[str, np.ndarray]:
    """Make the clips to be matched, by name: (frames,) at 48 kHz and -16 LUFS."""
    made = {
        "voice_reference": through(voice(REFERENCE_VOICE, 104.0, 0.96, 4, 1.08), RADIO),
        "guitar_reference": through(guitar(_riff(), 8.0, 5), STAGE),
    }
    return {name: at_loudness(x, WET_LUFS) for name, x in made.items()}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "presets" / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    for name, x in (dry_clips() | references()).items():
        path = folder / f"{name}.flac"
        soundfile.write(path, x, RATE, subtype="PCM_16")
        lufs, size = integrated_loudness(x, RATE), path.stat().st_size
        print(f"{path.name:24} {len(x) / RATE:5.2f} s {lufs:6.1f} LUFS {size:7} bytes")


if __name__ == "__main__":
    main()
