"""What effects do, as numbers to draw: computed by the very functions that play, so that a picture is no story."""

import logging
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ...chain import ChainPlayer, ChainSettings, EffectSettings
from ...dsp.biquad import magnitude_db
from ...effects import compressor, distortion, equaliser
from ..session.spectra import HZ
from ..threads import RestartableThread

log = logging.getLogger(__name__)

LEVELS_DB = np.linspace(-60.0, 0.0, 61)
WAVE = np.linspace(-1.0, 1.0, 129)
SATURATED = 5.0
"""A curve is drawn as far as an amplitude that its drive brings to this."""
ROOM_RATE = 24000.0
MOST_ROOM_S = 4.0
ROOM_POINTS = 80
BANDS_HZ = ((0.0, 400.0, "low"), (400.0, 3000.0, "mid"), (3000.0, 12000.0, "high"))
FLOOR_DB = -60.0

Picture = dict[str, Any]


class Artist:
    """Draw on a thread of its own: the first room takes a while, where effects are compiled first."""

    def __init__(self) -> None:
        self.pictures: dict[str, Picture] = {}
        self._wanted: tuple[ChainSettings, float] | None = None
        self._drawn: tuple[ChainSettings, float] | None = None
        self._wake, self._closing = threading.Event(), False
        self._thread = RestartableThread("the page's pictures", self._run)
        self._thread.start()

    def draw(self, settings: ChainSettings, sample_rate: float) -> None:
        """Ask for pictures of these settings, which soon are `pictures`."""
        self._thread.revive()
        if (settings, sample_rate) != self._wanted:
            self._wanted = settings, sample_rate
            self._wake.set()

    @property
    def done(self) -> bool:
        """Whether the pictures are those that were asked for last."""
        return self._drawn == self._wanted

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._thread.finish()
        self._wake.set()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            if (wanted := self._wanted) is not None and wanted != self._drawn:
                try:
                    self.pictures = pictures(*wanted)
                except Exception:  # no picture is no reason to show no state
                    log.exception("a picture failed")
                self._drawn = wanted


def pictures(settings: ChainSettings, sample_rate: float) -> dict[str, Picture]:
    """Draw every effect that has a picture, as it plays in this chain."""
    found, gain_db = {}, settings.input_gain_db
    for step in settings.effects:
        if (draw := _DRAWN.get(step.effect)) is not None:
            found[step.effect] = {**draw(tuple(step.values.items()), float(sample_rate)), "gain_db": round(gain_db, 2)}
        if step.enabled:
            gain_db += step.values.get("makeup_db", 0.0)
    return found


def _rounded(values: Any, digits: int = 2) -> list[float | None]:
    return [round(float(v), digits) if np.isfinite(v) else None for v in np.asarray(values)]


@lru_cache(4)
def _equaliser(items: tuple[tuple[str, float], ...], sample_rate: float) -> Picture:
    """The whole curve in dB at HZ, and that of each band."""
    values = dict(items)
    sections = equaliser.sections(np.array([*values.values()]), sample_rate)
    audible = sample_rate / 2 > HZ
    curves = [np.where(audible, magnitude_db(one[None], HZ, sample_rate), np.nan) for one in sections]
    return {
        "total_db": _rounded(np.sum(curves, axis=0)),
        "bands_db": {b.name: _rounded(curve) for b, curve in zip(equaliser.bands(values), curves, strict=True)},
    }


@lru_cache(4)
def _compressor(items: tuple[tuple[str, float], ...], _: float) -> Picture:
    """Levels out of a compressor, in dB, for steady ones in."""
    v = dict(items)
    return _dynamics(v["threshold_db"], v["ratio"], v["knee_db"], v["makeup_db"])


@lru_cache(4)
def _limiter(items: tuple[tuple[str, float], ...], _: float) -> Picture:
    v = dict(items)
    return _dynamics(v["ceiling_db"], np.inf, v["knee_db"], 0.0)


def _dynamics(threshold_db: float, ratio: float, knee_db: float, makeup_db: float) -> Picture:
    out = LEVELS_DB + compressor.static_gain_db(LEVELS_DB, threshold_db, ratio, knee_db) + makeup_db
    return {"in_db": _rounded(LEVELS_DB), "out_db": _rounded(out), "makeup_db": makeup_db}


@lru_cache(4)
def _distortion(items: tuple[tuple[str, float], ...], _: float) -> Picture:
    """What becomes of an amplitude, as it is mixed; the tone filter does not show."""
    v = dict(items)
    x = WAVE * min(SATURATED * 10 ** (-v["drive_db"] / 20), 1.0)
    wet = distortion.curve(x, v["drive_db"], v["bias"])
    return {"x": _rounded(x, 5), "y": _rounded(x + v["mix"] * (wet - x), 5)}


@lru_cache(4)
def _reverb(items: tuple[tuple[str, float], ...], _: float) -> Picture:
    """The energy that is left after each moment, in dB of the direct sound's, in three bands (Schroeder, 1965)."""
    values = dict(items)
    seconds = float(np.clip(1.15 * values["rt60_s"] + 1e-3 * values["predelay_ms"], 0.3, MOST_ROOM_S))
    click = np.zeros((int(seconds * ROOM_RATE), 2), np.float32)
    click[0] = 1.0
    room = ChainSettings((EffectSettings("reverb", {**values, "mix": 1.0}),))
    response = ChainPlayer(room, ROOM_RATE, 2).play(click).mean(1)
    spectrum, hz = np.fft.rfft(response, 2 * len(response)), np.fft.rfftfreq(2 * len(response), 1 / ROOM_RATE)
    times = np.linspace(0, len(response) - 1, ROOM_POINTS).astype(int)
    mix_db, bands = 20.0 * np.log10(max(values["mix"], 1e-3)), []
    for low, high, label in BANDS_HZ:
        band = np.fft.irfft(np.where((hz >= low) & (hz < high), spectrum, 0.0))[: len(response)]
        left = np.cumsum((band * band)[::-1])[::-1]
        energy = 10.0 * np.log10(left / max(left[0], 1e-20) + 1e-12) + mix_db
        bands.append({"label": label, "energy_db": _rounded(np.maximum(energy[times], FLOOR_DB), 1)})
    return {"time_s": _rounded(times / ROOM_RATE, 4), "bands": bands}


_DRAWN: Mapping[str, Any] = {
    "equaliser": _equaliser,
    "compressor": _compressor,
    "limiter": _limiter,
    "distortion": _distortion,
    "reverb": _reverb,
}
