"""The spectra of the status view: of what comes in, and of the references; each is computed when it has changed."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...dsp.spectrum import band_powers, mean_power
from ...files import AudioFileError, AudioReader
from ...matching.reference import ReferenceClip

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine

log = logging.getLogger(__name__)

HZ = np.geomspace(30.0, 20000.0, 96)
MEAN_HZ = (100.0, 8000.0)
"""Spectra are given relative to their mean over this range."""
REFERENCE_S = 60.0
"""Only the first minute of a reference is used."""
INPUT_S, AVERAGED = 2.0, 5
"""Each update takes the last two seconds of input; the average forgets what is older than about five updates."""
SILENCE_LUFS = -60.0

Levels = list[float | None]


def rounded(values: Iterable[float]) -> Levels:
    """Round to a tenth, as JSON can hold it: what is not finite becomes None."""
    return [round(float(v), 1) if np.isfinite(v) else None for v in values]


def relative_levels(power: np.ndarray, sample_rate: float) -> Levels | None:
    """Give the level of a third octave around each of HZ, in dB relative to their mean; None for silence.

    power: (bins,), as `mean_power` gives it.
    """
    band = band_powers(power, sample_rate, HZ)
    if not band.max() > 1e-12:
        return None
    level = 10.0 * np.log10(np.maximum(band, 1e-6 * band.max()))
    level -= level[(HZ >= MEAN_HZ[0]) & (HZ <= MEAN_HZ[1])].mean()
    return rounded(np.where(HZ * 2 ** (1 / 6) <= sample_rate / 2, level, np.nan))


def spectrum_of(path: Path) -> Levels | None:
    """Give the spectrum of the first minute of a file; None if it is silent or cannot be read any more."""
    try:
        with AudioReader(path) as file:
            rate = file.sample_rate
            x = np.concatenate([*file.blocks(0, REFERENCE_S * rate), np.zeros((0, file.channels))])
        blocks = [mean_power(x[at : at + rate], rate) for at in range(0, len(x), rate)]
        return relative_levels(np.mean(blocks, 0), rate) if blocks else None
    except (OSError, AudioFileError) as error:
        log.info("no spectrum of %s: %s", path, error)
        return None


class Spectra:
    """`input` and `reference`: levels in dB at HZ, or None where there is nothing."""

    def __init__(self) -> None:
        self._power, self._count, self._rate = np.zeros(0), 0, 0.0
        self._paths: tuple[Path, ...] = ()
        self.input: Levels | None = None
        self.reference: Levels | None = None

    def update_input(self, engine: "LiveEngine") -> None:
        """Add the last seconds of input to the average, unless they are silent."""
        rate = engine.sample_rate
        if rate != self._rate:
            self._rate, self._count = rate, 0
        if not engine.meters()["in_lufs"] > SILENCE_LUFS:
            return
        new = mean_power(engine.recent_input(INPUT_S), rate)
        if not 0.0 < new.sum() < np.inf:
            return
        self._count = min(self._count + 1, AVERAGED)
        self._power = new if self._count == 1 else self._power + (new - self._power) / self._count
        self.input = relative_levels(self._power, rate)

    def update_reference(self, references: Sequence[ReferenceClip]) -> None:
        """Take other references, if they have changed; several give their mean."""
        paths = tuple(r.path for r in references)
        if paths == self._paths:
            return
        self._paths = paths
        found = [np.array(s, float) for path in paths if (s := spectrum_of(path))]
        self.reference = rounded(np.mean(found, 0)) if found else None
