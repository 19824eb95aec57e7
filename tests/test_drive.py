"""The search for a distortion's drive: it finds what is there, holds back where it cannot know, and comes to an end."""

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.effects import Rack, Settings, Step
from afx_live.realtime.commands import SHIPPED
from afx_live.realtime.drive import ROUNDS_DB, Drive
from afx_live.realtime.predictor import Predictor

RATE = 48000


@pytest.fixture(scope="module")
def model():
    return Predictor(SHIPPED)


@pytest.fixture(scope="module")
def guitar():
    return soundfile.read(presets.clip("guitar"))[0][: 5 * RATE, None]


def driven(drive_db, on=True):
    return Settings((Step("distortion", {"drive_db": drive_db, "mix": 1.0}, on=on),))


def searched(model, x, begin_db, reference, kin=1.0):
    reference, drive, settings = model.describe(reference, RATE), Drive(), driven(begin_db)
    for _ in ROUNDS_DB:
        assert drive.asked(settings)
        drive.listen(model, settings, x, RATE, [reference], kin)
    assert not drive.asked(settings)
    return drive.moved(settings).step("distortion").values["drive_db"]


def played(x, drive_db):
    return Rack(driven(drive_db), RATE, 1).play(x)


@pytest.mark.parametrize("off_db", [-9.0, -6.0, 0.0, 3.0, 6.0, 9.0])
def test_a_drive_that_was_told_wrongly_is_found(model, guitar, off_db):
    found = searched(model, guitar, 18.0 - off_db, played(guitar, 18.0))
    assert abs(found - 18.0) <= (0.0 if off_db in (-6.0, 0.0, 6.0) else 3.0)


def test_a_reference_of_another_source_is_believed_less(model, guitar):
    """Its spectrum is brighter or darker for other reasons too."""
    other = played(soundfile.read(presets.clip("guitar_reference"))[0][: 5 * RATE, None], 18.0)
    assert searched(model, guitar, 18.0, other, kin=0.0) == 18.0
    assert searched(model, guitar, 18.0, other, kin=1.0) != 18.0


def test_a_drive_stays_in_its_range(model, guitar):
    assert searched(model, guitar, 1.0, guitar) >= 0.0


def test_without_a_distortion_there_is_nothing_to_search_for():
    for settings in (driven(18.0, on=False), Settings(), Settings((Step("reverb"),))):
        drive = Drive()
        assert not drive.asked(settings)
        assert drive.moved(settings) == settings


def test_silence_ends_it_and_moves_nothing(model, guitar):
    reference, settings, drive = model.describe(guitar, RATE), driven(18.0), Drive()
    while drive.asked(settings):
        drive.listen(model, settings, np.zeros_like(guitar), RATE, [reference], 1.0)
    assert drive.moved(settings) == settings
