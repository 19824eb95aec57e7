"""Find recordings below a folder: any folder, and LibriTTS, VCTK and MUSDB18 as they come."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ...files import AudioFileError, AudioReader
from ...files.streams import shown
from .recording import NoRecordings, Recording

log = logging.getLogger(__name__)

TAKE_S = 20.0  # short utterances are joined until they last this long: room for two stretches
AUDIO = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64"}
NOT_READ = {".mp4", ".m4a", ".aac", ".wma", ".webm", ".mka", ".ape", ".wv", ".ac3", ".mov", ".mkv"}
STEMS = ("mixture", "drums", "bass", "other", "vocals")  # in the order of a .stem.mp4's streams


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
        with AudioReader(path) as file:
            frames, rate, channels = file.frames, file.sample_rate, file.channels
    except (AudioFileError, OSError) as error:
        return str(error).removeprefix(f"{shown(path)} ")
    if frames <= 0:
        return "no audio in it"
    if frames > 2**53:
        return "its header does not say how long it is"
    return Recording(path, 0.0, frames / rate, rate, channels, place.group, place.kind, place.split)


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
