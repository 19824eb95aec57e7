"""The study's run and report: what was cut off goes on, what fails is a row, two processes make the same rows."""

import json
import logging
import signal
import subprocess
import sys
import time
import warnings

import numba
import numpy as np
import pytest
import torch

from afx_live.study.pairs.condition import Condition, Result
from afx_live.study.report import cells, report
from afx_live.study.run import evaluate, plan, rows
from afx_live.study.run.evaluate import Study, run
from afx_live.training.recordings import find
from support.study_rows import made_up

SMALL = {Condition(effect_set=name): {"loudness": 1, "match_eq": 1} for name in ("equaliser", "compressor")}


@pytest.fixture
def study(folder, tmp_path):
    return Study(find(folder), tmp_path / "models", tmp_path / "rows", SMALL)


def plain(found):
    """Rows without what differs from run to run."""
    return [{k: v for k, v in row.items() if k != "seconds"} for _, row in sorted(found.items(), key=str)]


def baseline_error(found):
    """The equaliser's error of only setting the loudness, as the report writes it."""
    row = found[rows.key(Condition(effect_set="equaliser"), 0, 7, "loudness")]
    return cells.number(row["scores"]["matched_stft"])


@pytest.mark.slow
def test_a_run_scores_every_cell_and_says_where_it_comes_from(study):
    found = run(study)
    assert len(found) == plan.size(SMALL) == 4
    row = found[rows.key(Condition(effect_set="equaliser"), 0, 7, "match_eq")]
    assert row["failed"] is None
    assert 0 < row["scores"]["matched_stft"] < 3
    assert row["seconds"] > 0
    assert row["audio_s"] == pytest.approx(5.0)
    assert len(row["recordings"]["all"]) == 64
    assert any(name.endswith(".flac") for name in row["recordings"])
    header = json.loads((study.out / "run.json").read_text())
    assert header["machine"]["cores"] >= 1
    assert len(header["recordings"]) == len(study.recordings)
    assert [p.name for p in study.out.glob("rows*")] == [rows.ROWS]
    page, twin = report.write([study.out], study.out / "R.html", study.models)  # and all the way to the page
    assert "match EQ 100 %" in page.read_text()
    assert f"| equaliser | same | 1 | {baseline_error(found)} [" in twin.read_text()


@pytest.mark.slow
def test_a_run_leaves_the_process_as_it_was(study):
    def state():
        log, term = logging.getLogger("lightning.pytorch").level, signal.getsignal(signal.SIGTERM)
        return torch.get_num_threads(), numba.get_num_threads(), term, log, list(warnings.filters)

    before = state()
    run(study)
    assert state() == before


@pytest.mark.slow
def test_a_cut_off_run_computes_only_what_is_missing(study, monkeypatch):
    whole = run(study)
    lines = (study.out / rows.ROWS).read_text().splitlines(keepends=True)
    # as a killed process leaves it: some rows merged, some not, the last one not finished
    (study.out / rows.ROWS).write_text("".join(lines[:2]))
    (study.out / "rows-0.jsonl").write_text(lines[2] + lines[3][:40])
    asked = []
    from afx_live.study.systems import registry

    real = registry.system

    def counted(name, models):
        system = real(name, models)
        return lambda pair: asked.append(name) or system(pair)

    monkeypatch.setattr(registry, "system", counted)
    again = run(study)
    assert len(asked) == 1
    assert plain(again) == plain(whole)
    assert run(study) == again
    assert len(asked) == 1


@pytest.mark.slow
def test_a_system_that_fails_is_a_row_and_stops_nothing(study, monkeypatch):
    from afx_live.study.systems import registry

    def broken(pair):
        if pair.about.startswith("equaliser"):
            raise ArithmeticError("out of ideas")
        return Result(np.full_like(pair.input, np.nan))

    real = registry.system
    monkeypatch.setattr(registry, "system", lambda name, models: broken if name == "match_eq" else real(name, models))
    found = run(study)
    failed = {k: row for k, row in found.items() if row["failed"]}
    assert len(found) == 4
    assert len(failed) == 2
    assert {row["system"] for row in failed.values()} == {"match_eq"}
    assert {row["failed"][:30] for row in failed.values()} >= {"ArithmeticError: out of ideas"}
    assert all(row["scores"] == {} for row in failed.values())
    monkeypatch.undo()
    assert run(study) == found  # a failure is a result ...
    study.retry = True
    assert not any(row["failed"] for row in run(study).values())  # ... unless asked again


