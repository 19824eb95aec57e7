"""Find recordings on disk, keep some aside, and read stretches of them. Knows nothing of effects or torch.

Audio is `(frames, channels)` float32 here, times are in seconds, and all randomness comes from the numpy
Generator that is handed in: the same generator and the same files give the same samples.
"""

import hashlib
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

log = logging.getLogger(__name__)

MIN_STRETCH_S = 2.0  # less than this says too little about a room, a compressor or a spectrum
TAKE_S = 20.0  # short utterances are joined until they last this long: room for two stretches
SILENT_DB = -60.0
ACTIVITY_FRAME_S = 0.5
RESAMPLER_MARGIN = 256  # frames on either side of a stretch, so that no filter edge is heard in it
LOST_AT_END_S = 0.1  # an MP3's header may promise this much more than can be decoded

AUDIO = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64"}
NOT_READ = {".mp4", ".m4a", ".aac", ".wma", ".webm", ".mka", ".ape", ".wv", ".ac3", ".mov", ".mkv"}
STEMS = ("mixture", "drums", "bass", "other", "vocals")  # in the order of a .stem.mp4's streams


class NoRecordings(ValueError):
    """There is nothing to train on where recordings were looked for (exit code 4 of afx-train)."""


@dataclass(frozen=True)
class Recording:
    """One stretch of sound on disk: a file, or several short files read one after the other (`parts`).

    `start_s` is where it begins in the file, `seconds` how long it lasts. `group` is what must not lie on both
    sides of a split: a speaker, a song. `kind` is free text ("speech", "vocals"). `split` is what the data set's
    authors say about it: "train", "test", or None where they say nothing.
    """

    path: Path
    start_s: float
    seconds: float
    sample_rate: int
    channels: int
    group: str
    kind: str
    split: str | None = None
    parts: "tuple[Recording, ...]" = ()

    @property
    def frames(self) -> int:
        """Frames at the recording's own sample rate."""
        return sum(part.frames for part in self.parts) or round(self.seconds * self.sample_rate)


class Stretch(NamedTuple):
    """Part of a recording, in seconds from its beginning: `read(recording, *stretch, sample_rate)`."""

    start_s: float
    seconds: float


# --- finding ---------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    group: str
    kind: str
    split: str | None = None
    short: bool = False  # utterances: to be joined into takes
    leave_out: bool = False


def _in_libritts(path: Path, _: Path) -> _Place | None:
    chapter, speaker = path.parent.name, path.parent.parent.name
    if speaker.isdigit() and chapter.isdigit() and re.match(f"{speaker}[_-]{chapter}[_-]", path.name):
        return _Place(speaker, "speech", short=True)
    return None


def _in_vctk(path: Path, _: Path) -> _Place | None:
    speaker, above = path.parent.name, path.parent.parent.name
    if above not in ("wav48", "wav48_silence_trimmed") or not re.fullmatch(r"[ps]\d+", speaker):
        return None
    # 0.92 has every sentence twice, from two microphones: one is enough, and two would not be two recordings.
    return _Place(speaker, "speech", short=True, leave_out=path.stem.endswith("_mic2"))


def _in_musdb18(path: Path, _: Path) -> _Place | None:
    song = path.parent
    if song.parent.name in ("train", "test") and path.stem in STEMS and (song / "mixture.wav").exists():
        return _Place(song.name, path.stem, song.parent.name)
    return None


def _in_folders(path: Path, root: Path) -> _Place | None:
    parts = path.relative_to(root).parts
    return _Place(parts[0], parts[0]) if len(parts) > 1 else None


def _in_folder(path: Path, root: Path) -> _Place:
    relative = path.relative_to(root)
    kind = relative.parts[0] if len(relative.parts) > 1 else "recording"
    own = relative.parent if len(relative.parts) > 2 else relative
    return _Place(own.as_posix(), kind)


