"""Takes: stretches of recordings, and the same stretches after random chains, rendered without end.

A take is a stretch A of one recording, played through several chains f, and inputs for which f(A) is a
reference: another stretch B of the same recording, and a stretch C of another one. The answers f(B) and
f(C) are kept for a short *segment* of each, on which training compares sound. Takes are written in
*shards*, folders that appear whole, by as many processes as one likes; training reads what there is.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from ..chain import CANONICAL, ChainSettings
from ..dsp.loudness import integrated_loudness
from .features import LUFS, SAMPLE_RATE, WINDOW, FeatureExtractor
from .other_effects import chains, compressors, filters
from .other_effects.chains import NO_IMPULSES, Impulses, MixedChain, Played
from .other_effects.outcome import OtherEffect
from .recordings.decoded import Decoded

SEGMENT = 65536
"""Frames of sound that an answer has."""
STYLES = 4
TAKES = 32
"""Takes in a shard."""
OTHER_KIND = 0.75
"""How many of all chains have effects in them that are built in other ways than ours."""
PAPER = 0.12
"""How many chains are DeepAFx-ST's: a bold equaliser and a compressor after an input that is equalised as boldly."""
BOLD = 0.3
"""How many chains are bold: never hardly audible, and dynamics alone more often than other effects alone."""
ALONE = {"compressor": 3.0, "distortion": 1.6}
"""How much more often than others an effect stands alone in a bold chain."""
CORRUPTED = 0.05
"""How many other inputs went through an equaliser of their own."""
WINDOWS = {1: 0.6, 2: 0.25, 3: 0.1, 5: 0.05}
"""How many windows of 5 s are heard of a clip."""
KINDS = {
    "speech": 0.24, "music": 0.2, "instruments": 0.16, "guitar": 0.12, "drums": 0.08, "vocals": 0.08, "stems": 0.08,
    "loops": 0.04,
}  # fmt: skip
"""How often a kind of recording is drawn; others as seldom as loops."""


@dataclass(frozen=True)
class Stretch:
    """A clip of some windows of 5 s at -23 LUFS (frames,), and a segment of it."""

    sound: np.ndarray
    segment: np.ndarray


class Shard:
    """What a shard holds, while it is being made: clips and segments as rows, and a table of pairs to be.

    clips (n, size) are the front end's statistics of windows of 5 s; segments (m, 65536) are int16, with
    a scale for each row. Every row of the table is one chain: places (first, count) of the reference's
    windows, of A's, and of both inputs' in clips, and of (input, answer) of both in segments; what is
    known of the chain, see `chains.Played`.
    """

    def __init__(self, front_end: FeatureExtractor) -> None:
        self.front_end = front_end
        self.clips: list[np.ndarray] = []
        self.segments: list[np.ndarray] = []
        self.rows: dict[str, list] = {}

    def clip(self, x: np.ndarray) -> tuple[int, int]:
        """Add the windows of a clip that are heard, each at -23 LUFS as the program hears it; Silent if none is."""
        first = len(self.clips)
        for window in x.reshape(-1, WINDOW):
            with suppress(Silent), torch.no_grad():
                clip = torch.from_numpy(levelled(window).astype(np.float32))
                self.clips.append(self.front_end(clip[None])[0].numpy())
        if len(self.clips) == first:
            raise Silent
        return first, len(self.clips) - first

    def segment(self, x: np.ndarray) -> int:
        """Add a segment."""
        self.segments.append(x)
        return len(self.segments) - 1

    def row(self, **values: object) -> None:
        """Add a row to the table."""
        for key, value in values.items():
            self.rows.setdefault(key, []).append(value)

    def write(self, home: Path) -> None:
        """Write the shard as a folder that appears whole."""
        part = home.with_name(f".{home.name}.{os.getpid()}")
        part.mkdir(parents=True, exist_ok=True)
        np.save(part / "clips.npy", np.array(self.clips, np.float32))
        table = np.empty((len(self.segments), SEGMENT), np.int16)
        scale = np.array([max(float(np.abs(x).max()), 1e-6) / 32767.0 for x in self.segments], np.float32)
        for row, x, s in zip(table, self.segments, scale, strict=True):
            row[:] = np.round(x / s)
        np.save(part / "segments.npy", table)
        np.save(part / "scale.npy", scale)
        rows: dict[str, Any] = {k: np.array(v) for k, v in self.rows.items()}
        np.savez(part / "rows.npz", **rows)
        part.rename(home)


class Silent(ArithmeticError):
    """A clip in which nothing is heard, or an effect that gave no sound."""


