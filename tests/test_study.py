"""The study: pairs that know their answer, thresholds that pay, a table that can be rebuilt."""

import json

import numpy as np
import pytest
import soundfile

from afx_live.presets import clip
from afx_live.study import calibrate, transfer
from afx_live.study.metrics import matched_stft_error
from afx_live.training.front_end import SAMPLE_RATE
from afx_live.training.recordings import find


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    home = tmp_path_factory.mktemp("recordings")
    for name in ("voice", "guitar"):
        x, rate = soundfile.read(clip(name))
        for i, speed in enumerate((44100, 52000)):
            soundfile.write(home / f"{name}_{i}.flac", np.resize(x, 12 * rate), speed)
    return find(home)


def test_pairs_are_reproducible_and_the_identity_is_its_own_answer(recordings):
    first, again = (transfer.draw_pair(recordings, "all", "other", np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.answer, again.answer)
    assert np.array_equal(first.reference, again.reference)
    none = transfer.draw_pair(recordings, "none", "same", np.random.default_rng(4))
    assert matched_stft_error(none.input, none.answer, SAMPLE_RATE) < 1e-3
    assert matched_stft_error(first.input, first.answer, SAMPLE_RATE) > 0.1


def test_thresholds_are_chosen_where_switching_pays():
    """Effect 0 helps only when probable; effect 1 always harms; so one threshold in between, one above all."""
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.0, 0.9, (200, 2))
    errors = np.ones((200, 4))
    for i, (first, second) in enumerate(calibrate.subsets(2)):
        errors[:, i] += first * np.where(probability[:, 0] > 0.6, -0.5, 0.3) + second * 0.2
    kin = np.repeat([0.0, 1.0], 100)  # thresholds of both kinds are needed, and found
    (low, also_low), (high, also_high) = calibrate.choose(
        probability, kin, errors, np.ones(200), [("one", "row")] * 200
    )
    assert 0.5 < low < 0.7
    assert 0.5 < also_low < 0.7
    assert min(high, also_high) > 0.85


def test_a_run_streams_rows_goes_on_and_makes_the_table(recordings, tmp_path):
    from afx_live.realtime.commands import SHIPPED

    out = tmp_path / "rows.jsonl"
    rows = transfer.run(recordings, SHIPPED, out, n=1, workers=1, rows=("compressor",))
    assert len(rows) == 2
    assert json.loads(out.read_text().splitlines()[0])["scores"].keys() == set(transfer.SYSTEMS)
    again = transfer.run(recordings, SHIPPED, out, n=1, workers=1, rows=("compressor",))
    assert again == rows
    text = transfer.table(rows)
    assert "| same recording | compressor |" in text
    assert "**" in text
