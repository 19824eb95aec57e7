"""Meters for the pages: read from the memory that the audio thread writes to, and sent as 32-bit floats.

It needs neither numba nor the effects: afx-live says where everything lies.
"""

import mmap
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

FRAME_S = 1 / 30
BANDS = 96
WINDOW = 4096
SMOOTHING = 0.35
"""How far the spectrum follows each frame."""
FLOOR_DB = -100.0


class MeterReader:
    """Read the meters, and the spectrum of the input right now.

    A frame is, in float32 and the byte order of this machine, every meter in the order of `fields`, then the
    input's level in BANDS bands of a third octave, in dB.
    """

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._format: list[tuple[int, str]] = []
        self._ring: np.ndarray | None = None
        self._band = np.zeros(BANDS)
        self._edges = np.zeros((2, BANDS))
        self._written = -1
        self._level = np.full(BANDS, FLOOR_DB)
        self.fields: list[list[Any]] = []

    def open(self, where: Mapping[str, Any] | None) -> None:
        """Map the memory: `file`, `fields` {name: [offset, struct's letter, count]}, `ring` [offset, frames], `rate`.

        None closes it.
        """
        self._memory = self._ring = None
        self._format, self.fields = [], []
        if where is None:
            return
        with suppress(OSError, ValueError):
            with open(where["file"], "rb") as file:
                self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._format = [(offset, f"={count}{letter}") for offset, letter, count in where["fields"].values()]
            self.fields = [[name, count] for name, (_, _, count) in where["fields"].items()]
            offset, frames = where["ring"]
            self._ring = np.frombuffer(self._memory, np.float32, 2 * frames, offset).reshape(-1, 2)
            self._written = where["fields"]["ring"][0]
            hz = np.asarray(where["hz"]) * WINDOW / where["rate"]
            self._edges = np.stack([hz * 2 ** (-1 / 6), hz * 2 ** (1 / 6)])

    def frame(self) -> bytes | None:
        """Give a frame; None while there is nothing to read."""
        if self._memory is None:
            return None
        values = [v for offset, letters in self._format for v in struct.unpack_from(letters, self._memory, offset)]
        return np.array([*values, *self._spectrum()], np.float32).tobytes()

    def _spectrum(self) -> np.ndarray:
        """Follow the level in each band, over the last tenth of a second."""
        assert self._memory is not None
        assert self._ring is not None
        end = struct.unpack_from("=q", self._memory, self._written)[0]
        if end < WINDOW:
            return self._level
        x = self._ring[np.arange(end - WINDOW, end) % len(self._ring)].mean(1)
        power = np.abs(np.fft.rfft(x * np.hanning(WINDOW))) ** 2 * (8 / 3) * 2 / WINDOW**2
        below = np.concatenate([[0.0], np.cumsum(power)])
        place = np.arange(len(below)) - 0.5
        band = np.diff([np.interp(edge, place, below) for edge in self._edges], axis=0)[0]
        level = 10.0 * np.log10(np.maximum(band, 10 ** (FLOOR_DB / 10)))
        self._level = self._level + SMOOTHING * (np.nan_to_num(level, nan=FLOOR_DB) - self._level)
        return self._level
