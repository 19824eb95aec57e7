"""Pairs out of rendered takes: batches of statistics with what is known of f, and segments to hear."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..chain import ChainParameters
from ..effects import load as load_effect
from .features import AVERAGE, BANDS, FLOOR, SPECTRA
from .response_losses import louder_by
from .takes import SEGMENT


class Batch(NamedTuple):
    """Pairs as tensors, one row each.

    input, reference (batch, size): raw statistics, pooled over windows; heard (batch, 2): over how many.
    allowed (batch, effects): what may be used. values (batch, params), confidence (batch, params), on, on_certain
    (batch, effects) and curve (batch, bands): f's, see `chains.Played`, as they are for a chain whose
    equaliser leaves the input's loudness as it is. same_source (batch,): 1 for one recording.
    given, answer (batch, frames): what to play, and what it should become; empty where sound is not asked for.
    """

    input: torch.Tensor
    reference: torch.Tensor
    heard: torch.Tensor
    allowed: torch.Tensor
    values: torch.Tensor
    confidence: torch.Tensor
    on: torch.Tensor
    on_certain: torch.Tensor
    curve: torch.Tensor
    same_source: torch.Tensor
    given: torch.Tensor
    answer: torch.Tensor


@dataclass(frozen=True)
class Shards:
    """All takes of a folder: clips (n, size), the table's columns, and where each row's segments are.

    shard (rows,) numbers the memory-mapped files of `sounds`, and `scale` are their rows' scales. chain: what f is of.
    """

    chain: ChainParameters
    clips: np.ndarray
    rows: dict[str, np.ndarray]
    shard: np.ndarray
    sounds: list[np.ndarray]
    scale: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.shard)

    def segment(self, row: int, place: int) -> np.ndarray:
        """Read a segment (SEGMENT,)."""
        i = self.shard[row]
        return self.sounds[i][place].astype(np.float32) * self.scale[i][place]


PLACES = ("reference", "dry", "same", "other")


def names(folder: Path) -> list[Path]:
    """List the shards of a folder."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and (p / "rows.npz").is_file())


def load(folder: Path, chain: ChainParameters, most: int | None = None) -> Shards:
    """Read what has been rendered so far of a chain; the first `most` shards, or all."""
    homes = names(folder)[:most]
    if not homes:
        raise ValueError(f"{folder} holds no rendered takes")
    clips, tables, shard, sounds, scale, offset = [], [], [], [], [], 0
    for i, home in enumerate(homes):
        with np.load(home / "rows.npz") as found:
            table = {k: found[k] for k in found.files}
        clips.append(np.load(home / "clips.npy"))
        for name in PLACES:
            table[name] = table[name] + np.array([offset, 0])
        offset += len(clips[-1])
        tables.append(table)
        shard.append(np.full(len(table["on"]), i))
        sounds.append(np.load(home / "segments.npy", mmap_mode="r"))
        scale.append(np.load(home / "scale.npy"))
    columns = {k: np.concatenate([t[k] for t in tables]) for k in tables[0]}
    columns["values"] = level_normalised(chain, columns["values"], columns["front_db"])
    return Shards(chain, np.concatenate(clips), columns, np.concatenate(shard), sounds, scale)


def level_normalised(chain: ChainParameters, values: np.ndarray, front_db: np.ndarray) -> np.ndarray:
    """Say every f as it is for a signal that leaves the linear effects in front at -23 LUFS.

    values (…, params); front_db (…): how much louder those of f, an equaliser for example, made the clip. That
    depends on the clip and cannot be heard in a levelled reference, and the live side solves level anyway:
    it brings what *leaves* them to -23 LUFS. So it is taken off a compressor's threshold and put on a drive.
    """
    values = values.copy()
    for column, (effect, param) in enumerate(chain.params):
        slope = load_effect(effect).follows_level.get(param.name, 0.0)
        values[..., column] = np.clip(values[..., column] - slope * front_db, param.low, param.high)
    return values


