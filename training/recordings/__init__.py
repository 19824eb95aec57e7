"""Recordings to train on: found, kept apart, read, varied, gathered. Knows nothing of effects or torch.

recording   what a recording is
layouts     every recording below a folder, and the data sets' own folders
splits      whole groups kept out of training
reading     stretches, chosen and decoded
variation   speed, level, polarity, mixtures
decoded     all samples in one memory-mapped file
gather      freely licensed recordings out of package registries
"""

from .layouts import find, join
from .reading import Stretch, read, read_mono, stretch, two_stretches, usable_for_pairs
from .recording import NoRecordings, Recording
from .splits import check_sides, split
from .variation import Variation, mix

__all__ = [
    "NoRecordings",
    "Recording",
    "Stretch",
    "Variation",
    "check_sides",
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
