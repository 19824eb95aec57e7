"""Names for offsets into a flat vector: compiled code keeps its state, coefficients and scratch in such."""

from collections import namedtuple
from itertools import accumulate
from typing import Any


def layout(**sizes: int) -> Any:
    """Give the offset of each named part of a flat vector, part after part; `size` is the length of all.

    Compiled code may use the result as a global: its fields are constants there.

    >>> layout(gain=1, ring=64, poles=2)
    Layout(gain=0, ring=1, poles=65, size=67)
    """
    return namedtuple("Layout", [*sizes, "size"])(*accumulate(sizes.values(), initial=0))
