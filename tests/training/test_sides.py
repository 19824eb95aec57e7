"""What cannot be trained on is told before the work, and why."""

from pathlib import Path

import pytest

from afx_live.training.recordings import NoRecordings, Recording, check_sides


def recording(name, seconds):
    return Recording(Path(name), 0.0, seconds, 48000, 1, name, "speech")


def test_one_group_cannot_be_held_out():
    with pytest.raises(NoRecordings, match=r'all 1 recordings are of one group \("a.wav"\).*--data.held_out'):
        check_sides([recording("a.wav", 60.0)], [])


@pytest.mark.parametrize(("train", "held_out", "side"), [(3.9, 9.0, "train on"), (9.0, 3.9, "validate on")])
def test_recordings_that_are_too_short_are_told_with_the_longest(train, held_out, side):
    with pytest.raises(NoRecordings, match=rf"none of the 2 recordings to {side}.* lasts 4 s.*the longest has 3\.9 s"):
        check_sides([recording("a", train), recording("b", 1.0)], [recording("c", held_out), recording("d", 1.0)])


def test_sides_that_work_pass():
    check_sides([recording("a", 4.0), recording("b", 1.0)], [recording("c", 5.0)])
