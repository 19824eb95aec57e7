"""Read stretches of recordings, and choose them.

Audio is `(frames, channels)` float32, times are in seconds, and all randomness comes from the numpy Generator that is
handed in: the same generator and the same files give the same samples.
"""

import logging
import math
from typing import NamedTuple

import numpy as np
import soxr

from ...dsp.polarity import mono
from ...files import AudioFileError, AudioReader
from .recording import Recording

log = logging.getLogger(__name__)

MIN_STRETCH_S = 2.0  # less than this says too little about a room, a compressor or a spectrum
SILENT_DB = -60.0
ACTIVITY_FRAME_S = 0.5
RESAMPLER_MARGIN = 256  # frames on either side of a stretch, so that no filter edge is heard in it
LOST_AT_END_S = 0.1  # an MP3's header may promise this much more than can be decoded


class Stretch(NamedTuple):
    """Part of a recording, in seconds from its beginning: `read(recording, *stretch, sample_rate)`."""

    start_s: float
    seconds: float


def read(recording: Recording, start_s: float, seconds: float, sample_rate: int) -> np.ndarray:
    """Read a stretch as float32 `(round(seconds * sample_rate), channels)`, resampled if need be.

    `start_s` counts from the beginning of the recording. Only the stretch, and a few milliseconds around it for the
    resampler, is decoded: cut out or read whole, the samples are the same.

    Raises ValueError if the stretch is not inside the recording or the file can't be decoded there.
    """
    rate, total = recording.sample_rate, recording.frames
    if seconds <= 0.0 or start_s < 0.0 or start_s + seconds > recording.seconds + 1.0 / rate:
        raise ValueError(
            f"{recording.path}: {seconds} s from {start_s} s is not inside the recording's {recording.seconds:.3f} s"
        )
    first, frames = round(start_s * rate), round(seconds * sample_rate)
    # `theirs` frames at the file's rate last exactly as long as `ours` at the rate asked for.
    theirs, ours = (r // math.gcd(rate, sample_rate) for r in (rate, sample_rate))
    steps = 0 if rate == sample_rate else math.ceil(RESAMPLER_MARGIN * max(1.0, rate / sample_rate) / theirs)
    before = min(steps, first // theirs)
    begin = first - before * theirs
    end = min(total, first + math.ceil(frames * theirs / ours) + steps * theirs)
    x = _decode(recording, begin, end - begin)
    if rate != sample_rate:
        x = soxr.resample(x, rate, sample_rate, quality="HQ")
    x = x[before * ours : before * ours + frames]
    # At the very end, rounding may leave a sample or two to fill.
    return np.ascontiguousarray(np.pad(x, ((0, frames - len(x)), (0, 0))))


def read_mono(recording: Recording, start_s: float, seconds: float, sample_rate: int) -> np.ndarray:
    """Read a stretch as `read` does, but as the mean of its channels, none cancelling another: `(frames,)`."""
    return mono(read(recording, start_s, seconds, sample_rate))


def _decode(recording: Recording, first: int, count: int) -> np.ndarray:
    """Give `count` frames from frame `first`, at the recording's own rate."""
    if recording.parts:
        blocks, offset = [], 0
        for part in recording.parts:
            begin, end = max(first - offset, 0), min(first + count - offset, part.frames)
            if begin < end:
                blocks.append(_decode(part, begin, end - begin))
            offset += part.frames
        return np.concatenate(blocks)
    try:
        with AudioReader(recording.path) as file:
            blocks = file.blocks(round(recording.start_s * recording.sample_rate) + first, count)
            x = np.concatenate([np.zeros((0, file.channels), np.float32), *blocks])
    except (AudioFileError, OSError) as error:
        raise ValueError(f"{recording.path}: can't be decoded at frame {first}: {error}") from error
    lost = count - len(x)
    if lost > LOST_AT_END_S * recording.sample_rate:
        raise ValueError(f"{recording.path}: ends {lost} frames before its header says")
    return np.pad(x, ((0, lost), (0, 0)))


def usable_for_pairs(recording: Recording) -> bool:
    """Tell whether two stretches of 2 s fit into the recording."""
    return recording.seconds >= 2.0 * MIN_STRETCH_S


def stretch(recording: Recording, seconds: float, rng: np.random.Generator, tries: int = 10) -> Stretch | None:
    """Choose where to read: a random stretch of `seconds`, or the whole recording if that is shorter.

    None if `tries` places were all silent (under -60 dBFS RMS in most half seconds), or couldn't be decoded, which
    is logged: take another recording.
    """
    length = min(seconds, recording.seconds)
    room = recording.seconds - length
    for _ in range(tries if room > 0.0 else 1):
        place = Stretch(_on_frame(rng.uniform(0.0, room), recording), length)
        active = _is_active(recording, place)
        if active is not False:
            return place if active else None
    return None


def two_stretches(
    recording: Recording, seconds: float, rng: np.random.Generator, tries: int = 10
) -> tuple[Stretch, Stretch] | None:
    """Choose two stretches of one recording, of equal length, in either order, that never overlap.

    Each lasts `seconds`; a recording too short for that gives its two halves. None as for `stretch`.

    Raises ValueError if the recording is shorter than 2 x 2 s (`usable_for_pairs`) or `seconds` is under 2.
    """
    if seconds < MIN_STRETCH_S or not usable_for_pairs(recording):
        raise ValueError(
            f"{recording.path}: no two stretches of {seconds} s in {recording.seconds:.2f} s: "
            f"each must last {MIN_STRETCH_S:g} s"
        )
    length = min(seconds, _on_frame(recording.seconds / 2.0, recording))
    room = recording.seconds - 2.0 * length
    for _ in range(tries if room > 0.0 else 1):
        early, late = sorted(rng.uniform(0.0, room, size=2))
        pair = [Stretch(_on_frame(early, recording), length), Stretch(_on_frame(late, recording) + length, length)]
        if rng.random() < 0.5:
            pair.reverse()
        active = [_is_active(recording, place) for place in pair]
        if None in active:
            return None
        if all(active):
            return pair[0], pair[1]
    return None


def _on_frame(time_s: float, recording: Recording) -> float:
    return math.floor(time_s * recording.sample_rate) / recording.sample_rate


def _is_active(recording: Recording, place: Stretch) -> bool | None:
    """Tell whether at least half of a stretch is heard; None if it can't be read."""
    rate = recording.sample_rate
    try:
        x = read(recording, *place, rate)
    except ValueError as error:
        log.warning("%s", error)
        return None
    blocks = np.array_split(x, max(1, round(len(x) / (ACTIVITY_FRAME_S * rate))))
    heard = [float(np.mean(np.square(block))) > 10.0 ** (SILENT_DB / 10.0) for block in blocks]
    return 2 * sum(heard) >= len(heard)
