"""What Python hands to the package's library: arguments that are just what a function says it takes, and no others."""

import struct
from typing import NamedTuple

import numpy as np
import pytest

from afx_live.dsp.entry import FLOAT, INT, MATRIX, VECTOR, Array, Entry, Group, entry_name

ROW = np.dtype([("a", "f8"), ("b", "i8")])


class Pair(NamedTuple):
    first: np.ndarray
    second: np.ndarray


def entry(*specs):
    return Entry(lambda packed: None, specs)


def test_numbers_and_arrays_lie_one_after_the_other():
    x, rows = np.zeros((3, 2)), np.zeros(4, ROW)
    packed = entry(FLOAT, MATRIX, INT, Group(Pair, (Array(ROW, 1), VECTOR))).pack((0.5, x, 7, Pair(rows, x[0])))
    assert packed is not None
    found = struct.unpack("=dqqqqqqqq", packed)
    assert found == (0.5, x.ctypes.data, 3, 2, 7, rows.ctypes.data, 4, x.ctypes.data, 2)


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((3, 2), np.float32),
        np.zeros((3, 4))[:, ::2],
        np.zeros((2, 3)).T,
        np.zeros(3),
        np.zeros((3, 2)).tolist(),
    ],
    ids=["dtype", "strides", "order", "dimensions", "list"],
)
def test_another_array_is_not_handed_over(other):
    assert entry(MATRIX).pack((np.zeros((3, 2)),)) is not None
    assert entry(MATRIX).pack((other,)) is None
    assert entry(Group(Pair, (MATRIX, MATRIX))).pack((Pair(np.zeros((3, 2)), other),)) is None


def test_what_may_not_be_written_is_not_handed_over():
    x = np.zeros(3)
    x.flags.writeable = False
    assert entry(VECTOR).pack((x,)) is None


def test_a_wrong_number_of_arguments_is_not_handed_over():
    assert entry(VECTOR).pack((np.zeros(3), 1.0)) is None
    assert entry(VECTOR).pack(()) is None


def test_names_are_such_as_c_allows():
    assert entry_name(test_names_are_such_as_c_allows).isidentifier()
    assert entry_name(lambda: None).isidentifier()
