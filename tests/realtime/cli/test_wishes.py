"""What the user asks of the matching, on the command line: --boldness, --only, --without, --lock, --dry-run."""

import json
from pathlib import Path

import pytest

from afx_live import presets
from afx_live.matching.model import MatchModel
from support.sounds import GUITAR, GUITAR_REFERENCE


def told(out):
    (row,) = json.loads(out)
    return row, {step["effect"]: step for step in row["settings"]["chain"]}


def test_a_dry_run_says_what_would_be_set_and_writes_nothing(afx, place):
    code, out, err = afx("render", GUITAR, "--reference", GUITAR_REFERENCE, "--dry-run", "--json")
    assert (code, err) == (0, "")
    assert not list(place.iterdir())
    row, chain = told(out)
    assert row["output"] is None
    assert row["lufs_after"] is None
    assert {e["effect"] for e in row["explanation"]["effects"]} == set(chain)
    for e in row["explanation"]["effects"]:
        assert (e["amount"] > 0.0) is chain[e["effect"]]["on"]
    code, out, _ = afx("render", GUITAR, "--reference", GUITAR_REFERENCE, "--dry-run", "--save-preset", "p.json")
    assert code == 0
    assert "nowhere: a dry run" in out
    assert [p.name for p in place.iterdir()] == ["p.json"]


@pytest.mark.slow
def test_what_is_named_is_used_alone_and_the_preset_says_so(afx, place):
    words = ("--only", "compressor, reverb", "--without", "reverb", "--boldness", "0.2", "--save-preset", "p.json")
    code, out, _ = afx("render", GUITAR, "--reference", GUITAR_REFERENCE, "--dry-run", "--json", *words)
    assert code == 0
    _, chain = told(out)
    assert [effect for effect, step in chain.items() if step["on"]] == ["compressor"]
    choices = presets.load(place / "p.json").source["choices"]
    assert choices == {"boldness": 0.2, "only": ["compressor", "reverb"], "without": ["reverb"]}


@pytest.mark.slow
def test_what_is_locked_stays_as_in_the_preset(afx):
    words = ("--preset", "vocal-plate", "--lock", "reverb,equaliser/peak_1_db")
    code, out, err = afx("render", GUITAR, "--reference", GUITAR_REFERENCE, "--dry-run", "--json", *words)
    assert (code, err) == (0, "")
    row, chain = told(out)
    kept = presets.load("vocal-plate").settings.effect("reverb")
    assert chain["reverb"]["on"] is kept.enabled
    assert chain["reverb"]["rt60_s"] == pytest.approx(kept.values["rt60_s"], abs=1e-4)
    assert next(e["why"] for e in row["explanation"]["effects"] if e["effect"] == "reverb") == "locked"


@pytest.mark.slow
def test_the_report_names_each_effect_once_and_what_would_bring_the_rest(afx):
    code, out, _ = afx("render", GUITAR, "--reference", GUITAR_REFERENCE, "--dry-run", "--boldness", "0")
    assert code == 0
    for effect in MatchModel().chain.order:
        assert sum(line.strip().startswith(effect) for line in out.splitlines()) == 1
    assert Path(GUITAR).name in out
