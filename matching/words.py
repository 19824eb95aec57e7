"""What was chosen, in words, and what it did, as a picture."""

from pathlib import Path

import numpy as np
import soundfile

from ..chain import ChainSettings
from ..dsp.loudness import integrated_loudness
from .equaliser_fit import of_settings

WIDTH, HEIGHT, LEFT, TOP = 760, 380, 54, 40
LOW_HZ, HIGH_HZ = 30.0, 20000.0


OUT_OF_REACH = "the reference is out of reach: something in its sound is beyond this chain"


def sentences(settings: ChainSettings) -> list[str]:
    """Say what a chain does, an effect a line; what is off is not mentioned."""
    told = [f"{s.effect:<11}{_WORDS.get(s.effect, _plain)(s.values)}" for s in settings.effects if s.enabled]
    level = f"level      {settings.input_gain_db:+.1f} dB in, {settings.output_gain_db:+.1f} dB out"
    return [*(told or ["nothing: the input already sounds like that, or the chain cannot help"]), level]


def _equaliser(v) -> str:
    bands = [n.removesuffix("_db") for n in v if n.endswith("_db") and abs(v[n]) >= 0.5]
    return ", ".join(f"{v[f'{b}_db']:+.1f} dB @ {_hz(v[f'{b}_hz'])}" for b in bands) or "flat"


def _compressor(v) -> str:
    times = f"attack {v['attack_ms']:.1f} ms, release {v['release_ms']:.0f} ms"
    return f"{v['threshold_db']:.0f} dB {v['ratio']:.1f}:1, {times}"


def _distortion(v) -> str:
    return f"drive {v['drive_db']:.1f} dB, mix {v['mix']:.0%}, tone {_hz(v['tone_hz'])}"


def _reverb(v) -> str:
    return f"RT60 {v['rt60_s']:.2f} s, mix {v['mix']:.0%}, pre-delay {v['predelay_ms']:.0f} ms"


def _plain(v) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in v.items())


def _hz(hz: float) -> str:
    return f"{hz / 1000:.1f} kHz" if hz >= 1000 else f"{hz:.0f} Hz"


_WORDS = {"equaliser": _equaliser, "compressor": _compressor, "distortion": _distortion, "reverb": _reverb}


# --- picture --------------------------------------------------------------------------------------


def _spectrum(path: Path, centres: np.ndarray) -> np.ndarray:
    """Long-term third-octave spectrum in dB of a file brought to -23 LUFS."""
    x, rate = soundfile.read(path, always_2d=True)
    x = x.mean(1)
    x = x * 10 ** ((-23.0 - integrated_loudness(x, rate)) / 20)
    frames = np.lib.stride_tricks.sliding_window_view(x, 4096)[::2048] * np.hanning(4096)
    power = np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0) / 4096
    hz = np.fft.rfftfreq(4096, 1 / rate)
    bands = [power[(hz >= c / 2 ** (1 / 6)) & (hz < c * 2 ** (1 / 6))] for c in centres]
    return np.array([10 * np.log10(b.mean() + 1e-12) if len(b) else np.nan for b in bands])


def picture(before: Path, after: Path, reference: Path, settings: ChainSettings) -> str:
    """Draw the spectra before and after, the reference's, and the equaliser's curve, as SVG."""
    centres = LOW_HZ * 2 ** (np.arange(29) / 3)
    centres = centres[centres < HIGH_HZ]
    rows = {"before": ("#9aa0a6", before), "after": ("#1a73e8", after), "reference": ("#e8a11a", reference)}
    spectra = {name: (colour, _spectrum(path, centres)) for name, (colour, path) in rows.items()}
    top = max(np.nanmax(s) for _, s in spectra.values()) + 5
    fine = np.geomspace(LOW_HZ, HIGH_HZ, 200)
    curve = of_settings(settings, fine, 48000.0)
    plot_w, plot_h = WIDTH - LEFT - 20, HEIGHT - TOP - 50

    def x(hz: np.ndarray) -> np.ndarray:
        return LEFT + plot_w * np.log(hz / LOW_HZ) / np.log(HIGH_HZ / LOW_HZ)

    def line(hz: np.ndarray, down_db: np.ndarray, style: str) -> str:
        y = TOP + plot_h * np.clip(down_db / 70.0, 0, 1)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x(hz), y, strict=True) if np.isfinite(b))
        return f'<polyline points="{points}" fill="none" {style}/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for hz in (50, 100, 200, 500, 1000, 2000, 5000, 10000):
        at = float(x(np.array(hz)))
        parts.append(f'<path d="M{at:.1f} {TOP}V{TOP + plot_h}" stroke="#e8eaed"/>')
        parts.append(f'<text x="{at:.1f}" y="{TOP + plot_h + 16}" text-anchor="middle" fill="#5f6368">{_hz(hz)}</text>')
    for db in range(0, 71, 10):
        at = TOP + plot_h * db / 70
        parts.append(f'<path d="M{LEFT} {at:.1f}H{LEFT + plot_w}" stroke="#e8eaed"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" fill="#5f6368">{-db} dB</text>')
    for colour, spectrum in spectra.values():
        parts.append(line(centres, top - spectrum, f'stroke="{colour}" stroke-width="2"'))
    parts.append(line(fine, 20.0 - curve, 'stroke="#202124" stroke-dasharray="4 3"'))
    legend = [*((n, c) for n, (c, _) in spectra.items()), ("equaliser (0 dB at -20)", "#202124")]
    for i, (name, colour) in enumerate(legend):
        parts.append(f'<text x="{LEFT + 120 * i}" y="20" fill="{colour}">— {name}</text>')
    title = "Third-octave spectra at equal loudness"
    parts.append(
        f'<text x="{LEFT + plot_w / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="#5f6368">{title}</text></svg>'
    )
    return "\n".join(parts) + "\n"