LAYOUTS: dict[str, Callable[[Path, Path], _Place | None]] = {
    "musdb18": _in_musdb18,
    "vctk": _in_vctk,
    "libritts": _in_libritts,
    "folders": _in_folders,
    "folder": _in_folder,
}
_LOOKED_FOR = {
    "musdb18": "train|test/<song>/{mixture,drums,bass,other,vocals}.wav",
    "vctk": "wav48/<speaker>/*.wav or wav48_silence_trimmed/<speaker>/*_mic1.flac",
    "libritts": "<speaker>/<chapter>/<speaker>_<chapter>_*.wav, with numbers for both",
    "folders": "<speaker or song>/**/*, one folder for each",
    "folder": "audio files at any depth",
    "auto": "audio files at any depth",
}


def find(folder: str | os.PathLike[str], layout: str = "auto") -> list[Recording]:
    """Find every recording below `folder` that libsndfile reads, sorted by path.

    The layouts say what a group is:

    - `musdb18`: MUSDB18-HQ; the song. `split` is the official one. The original `.stem.mp4` can't be read.
    - `vctk` (0.80, and the first microphone of 0.92) and `libritts` (also LibriTTS-R and LibriSpeech): the speaker.
      Utterances last a few seconds, so neighbours are joined into takes of about 20 s (`join`).
    - `folders`: one folder for each speaker or song, whatever is in it; that folder.
    - `folder`: anything. A file two or more folders down belongs to the folder it lies in (`a/b/x.wav`: `a/b`);
      other files each stand for themselves. Which of them share a singer nobody can tell: name those to `split`.
    - `auto`: each file by the first of `musdb18`, `vctk`, `libritts` that fits its folders, else as `folder`; so
      several data sets may lie side by side.

    Files that can't be read are skipped and named in one warning, never fatal. Hidden files are passed over.

    Raises FileNotFoundError if there is no such folder; ValueError if it is a file, if the layout is unknown, or
    if nothing in it can be read.
    """
    root = Path(folder).expanduser().resolve()  # caches know recordings by their paths
    if layout not in _LOOKED_FOR:
        raise ValueError(f"layout: {layout!r} is not one of {', '.join(sorted(_LOOKED_FOR))}")
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder (recordings were looked for, layout {layout!r})")
    if not root.is_dir():
        raise NoRecordings(f"{root}: is a file; recordings are looked for in a folder")
    tried = ["musdb18", "vctk", "libritts", "folder"] if layout == "auto" else [layout]
    found: list[tuple[_Place, Recording]] = []
    skipped: list[tuple[Path, str]] = []
    stem_files = 0
    for path in sorted(_files(root), key=lambda path: path.relative_to(root).as_posix()):
        if path.name.endswith(".stem.mp4"):
            stem_files += 1
        elif path.suffix.lower() in NOT_READ:
            skipped.append((path, "a format libsndfile does not read"))
        elif path.suffix.lower() in AUDIO:
            place = next((place for name in tried if (place := LAYOUTS[name](path, root))), None)
            if place is None or place.leave_out:
                continue
            recording = _open(path, place)
            if isinstance(recording, Recording):
                found.append((place, recording))
            else:
                skipped.append((path, recording))
    notices = list(_notices(root, skipped, stem_files))
    if not found:
        wanted = f"no readable audio; looked for {_LOOKED_FOR[layout]} ({' '.join(sorted(AUDIO))})"
        raise NoRecordings("; ".join([f"{root}: {wanted} (layout {layout!r})", *notices]))
    for notice in notices:
        log.warning("%s: %s", root, notice)
    recordings: list[Recording] = []
    for short, run in groupby(found, key=lambda item: item[0].short):
        run = [recording for _, recording in run]
        recordings += join(run) if short else run
    return recordings