@pytest.mark.slow
def test_rows_of_a_model_that_was_trained_anew_are_made_anew(study, monkeypatch):
    hashes = {"match_eq": "first"}
    monkeypatch.setattr(evaluate, "model_hash", lambda name, models: hashes.get(name))
    run(study)
    assert study.missing(rows.read_folder(study.out)) == []
    hashes["match_eq"] = "second"
    assert [task.systems for task in study.missing(rows.read_folder(study.out))] == [("match_eq",)] * 2
    assert {row["model"] for row in run(study).values()} == {None, "second"}


def test_a_training_that_is_not_there_has_no_rows_yet(study, capsys):
    study.cells = {Condition(effect_set="equaliser"): {"ad": 1, "loudness": 1}}
    assert {row["system"] for row in run(study).values()} == {"loudness"}
    assert "left out ad" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_make_the_same_rows(study, folder, tmp_path):
    one = run(study)
    (tmp_path / "plan.yaml").write_text(
        "cells: {a: {row: [equaliser, compressor], mode: same, systems: {loudness: 1, match_eq: 1}}}"
    )
    command = [
        sys.executable,
        "-m",
        "afx_live.study.cli",
        "run",
        "--folder",
        str(folder),
        "--plan",
        str(tmp_path / "plan.yaml"),
        "-o",
        str(tmp_path / "two"),
        "--trainer.devices",
        "2",
        "--trainer.strategy",
        "ddp",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "one of 2 processes" in done.stderr
    held_out = {row["recording"] for row in rows.read_folder(tmp_path / "two").values()}
    assert len(rows.read_folder(tmp_path / "two")) == 4
    study.recordings = [r for r in study.recordings if r.group in held_out]  # the command line's held-out tenth
    study.out = tmp_path / "one"
    assert plain(run(study)) == plain(rows.read_folder(tmp_path / "two")) != plain(one)


@pytest.mark.slow
def test_a_run_that_is_told_to_end_ends_everywhere_and_leaves_no_failure(folder, tmp_path):
    """SIGTERM arrives in the middle of an answer, and what it breaks there is no system that fails."""
    (tmp_path / "plan.yaml").write_text("cells: {a: {systems: {loudness: 5000}}}")
    out = tmp_path / "rows"
    command = [
        sys.executable,
        "-m",
        "afx_live.study.cli",
        "run",
        "--folder",
        str(folder),
        "--plan",
        str(tmp_path / "plan.yaml"),
        "-o",
        str(out),
        "--devices",
        "2",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        end = time.monotonic() + 120
        while not all((out / f"rows-{i}.jsonl").exists() and rows.read_folder(out) for i in (0, 1)):
            assert time.monotonic() < end, "no rows came"
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 128 + signal.SIGTERM
    found = rows.read_folder(out)
    assert found
    assert not any(row["failed"] for row in found.values())
    seen = (out / "rows-1.jsonl").stat().st_size
    time.sleep(1.0)
    assert (out / "rows-1.jsonl").stat().st_size == seen  # the other process has gone too


# --- plan -------------------------------------------------------------------------------------------

EFFECT_SETS = {"ours": ("equaliser", "reverb", "all"), "other": ("warm",)}
NAMED = ("loudness", "ad")


def a_plan(effect_set="effect_set", generator="ours"):
    return {
        "sets": {"cheap": ["loudness"], "constrained": [f"ad:{{{effect_set}}}"]},
        "cells": {
            "base": {effect_set: "*", "mode": ["same", "other"], "systems": {"cheap": 5, "constrained": 2}},
            "far": {
                "generator": [generator, "other"],
                effect_set: "*",
                "intensity": [2],
                "systems": {"loudness": 3, "ad": 1},
            },
            "again": {effect_set: "all", "systems": {"loudness": 9}},
        },
    }


def test_a_plan_expands_lists_sets_and_constraints_to_the_own_effects():
    cells = plan.expand(a_plan(), EFFECT_SETS, NAMED)
    assert cells[Condition(effect_set="reverb", mode="other")] == {"loudness": 5, "ad:reverb": 2}
    assert cells[Condition(effect_set="all")] == {"loudness": 9}  # all is not a constraint; the larger number counts
    assert cells[Condition("other", "warm", intensity=2.0)] == {"loudness": 3, "ad": 1}
    assert len(cells) == 6 + 4
    assert plan.only(cells, {"effect_set": ["reverb"], "intensity": [1.0]}, ["ad"], 1) == {
        Condition(effect_set="reverb"): {"ad:reverb": 1},
        Condition(effect_set="reverb", mode="other"): {"ad:reverb": 1},
    }


def test_plans_with_former_names_mean_the_same():
    cells = plan.expand(a_plan("row", "own"), EFFECT_SETS, NAMED)
    assert cells == plan.expand(a_plan(), EFFECT_SETS, NAMED)
    assert plan.only(cells, {"generator": ["own"]}) == plan.only(cells, {"generator": ["ours"]})


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ({"effect_set": "delay"}, "'delay' is none of"),
        ({"generator": "x"}, "'x' is none of"),
        ({"mode": "both"}, "'both'"),
        ({"systems": {"pitch": 1}}, "'pitch' is none of"),
        ({"colour": 1}, "'colour'"),
    ],
)
def test_a_plan_with_an_unknown_name_is_refused_by_that_name(cell, said):
    with pytest.raises(ValueError, match=said):
        plan.expand({"cells": {"a": {"systems": {"ad": 1}} | cell}}, EFFECT_SETS, NAMED)


