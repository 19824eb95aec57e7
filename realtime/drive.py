"""A distortion's drive, checked by ear: played a little lower and higher, it stays where the reference's spectrum is.

Of all settings the network tells drive least exactly, 4 to 8 dB off, and its harmonics are easily heard in
the average spectrum. Of one source, that of the reference is trusted more than of another, where it is
also other notes and words. Figures: training/EXPERIMENTS.md.
"""

from collections.abc import Sequence

import numpy as np

from ..effects import Rack, Settings, load
from .predictor import ClipError, Description, Predictor

EFFECT, NAME = "distortion", "drive_db"
ROUNDS_DB = (6.0, 3.0)
"""How far down and up each round goes from where the last one ended: three plays a round."""
HOLD = np.array([0.03, 0.005])
"""What moving a dB costs, squared, beside the spectra's squared distance: of other and of same sources."""


class Drive:
    """A search that goes on each time it listens, and is over after two rounds. One thread uses it."""

    def __init__(self) -> None:
        self.offset_db, self._round = 0.0, 0

    def asked(self, settings: Settings) -> bool:
        """Tell whether there is a drive to search for, and something left to do."""
        return self._round < len(ROUNDS_DB) and any(s.effect == EFFECT and s.on for s in settings.steps)

    def moved(self, settings: Settings, by_db: float | None = None) -> Settings:
        """Move the drive of settings by what was found, or by so much, as far as it goes."""
        if not any(s.effect == EFFECT for s in settings.steps):
            return settings
        step = settings.step(EFFECT)
        wanted = step.values[NAME] + (self.offset_db if by_db is None else by_db)
        return settings.with_step(EFFECT, None, **{NAME: load(EFFECT).param(NAME).clip(wanted)})

    def listen(
        self, predictor: Predictor, settings: Settings, x: np.ndarray, sample_rate: float,
        references: Sequence[Description], kin: float,
    ) -> None:  # fmt: skip
        """Go one round on a stretch of the input (frames, channels).

        settings: as predicted, without an offset, and with the input gain that they will be played with.
        """
        step, self._round = ROUNDS_DB[self._round], self._round + 1
        tried = np.array([self.offset_db, self.offset_db - step, self.offset_db + step])
        try:
            heard = [
                predictor.describe(Rack(self.moved(settings, by), sample_rate, x.shape[1]).play(x), sample_rate)
                for by in tried
            ]
        except ClipError:  # nothing is heard of it
            return
        apart = np.array([np.mean([predictor.spectra_apart(h, r) for r in references]) for h in heard])
        hold = HOLD[0] + kin * (HOLD[1] - HOLD[0])
        self.offset_db = float(tried[np.argmin(apart / (apart.mean() + 1e-9) + hold * tried**2)])