def join(recordings: Iterable[Recording], seconds: float = TAKE_S) -> list[Recording]:
    """Join neighbours of one folder, group, kind and format into takes that last `seconds` or a little more.

    What is left at the end of a folder goes into its last take; a take shorter than `seconds` is all there was.
    """
    takes: list[Recording] = []
    for _, run in groupby(recordings, key=lambda r: (r.path.parent, r.group, r.kind, r.sample_rate, r.channels)):
        batches: list[list[Recording]] = [[]]
        for recording in run:
            if sum(part.seconds for part in batches[-1]) >= seconds:
                batches.append([])
            batches[-1] += recording.parts or (recording,)
        if len(batches) > 1 and sum(part.seconds for part in batches[-1]) < seconds:
            rest = batches.pop()
            batches[-1] += rest
        takes += [_take(batch) for batch in batches]
    return takes


def _take(parts: list[Recording]) -> Recording:
    if len(parts) == 1:
        return parts[0]
    one, total = parts[0], sum(part.frames for part in parts)
    return Recording(
        one.path,
        0.0,
        total / one.sample_rate,
        one.sample_rate,
        one.channels,
        one.group,
        one.kind,
        one.split,
        tuple(parts),
    )


def _files(root: Path) -> Iterator[Path]:
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        # Hidden: also the "._x.wav" and "__MACOSX" that archives made on a Mac bring along.
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _open(path: Path, place: _Place) -> Recording | str:
    """Give the recording, or why there is none."""
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        return str(error).removeprefix(f"Error opening {str(path)!r}: ")
    if info.frames <= 0:
        return "no audio in it"
    if info.frames > 2**53:
        return "its header does not say how long it is"
    seconds = info.frames / info.samplerate
    return Recording(path, 0.0, seconds, info.samplerate, info.channels, place.group, place.kind, place.split)


def _notices(root: Path, skipped: list[tuple[Path, str]], stem_files: int) -> Iterator[str]:
    if skipped:
        names = [f"{path.relative_to(root)} ({why})" for path, why in skipped[:5]]
        more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        yield f"skipped {len(skipped)} unreadable file{'s' * (len(skipped) > 1)}: {', '.join(names)}{more}"
    if stem_files:
        streams = " ".join(f"-map 0:a:{i} {stem}.wav" for i, stem in enumerate(STEMS))
        yield (
            f"skipped {stem_files} .stem.mp4 of MUSDB18, which libsndfile can't read: use MUSDB18-HQ "
            f"(https://zenodo.org/record/3338373), or turn each song into a folder by ffmpeg -i SONG.stem.mp4 {streams}"
        )


# --- keeping aside ---------------------------------------------------------------------------------------------


def split(
    recordings: Sequence[Recording], held_out: Sequence[str] = (), fraction: float = 0.1
) -> tuple[list[Recording], list[Recording]]:
    """Give `(train, held_out)`; no group is on both sides, and both keep their order.

    A recording is held out, and with it its whole group, if one of the glob patterns `held_out` matches the stem
    of its file (`vctk_p3*`), the end of its path (`speech/*.flac`), or its group (`p225`). Without patterns, a hash
    of its name holds out about `fraction` of the groups, at least one: the same ones on every machine, and adding
    recordings moves none. Official test recordings (MUSDB18's) are held out in any case, on top.

    Raises ValueError if a pattern matches nothing, `fraction` is not in [0, 1), or nothing is left to train on.
    """
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"fraction: {fraction} is not in [0, 1)")
    aside = {recording.group for recording in recordings if recording.split == "test"}
    if held_out:
        for pattern in held_out:
            matched = {recording.group for recording in recordings if _matches(recording, pattern)}
            if not matched:
                raise NoRecordings(f"held_out: {pattern!r} matches none of {len(recordings)} recordings")
            aside |= matched
    elif fraction > 0.0:
        places = sorted((_place_of(group), group) for group in {r.group for r in recordings} - aside)
        chosen = [group for place, group in places if place < fraction] or [group for _, group in places[:1]]
        # Of few groups, chance may take all, or the one there is: training comes first.
        aside |= set(chosen[: len(places) - 1])
    train = [recording for recording in recordings if recording.group not in aside]
    if not train:
        raise NoRecordings(f"nothing is left to train on: all of {len(recordings)} recordings are held out")
    return train, [recording for recording in recordings if recording.group in aside]


