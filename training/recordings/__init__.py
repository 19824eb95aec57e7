"""Recordings to train on: found, kept apart, read, varied, gathered. Knows nothing of effects or torch.

recording   what a recording is
find        every recording below a folder, and the data sets' own folders
split       whole groups kept out of training
read        stretches, chosen and decoded
vary        speed, level, polarity, mixtures
decoded     all samples in one memory-mapped file
gather      freely licensed recordings out of package registries
"""

from .find import find, join
from .read import Stretch, read, read_mono, stretch, two_stretches, usable_for_pairs
from .recording import NoRecordings, Recording
from .split import split
from .vary import Variation, mix

__all__ = [
    "NoRecordings",
    "Recording",
    "Stretch",
    "Variation",
    "find",
    "join",
    "mix",
    "read",
    "read_mono",
    "split",
    "stretch",
    "two_stretches",
    "usable_for_pairs",
]
