"""What a recording is: a stretch of sound on disk, who or what it is of."""

from dataclasses import dataclass
from pathlib import Path


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