def _matches(recording: Recording, pattern: str) -> bool:
    paths = [part.path for part in recording.parts or (recording,)]
    return fnmatchcase(recording.group, pattern) or any(
        fnmatchcase(path.stem, pattern) or path.match(pattern) for path in paths
    )


def _place_of(group: str) -> float:
    return int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest()[:6], "big") / 2**48


# --- reading ---------------------------------------------------------------------------------------------------


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
    """Read a stretch as `read` does, but as the mean of its channels: `(frames,)`."""
    return read(recording, start_s, seconds, sample_rate).mean(axis=1)


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
        with soundfile.SoundFile(recording.path) as file:
            file.seek(round(recording.start_s * recording.sample_rate) + first)
            x = file.read(count, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{recording.path}: can't be decoded at frame {first}: {error}") from error
    lost = count - len(x)
    if lost > LOST_AT_END_S * recording.sample_rate:
        raise ValueError(f"{recording.path}: ends {lost} frames before its header says")
    if not np.isfinite(x).all():
        raise ValueError(f"{recording.path}: NaN or infinity between frames {first} and {first + count}")
    return np.pad(x, ((0, lost), (0, 0)))


# --- choosing stretches ----------------------------------------------------------------------------------------


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


# --- making more of little -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variation:
    """One way to vary a recording: `speed` (as a tape: pitch and tempo together), gain in dB, polarity.

    Apply the same one to both stretches of a pair: they must stay two stretches of one recording.
    """

    speed: float = 1.0
    gain_db: float = 0.0
    inverted: bool = False

    SPEEDS = (0.85, 1.18)  # three semitones either way: a voice stays a voice
    GAINS_DB = (-6.0, 6.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Variation":
        """Draw one: the speed evenly in pitch, the gain evenly in dB, the polarity by a coin."""
        speed = math.exp(rng.uniform(*np.log(cls.SPEEDS)))
        return cls(speed, rng.uniform(*cls.GAINS_DB), bool(rng.random() < 0.5))

    def apply(self, x: np.ndarray, sample_rate: int) -> np.ndarray:
        """Vary `x`, `(frames, channels)`; about `frames / speed` frames come back."""
        gain = 10.0 ** (self.gain_db / 20.0) * (-1.0 if self.inverted else 1.0)
        if self.speed != 1.0:
            x = soxr.resample(x, sample_rate * self.speed, sample_rate, quality="HQ")
        return (x * gain).astype(np.float32)


def augment(x: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Vary `x`, `(frames, channels)`, at random: speed 0.85 to 1.18, -6 to 6 dB, polarity.

    The length changes with the speed: read `seconds * Variation.SPEEDS[1]` where `seconds` must remain.
    """
    return Variation.draw(rng).apply(x, sample_rate)


def mix(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, low_db: float = -18.0, high_db: float = 0.0
) -> np.ndarray:
    """Add `y` to `x` with a random RMS of `low_db` to `high_db` relative to that of `x`.

    Both are `(frames, channels)` and as long as each other; one channel goes to all of the other's. If either is
    silent, nothing is added. For a pair, mix the two stretches end to end, so that one gain holds for both.
    """
    if len(x) != len(y) or (x.shape[1] != y.shape[1] and 1 not in (x.shape[1], y.shape[1])):
        raise ValueError(f"mix: shapes {x.shape} and {y.shape} differ")
    level_db = rng.uniform(low_db, high_db)
    rms_x, rms_y = (float(np.sqrt(np.mean(np.square(z, dtype=np.float64)))) for z in (x, y))
    gain = 10.0 ** (level_db / 20.0) * rms_x / rms_y if rms_y > 10.0 ** (SILENT_DB / 20.0) else 0.0
    return (x + gain * y).astype(np.float32)