class Renderer:
    """Draws takes from decoded recordings and plays them."""

    def __init__(
        self, dry: Decoded, seed: Sequence[int], impulses: Impulses = NO_IMPULSES, vary: bool = True,
        order: tuple[str, ...] = CANONICAL,
    ) -> None:  # fmt: skip
        self.dry, self.rng, self.impulses, self.vary = dry, np.random.default_rng(seed), impulses, vary
        self.order = order
        self.front_end = FeatureExtractor()
        self._kinds = sorted(dry.groups)
        weights = np.array([KINDS.get(kind, min(KINDS.values())) for kind in self._kinds])
        self._weights = weights / weights.sum()

    def shard(self, takes: int = TAKES) -> Shard:
        """Render a shard; a take that comes out silent is drawn again."""
        shard, made = Shard(self.front_end), 0
        while made < takes:
            kept = len(shard.clips), len(shard.segments), {k: len(v) for k, v in shard.rows.items()}
            try:
                self._take(shard)
                made += 1
            except Silent:
                del shard.clips[kept[0] :], shard.segments[kept[1] :]
                for key, rows in shard.rows.items():
                    del rows[kept[2].get(key, 0) :]
        return shard

    # --- recordings

    def _recording(self, kind: str | None = None, but: int | None = None) -> int:
        """Draw a kind, a group of it, a recording of that; not from the group of `but`, if there is another."""
        kind = kind or str(self.rng.choice(self._kinds, p=self._weights))
        groups = [g for g in self.dry.groups[kind] if but not in g] or self.dry.groups[kind]
        group = groups[self.rng.integers(len(groups))]
        return group[self.rng.integers(len(group))]

    def _kind_of(self, index: int) -> str:
        return next(kind for kind, groups in self.dry.groups.items() if any(index in g for g in groups))

    def _stretch(self, index: int, low: int, high: int, windows: int, speed: float) -> np.ndarray:
        """Read windows of 5 s from between two frames of a recording; shorter ones go round and round."""
        size = min(int(windows * WINDOW * speed), high - low)
        for _ in range(8):
            start = low + int(self.rng.integers(high - low - size + 1))
            if self.dry.is_heard(index, start, size):
                break
        else:
            raise Silent
        x = self.dry.read(index, start, size)
        if speed != 1.0:
            x = soxr.resample(x, SAMPLE_RATE * speed, SAMPLE_RATE, quality="MQ")
        whole = max(1, min(windows, round(len(x) / WINDOW)))
        return np.resize(x, whole * WINDOW)

    def _windows(self) -> int:
        return int(self.rng.choice(list(WINDOWS), p=list(WINDOWS.values())))

    def _speed(self) -> float:
        return float(np.exp(self.rng.uniform(*np.log((0.85, 1.18))))) if self.vary and self.rng.random() < 0.6 else 1.0

    def _two(self, index: int) -> list[np.ndarray]:
        """Read A and B from two halves of a recording, in either order, sometimes with another one mixed in."""
        half, speed = self.dry.length[index] // 2, self._speed()
        sides = [(0, half), (half, self.dry.length[index])]
        order = self.rng.permutation(2)
        found = [self._stretch(index, sides[i][0], sides[i][1], self._windows(), speed) for i in order]
        if self.vary and self.rng.random() < 0.2:
            other = self._recording(but=index)
            gain, half = 10 ** (self.rng.uniform(-18.0, 0.0) / 20), self.dry.length[other] // 2
            sides = [(0, half), (half, self.dry.length[other])]
            rms = np.sqrt(np.mean(np.square(found[0])))
            mates = [
                self._stretch(other, sides[i][0], sides[i][1], len(x) // WINDOW, 1.0)
                for i, x in zip(order, found, strict=True)
            ]
            gain *= rms / (np.sqrt(np.mean(np.square(mates[0]))) + 1e-9)
            found = [x + gain * np.resize(mate, len(x)) for x, mate in zip(found, mates, strict=True)]
        return found

    def _with_segment(self, x: np.ndarray) -> Stretch:
        x = levelled(x)
        for _ in range(10):
            start = int(self.rng.integers(len(x) - SEGMENT + 1))
            segment = x[start : start + SEGMENT]
            if integrated_loudness(segment, SAMPLE_RATE) > LUFS - 10.0:
                return Stretch(x, segment)
        raise Silent

    # --- takes

    def _take(self, shard: Shard) -> None:
        index = self._recording()
        kind = self._kind_of(index)
        other = self._recording(kind if self.rng.random() < 0.6 else None, but=index)
        a, b = self._two(index)
        c = self._stretch(other, 0, self.dry.length[other], self._windows(), self._speed())
        a, b, c = levelled(a), self._with_segment(b), self._with_segment(c)
        dry = shard.clip(a)
        plain = [(shard.clip(x.sound), shard.segment(x.segment)) for x in (b, c)]
        for _ in range(STYLES):
            variant, before = self._chain()
            played = variant.play(a, SAMPLE_RATE)
            reference = shard.clip(checked(played.audio))
            corruption = None if before is None else before.play(b.sound, SAMPLE_RATE)
            row = {"reference": reference, "dry": dry, "recording": (index, other), "kind": self._kinds.index(kind)}
            for name, x, place in (("same", b, plain[0]), ("other", c, plain[1])):
                clip, given = place
                if corruption is not None:
                    clip = shard.clip(checked(corruption.again(x.sound)))
                    given = shard.segment(corruption.again(x.segment))
                row[name], row[f"{name}_input"] = clip, given
                row[f"{name}_answer"] = shard.segment(checked(played.again(x.segment)))
            shard.row(**row, **_labels(played, corruption))

    def _chain(self) -> tuple[MixedChain, MixedChain | None]:
        """Draw f, and what an input went through before it came to us, mostly nothing."""
        rng, order = self.rng, self.order
        if {"equaliser", "compressor"} <= {*order} and rng.random() < PAPER:
            return _paper(rng, order, 0.75, 0.75), _paper(rng, order, 0.75, 0.0)
        other_kind = chains.OTHER_KIND if rng.random() < OTHER_KIND else 0.0
        effects, strength = _bold(rng, order) if rng.random() < BOLD else (None, chains.draw_strength(rng))
        f = chains.draw(rng, effects, other_kind, order, strength, self.impulses)
        corrupted = "equaliser" in order and rng.random() < CORRUPTED
        return f, chains.draw(rng, ("equaliser",), order=order) if corrupted else None


def _bold(rng: np.random.Generator, order: tuple[str, ...]) -> tuple[tuple[str, ...], float]:
    """Draw which effects a bold chain has, and how strong they are."""
    strengths = 1.0, rng.uniform(0.4, 1.0), rng.uniform(1.0, 1.3)
    chance, strength = rng.random(), float(rng.choice(strengths, p=(0.6, 0.2, 0.2)))
    if chance < 0.04:
        return (), strength
    if chance < 0.54:
        weights = np.array([ALONE.get(effect, 1.0) for effect in order])
        return (order[rng.choice(len(order), p=weights / weights.sum())],), strength
    if chance < 0.74:
        return order, strength
    return tuple(e for e in order if rng.random() < 0.5), strength


def _paper(rng: np.random.Generator, order: tuple[str, ...], equalised: float, compressed: float) -> MixedChain:
    """Draw what DeepAFx-ST does to one side of a pair, each with a chance; levels are those of a clip at -23 LUFS."""
    others: dict[str, OtherEffect] = {}
    if rng.random() < equalised:
        others["equaliser"] = filters.draw_bold(rng)
    if rng.random() < compressed:
        attack_ms = rng.uniform(0.5, 50.5)
        others["compressor"] = compressors.compressor(
            "down", "level", rng.uniform(-57.0, -5.0), 1.0 + rng.uniform(0.05, 10.0),
            (attack_ms, attack_ms + rng.uniform(1.0, 200.0)), rng.uniform(0.1, 12.0),
        )  # fmt: skip
    plain = ChainSettings.default(order)
    steps = tuple(replace(s, enabled=s.effect in others) for s in plain.effects)
    return MixedChain(replace(plain, effects=steps), others)


def _labels(played: Played, corruption: Played | None) -> dict[str, Any]:
    curve, on = played.curve_db, played.on.astype(np.float32)
    corruption_db = np.zeros_like(curve) if corruption is None else corruption.curve_db
    columns = {
        "values": played.values, "on": on, "confidence": played.confidence, "on_certain": played.on_certain,
        "curve": curve, "corruption_db": corruption_db, "front_db": played.front_db,
    }  # fmt: skip
    return {name: np.asarray(column, np.float32) for name, column in columns.items()}


def levelled(x: np.ndarray) -> np.ndarray:
    """Bring a clip to -23 LUFS; Silent if there is nothing to bring."""
    loudness = integrated_loudness(x, SAMPLE_RATE)
    if loudness < -60.0:
        raise Silent
    return x * 10 ** ((LUFS - loudness) / 20)


def checked(x: np.ndarray) -> np.ndarray:
    """Let a sound pass that is one; Silent for NaN, Inf, and silence."""
    if not np.isfinite(x).all() or np.abs(x).max() < 1e-5 or np.abs(x).max() > 1e3:
        raise Silent
    return x