def test_the_shipped_plan_fits_the_study():
    from afx_live.study.pairs import GENERATORS
    from afx_live.study.systems import SYSTEMS

    cells = plan.expand(plan.load(), {name: g.effect_sets for name, g in GENERATORS.items()}, SYSTEMS)
    assert cells[Condition(effect_set="distortion")]["ad:equaliser+compressor"] >= 100
    assert min(counts["loudness"] for counts in cells.values()) >= 40
    first = plan.tasks(cells, 7)
    assert {t.index for t in first[: len(cells)]} == {0}  # cut short, it is a smaller study


# --- rows -------------------------------------------------------------------------------------------


def test_a_broken_row_is_named_and_an_unfinished_one_dropped(tmp_path):
    whole = rows.line(made_up("ad", "all", 0, 1.0))
    path = tmp_path / rows.ROWS
    path.write_text(whole + whole.strip()[:50])
    assert len(rows.read(path)) == 1
    path.write_text(whole + '{"case": 1}\n' + whole)
    with pytest.raises(ValueError, match="line 2 is not a row"):
        rows.read(path)


def test_rows_of_earlier_versions_are_read_as_rows_of_today(tmp_path):
    row = made_up("ad", "all", 0, 1.0, generator="deepafx_styles")
    condition = row["condition"]
    former = {"case": {"row": condition["effect_set"], **condition, "generator": "styles"}, **row}
    del former["condition"], former["case"]["effect_set"]
    (tmp_path / "old.jsonl").write_text(rows.line(former))
    assert rows.read(tmp_path / "old.jsonl") == [row]


def test_merging_keeps_the_later_of_two_rows_and_leaves_one_file(tmp_path):
    (tmp_path / rows.ROWS).write_text(rows.line(made_up("ad", "all", 0, 1.0, failed="x")))
    (tmp_path / "rows-0.jsonl").write_text(rows.line(made_up("ad", "all", 0, 1.0)))
    (tmp_path / "rows-1.jsonl").write_text(rows.line(made_up("ad", "all", 1, 2.0)))
    found = rows.merge(tmp_path)
    assert [row["failed"] for row in found.values()] == [None, None]
    assert [p.name for p in tmp_path.iterdir()] == [rows.ROWS]
    assert rows.merge(tmp_path) == found == rows.read_folder(tmp_path)
