"""Meters for the pages: read from the memory that the audio thread writes to, and sent as 32-bit floats.

It needs neither numba nor the effects: afx-live says where everything lies.
"""

import mmap
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ...dsp.spectrum import band_powers

FRAME_S = 1 / 30
WINDOW = 4096
SMOOTHING = 0.35
"""How far the spectrum follows each frame."""
FLOOR_DB = -100.0


class MeterReader:
    """Read the meters, and the spectrum of the input right now.

    A frame is, in float32 and the byte order of this machine, every meter in the order of `fields`, then the
    input's level in a third octave around each of `hz`, in dB.
    """

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._format: list[tuple[int, str]] = []
        self._ring: np.ndarray | None = None
        self._hz, self._level, self._rate = np.zeros(0), np.zeros(0), 0.0
        self._written = -1
        self.fields: list[list[Any]] = []

    def open(self, where: Mapping[str, Any] | None) -> None:
        """Map the memory that `where` names; None closes it.

        `file`, `fields` {name: [offset, struct's letter, count]}, `ring` [offset, frames], `rate` and `hz`, the bands.
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
            self._hz, self._rate = np.asarray(where["hz"]), where["rate"]
            self._level = np.full(len(self._hz), FLOOR_DB)

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
        band = band_powers(power, self._rate, self._hz)
        level = 10.0 * np.log10(np.maximum(band, 10 ** (FLOOR_DB / 10)))
        self._level = self._level + SMOOTHING * (np.nan_to_num(level, nan=FLOOR_DB) - self._level)
        return self._level
