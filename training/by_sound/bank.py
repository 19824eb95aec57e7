"""What pairs are drawn from, made once: recordings at several speeds, filters, rooms and amplifiers of many laws."""

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import soxr
import torch

from ...effects import load
from ...effects._torch import coefficients
from .. import priors
from ..features import SAMPLE_RATE, WINDOW
from ..other_effects import distortions, reverbs
from ..other_effects import filters as law_filters
from ..recordings.recordings import NoRecordings, Recording, read_mono, usable_for_pairs
from ..response_losses import equaliser_curve

SPEEDS = 1.19 ** np.linspace(-1.0, 1.0, 5)
TAPS = law_filters.TAPS


@dataclass(frozen=True)
class Bank:
    """What batches are drawn from.

    sound (samples,) holds every recording at every one of SPEEDS; begin and length (recordings, speeds) say
    where. kind and group (recordings,) are numbered. filters (n, TAPS / 2 + 1) are responses and curves
    (n, BANDS) theirs in dB; the first `own` of them are our equaliser's. rooms (m, samples) are wet
    responses of unit energy. amplifiers (k, 2, TAPS / 2 + 1): what stands before and after a distortion.
    """

    sound: np.ndarray
    begin: np.ndarray
    length: np.ndarray
    kind: np.ndarray
    group: np.ndarray
    filters: np.ndarray
    curves: np.ndarray
    own: int
    rooms: np.ndarray
    amplifiers: np.ndarray


def _sounds(recording: Recording) -> list[np.ndarray]:
    x = read_mono(recording, 0.0, recording.seconds, SAMPLE_RATE)
    return [x if abs(v - 1.0) < 1e-6 else soxr.resample(x, SAMPLE_RATE * v, SAMPLE_RATE) for v in SPEEDS]


def _filters(job: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    seed, count = job
    rng, responses, curves = np.random.default_rng([seed, 1]), [], []
    while len(curves) < count:
        _, pieces, phase, bilinear = law_filters.numbers(rng)
        curve = law_filters.curve_at_bands(pieces, SAMPLE_RATE, bilinear)
        if law_filters.is_heard(curve):
            responses.append(law_filters.whole_response(pieces, SAMPLE_RATE, phase, bilinear).astype(np.complex64))
            curves.append(curve.astype(np.float32))
    return np.array(responses), np.array(curves)


def _rooms(job: tuple[int, int]) -> np.ndarray:
    seed, count = job
    rng, out = np.random.default_rng([seed, 2]), np.zeros((count, WINDOW), np.float16)
    for row in out:
        drawn = reverbs.numbers(rng, SAMPLE_RATE)
        ir, delay = drawn["ir"], round(1e-3 * drawn["predelay_ms"] * SAMPLE_RATE)
        ir = ir[: WINDOW - delay] / math.sqrt(np.square(ir).sum() + 1e-12)
        row[delay : delay + len(ir)] = 64.0 * ir  # what is small enough for a tail would be rounded off
    return out


def _amplifiers(job: tuple[int, int]) -> np.ndarray:
    seed, count = job
    rng, out = np.random.default_rng([seed, 3]), np.ones((count, 2, TAPS // 2 + 1), np.complex64)
    for row in out:
        for side, pieces in enumerate(distortions.amplifier(rng)):
            if pieces:
                row[side] = law_filters.whole_response(list(pieces), SAMPLE_RATE)
    return out


def _own_filters(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw our own equaliser's responses and curves."""
    rng, effect = np.random.default_rng([seed, 4]), load("equaliser")
    drawn = [priors.draw(rng, ("equaliser",)).effect("equaliser").values for _ in range(count)]
    values = torch.tensor([[v[p.name] for p in effect.params] for v in drawn], dtype=torch.float64)
    coef = coefficients(effect, values, SAMPLE_RATE)[:, :30].numpy().reshape(count, 6, 5, 1)
    z = np.exp(-1j * np.pi * np.arange(TAPS // 2 + 1) / (TAPS // 2))
    h = np.ones((count, len(z)), np.complex64)
    for i in range(6):
        b0, b1, b2, a1, a2 = (coef[:, i, j] for j in range(5))
        h *= (b0 + b1 * z + b2 * z * z) / (1.0 + a1 * z + a2 * z * z)
    return h, equaliser_curve(values).float().numpy()


def make_bank(
    recordings: Sequence[Recording],
    seed: int,
    workers: int,
    filters: int = 6000,
    rooms: int = 1500,
    amplifiers: int = 600,
) -> Bank:
    """Read the recordings and draw filters and rooms, by several processes; takes a minute of 16 cores.

    Raises NoRecordings if none of them is long enough for two stretches.
    """
    usable = [r for r in recordings if usable_for_pairs(r)]
    if not usable:
        raise NoRecordings(f"none of {len(recordings)} recordings is long enough for two stretches of 2 s")
    pieces = max(1, 4 * workers)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:

        def several(make, count):
            return pool.map(make, [(seed * 1000 + i, -(-count // pieces)) for i in range(pieces)])

        made = several(_rooms, rooms), several(_filters, filters // 2), several(_amplifiers, amplifiers)
        sounds = list(pool.map(_sounds, usable, chunksize=4))
        room, (response, curve), amplifier = (
            np.concatenate([*made[0]]),
            (np.concatenate(c) for c in zip(*made[1], strict=True)),
            np.concatenate([*made[2]]),
        )
    own = _own_filters(seed, filters // 2)
    length = np.array([[len(x) for x in row] for row in sounds])
    begin = np.concatenate([[0], length.ravel().cumsum()[:-1]]).reshape(length.shape)
    kinds, groups = (
        {name: i for i, name in enumerate(sorted({getattr(r, key) for r in usable}))} for key in ("kind", "group")
    )
    return Bank(
        np.concatenate([x for row in sounds for x in row]).astype(np.float32),
        begin,
        length,
        np.array([kinds[r.kind] for r in usable]),
        np.array([groups[r.group] for r in usable]),
        np.concatenate([own[0], response]),
        np.concatenate([own[1], curve]),
        len(own[0]),
        room,
        amplifier,
    )
