"""Keep whole groups of recordings out of training."""

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from .reading import MIN_STRETCH_S, usable_for_pairs
from .recording import NoRecordings, Recording


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


def check_sides(train: Sequence[Recording], held_out: Sequence[Recording]) -> None:
    """Say before any work what cannot work: raises NoRecordings if a side has no recording of two stretches."""
    if not held_out:
        group = train[0].group if train else ""
        raise NoRecordings(
            f'all {len(train)} recordings are of one group ("{group}"), so none can be held out for validation: '
            "add recordings of another source, or give several groups and --data.held_out"
        )
    for side, recordings in (("train on", train), ("validate on (held out)", held_out)):
        if not any(map(usable_for_pairs, recordings)):
            longest = max((r.seconds for r in recordings), default=0.0)
            raise NoRecordings(
                f"none of the {len(recordings)} recordings to {side} lasts {2 * MIN_STRETCH_S:g} s, as two stretches "
                f"take: the longest has {longest:.1f} s"
            )


def _matches(recording: Recording, pattern: str) -> bool:
    paths = [part.path for part in recording.parts or (recording,)]
    return fnmatchcase(recording.group, pattern) or any(
        fnmatchcase(path.stem, pattern) or path.match(pattern) for path in paths
    )


def _place_of(group: str) -> float:
    return int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest()[:6], "big") / 2**48