class Pairs:
    """Draws batches of pairs from shards.

    Half of the pairs take the input from the reference's own recording, a quarter the take's other
    recording, a quarter (without sound) any other take's. `colour_db` is how strongly both clips of a pair
    are coloured alike, as another microphone would, so that what is learned is how they differ. `masked` is
    how often not every effect is allowed: half of these times those that f has, else any.
    """

    def __init__(self, shards: Shards, seed: int | None = None, colour_db: float = 2.0, masked: float = 0.35) -> None:
        self._s, self._rng = shards, np.random.default_rng(seed)
        self._colour_db, self._masked = colour_db, masked
        self._plain = np.flatnonzero(np.abs(shards.rows["corruption_db"]).max(1) == 0.0)

    def batch(self, rows: np.ndarray, sound: bool, same: np.ndarray | None = None) -> Batch:
        """Make a batch of pairs, one of each row of the table; `same` (rows,) bool says whose input, or chance."""
        s, rng = self._s, self._rng
        table = {k: v[rows] for k, v in s.rows.items()}
        same = rng.random(len(rows)) < 0.5 if same is None else same
        place = np.where(same[:, None], table["same"], table["other"])
        if not sound:  # where f is all that was done, any dry clip may be the input
            far = ~same & (np.abs(table["corruption_db"]).max(1) == 0.0) & (rng.random(len(rows)) < 0.5)
            elsewhere = s.rows["same"][self._plain[rng.integers(len(self._plain), size=len(rows))]]
            place = np.where(far[:, None], elsewhere, place)
        here, heard_here = self._pooled(place)
        there, heard_there = self._pooled(table["reference"])
        if self._colour_db:
            colour = self._colour_db * rng.standard_normal((len(rows), 1)) * _smooth(rng, len(rows))
            here, there = _coloured(here, colour), _coloured(there, colour)
        corruption_db = table["corruption_db"]
        curve = table["curve"] - corruption_db
        curve = curve - louder_by(here[:, :BANDS], curve)[:, None]
        undone = np.array([e == "equaliser" for e in s.chain.order]) * (np.abs(corruption_db).max(1) > 0.0)[:, None]
        on = np.maximum(table["on"], undone)
        clips = self._sounds(rows, table, same) if sound else (np.zeros((len(rows), 0)),) * 2
        columns = (
            here, there, np.stack([heard_here, heard_there], 1), self._allowed(on), table["values"],
            table["confidence"], on, table["on_certain"], curve, same, *clips,
        )  # fmt: skip
        return Batch(*(torch.from_numpy(np.asarray(c, np.float32)) for c in columns))

    def _pooled(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average some of each clip's windows: (rows, size), and how many (rows,)."""
        out = np.empty((len(places), self._s.clips.shape[1]), np.float32)
        counts = self._rng.integers(1, places[:, 1] + 1)
        for row, (first, count), some in zip(out, places, counts, strict=True):
            start = first + self._rng.integers(count - some + 1)
            row[:] = self._s.clips[start] if some == 1 else self._s.clips[start : start + some].mean(0)
        return out, counts

    def _allowed(self, on: np.ndarray) -> np.ndarray:
        rng, (count, effects) = self._rng, on.shape
        told = np.where(rng.random((count, 1)) < 0.5, on > 0, rng.random((count, effects)) < 0.5)
        told[~told.any(1)] = True
        return np.where(rng.random((count, 1)) < self._masked, told, True)

    def _sounds(
        self, rows: np.ndarray, table: dict[str, np.ndarray], same: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        given, answer = np.empty((2, len(rows), SEGMENT), np.float32)
        for i, row in enumerate(rows):
            name = "same" if same[i] else "other"
            given[i] = self._s.segment(row, table[f"{name}_input"][i])
            answer[i] = self._s.segment(row, table[f"{name}_answer"][i])
        return given, answer


def _smooth(rng: np.random.Generator, count: int, knots: int = 7) -> np.ndarray:
    """Draw smooth curves over the bands, of about 1 dB: (count, bands)."""
    tents = np.maximum(0.0, 1.0 - np.abs(np.linspace(0, knots - 1, BANDS) - np.arange(knots)[:, None]))
    return rng.standard_normal((count, knots)) @ tents


def _coloured(statistics: np.ndarray, curve_db: np.ndarray) -> np.ndarray:
    """Filter clips that are known by their statistics: a filter moves a band's levels, and hardly anything else."""
    spectra = statistics[:, : SPECTRA * BANDS].reshape(len(statistics), SPECTRA, BANDS)
    average, floor = np.eye(SPECTRA)[[AVERAGE, FLOOR]]
    moved = spectra + (average + floor)[:, None] * curve_db[:, None]
    return np.concatenate([moved.reshape(len(statistics), -1), statistics[:, SPECTRA * BANDS :]], 1)
