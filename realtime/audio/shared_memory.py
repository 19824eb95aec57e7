"""What Python and the audio thread share: one block of memory, a file when two processes need it.

Settings go in through two buffers and a sequence number, so that at the start of a block the audio thread takes either
the old settings or the new ones, whole. Meters and the last seconds of input
come out. Any process may map the file and read along.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...chain import ChainSettings
from ...chain.player import SLOTS, TARGET_FIELDS, targets_of
from ...dsp.compiler import jit
from ...dsp.cpu import fence
from ...dsp.entry import Array

RING_S = 20
"""Seconds of input kept for analysis."""

COMMAND = np.dtype(
    [
        ("generation", "i8"),  # another number asks for a crossfade to a fresh chain
        ("bypass", "f8"),
        ("dry_gain", "f8"),  # brings the bypassed signal to the loudness of the processed one
        ("muted", "f8"),
        *TARGET_FIELDS,
    ],
    align=True,
)
"""What is to be played: the targets of a chain's parameters, and what concerns the whole engine."""

METERS = np.dtype(
    [
        ("sequence", "i8"),
        ("applied", "i8"),  # the last sequence number that the audio thread took
        ("clock", "i8"),  # frames played
        ("ring", "i8"),  # frames written to the input ring
        ("callbacks", "i8"),
        ("input_overflows", "i8"),
        ("output_underflows", "i8"),
        ("late", "i8"),
        ("muted_blocks", "i8"),
        ("clipped", "i8"),
        ("load", "f8"),
        ("load_max", "f8"),
        ("in_peak", "f8"),
        ("out_peak", "f8"),
        ("in_dc", "f8", (2,)),  # of each channel, as it came in; the input stage takes it off
        ("in_rms", "f8"),
        ("out_rms", "f8"),
        ("in_lufs", "f8"),
        ("out_lufs", "f8"),
        ("ceiling_gain", "f8"),
        ("gain_reduction_db", "f8", (SLOTS,)),
    ],
    align=True,
)
"""Counters since the start; peaks fall by 20 dB/s; RMS over 0.3 s; loudness short-term (3 s)."""

RING_OFFSET = METERS.itemsize + 2 * COMMAND.itemsize
"""Where the input ring begins in the block, in bytes; it goes on to the end, 8 bytes a frame."""


@jit(entry=(Array(METERS, 1), Array(COMMAND, 1), Array(COMMAND, 1)))
def _publish(meters, commands, draft):
    """Make the draft the latest command: fill the buffer that nobody reads, then move the sequence number on."""
    commands[(meters[0].sequence + 1) % 2] = draft[0]
    fence()
    meters[0].sequence += 1


@dataclass
class Shared:
    """The block of memory. `Shared.create(path)` makes the file, `Shared.open(path)` maps it."""

    meters: np.ndarray
    commands: np.ndarray
    ring: np.ndarray
    path: Path | None = None
    _draft: np.ndarray = field(default_factory=lambda: np.zeros(1, COMMAND))
    _order: tuple[str, ...] | None = None

    @classmethod
    def create(cls, path: Path | None, sample_rate: float) -> "Shared":
        """Make a fresh block, in a file or (without a path) in this process only. Raises OSError for a full disk."""
        frames = int(RING_S * sample_rate)
        size = RING_OFFSET + 8 * frames
        if path is None:
            return cls._split(np.zeros(size, np.uint8), None)
        with open(path, "wb") as file:
            file.write(bytes(size))  # takes the room now: a disk that is full later would end the stream
            os.fchmod(file.fileno(), 0o600)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "Shared":
        """Map a block that another process made."""
        return cls._split(np.memmap(path, np.uint8, "r+"), path)

    @classmethod
    def _split(cls, memory: np.ndarray, path: Path | None) -> "Shared":
        raw = np.asarray(memory)
        meters, commands, ring = np.split(raw, [METERS.itemsize, RING_OFFSET])
        return cls(meters.view(METERS), commands.view(COMMAND), ring.view(np.float32).reshape(-1, 2), path)

    def copy(self) -> "Shared":
        """Give a block of its own to this process, as this one is now; the ring is empty."""
        return Shared(self.meters.copy(), self.commands.copy(), np.zeros_like(self.ring))

    def play(
        self,
        settings: ChainSettings,
        *,
        bypass: bool = False,
        dry_gain_db: float = 0.0,
        muted: bool = False,
        cross_over: bool = False,
    ) -> None:
        """Ask for these settings. Other effects, another order or `cross_over` crossfade; otherwise parameters ramp."""
        order = tuple(s.effect for s in settings.effects)
        draft = self._draft[0]
        targets_of(settings, draft)
        if cross_over or order != self._order:
            draft["generation"] += 1
        self._order = order
        draft["bypass"], draft["muted"], draft["dry_gain"] = bypass, muted, 10 ** (dry_gain_db / 20)
        _publish(self.meters, self.commands, self._draft)

    def mute(self) -> None:
        """Ask for silence, in 5 ms; any process that maps the block may, while no other writes."""
        self._draft[:] = self.commands[int(self.meters[0]["sequence"]) % 2]
        self._draft["muted"] = 1.0
        _publish(self.meters, self.commands, self._draft)

    def read(self) -> Mapping[str, Any]:
        """Give every counter and meter by name."""
        row = self.meters[0].copy()
        return {name: row[name].tolist() for name in METERS.names or ()}

    def recent_input(self, seconds: float, sample_rate: float) -> np.ndarray:
        """Copy the last seconds of input (frames, 2), float32, oldest first; shorter early in a stream."""
        end, size = int(self.meters[0]["ring"]), len(self.ring)
        count = min(int(seconds * sample_rate), end, size - int(sample_rate))  # a second of margin to the writer
        return self.ring[np.arange(end - count, end) % size].copy()
