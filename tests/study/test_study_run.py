"""The study's run and report: what was cut off goes on, what fails is a row, two processes make the same rows."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from afx_live.study.pairs.case import Case, Result
from afx_live.study.report import examples, report, tables
from afx_live.study.run import linear_probe, plan, rows
from afx_live.study.run import run as runs
from afx_live.study.run.run import Study, run
from afx_live.training.recordings.recordings import find

SMALL = {Case(row="equaliser"): {"loudness": 1, "match_eq": 1}, Case(row="compressor"): {"loudness": 1, "match_eq": 1}}


@pytest.fixture
def study(folder, tmp_path):
    return Study(find(folder), tmp_path / "models", tmp_path / "rows", SMALL)


def plain(found):
    """Rows without what differs from run to run."""
    return [{k: v for k, v in row.items() if k != "seconds"} for _, row in sorted(found.items(), key=str)]


def row_of_floor(found):
    """The equaliser's error of only setting the loudness, as the report writes it."""
    return tables.number(found[rows.key(Case(row="equaliser"), 0, 7, "loudness")]["scores"]["matched_stft"])


def test_a_run_scores_every_cell_and_says_where_it_comes_from(study):
    found = run(study)
    assert len(found) == plan.size(SMALL) == 4
    row = found[rows.key(Case(row="equaliser"), 0, 7, "match_eq")]
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
    assert f"| equaliser | same | 1 | {row_of_floor(found)} [" in twin.read_text()


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


def test_rows_of_a_model_that_was_trained_anew_are_made_anew(study, monkeypatch):
    hashes = {"match_eq": "first"}
    monkeypatch.setattr(runs, "model_hash", lambda name, models: hashes.get(name))
    run(study)
    assert study.missing(rows.read_folder(study.out)) == []
    hashes["match_eq"] = "second"
    assert [task.systems for task in study.missing(rows.read_folder(study.out))] == [("match_eq",)] * 2
    assert {row["model"] for row in run(study).values()} == {None, "second"}


def test_a_training_that_is_not_there_has_no_rows_yet(study, capsys):
    study.cells = {Case(row="equaliser"): {"ad": 1, "loudness": 1}}
    assert {row["system"] for row in run(study).values()} == {"loudness"}
    assert "left out ad" in capsys.readouterr().err


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

ROWS = {"own": ("equaliser", "reverb", "all"), "other": ("warm",)}
NAMED = ("loudness", "ad")


def test_a_plan_expands_lists_sets_and_the_rows_own_mask():
    cells = plan.expand(
        {
            "sets": {"cheap": ["loudness"], "masked": ["ad:{row}"]},
            "cells": {
                "base": {"row": "*", "mode": ["same", "other"], "systems": {"cheap": 5, "masked": 2}},
                "far": {
                    "generator": ["own", "other"],
                    "row": "*",
                    "intensity": [2],
                    "systems": {"loudness": 3, "ad": 1},
                },
                "again": {"row": "all", "systems": {"loudness": 9}},
            },
        },
        ROWS,
        NAMED,
    )
    assert cells[Case(row="reverb", mode="other")] == {"loudness": 5, "ad:reverb": 2}
    assert cells[Case(row="all")] == {"loudness": 9}  # all is no mask of its own; the larger number counts
    assert cells[Case("other", "warm", intensity=2.0)] == {"loudness": 3, "ad": 1}
    assert len(cells) == 6 + 4
    assert plan.only(cells, {"row": ["reverb"], "intensity": [1.0]}, ["ad"], 1) == {
        Case(row="reverb"): {"ad:reverb": 1},
        Case(row="reverb", mode="other"): {"ad:reverb": 1},
    }


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ({"row": "delay"}, "'delay' is none of"),
        ({"generator": "x"}, "'x' is none of"),
        ({"mode": "both"}, "'both'"),
        ({"systems": {"pitch": 1}}, "'pitch' is none of"),
        ({"colour": 1}, "'colour'"),
    ],
)
def test_a_plan_that_asks_for_what_there_is_not_is_refused_by_name(cell, said):
    with pytest.raises(ValueError, match=said):
        plan.expand({"cells": {"a": {"systems": {"ad": 1}} | cell}}, ROWS, NAMED)


def test_the_shipped_plan_fits_the_study():
    from afx_live.study.pairs.generators import GENERATORS
    from afx_live.study.systems.registry import NAMES

    cells = plan.expand(plan.load(), {name: g.rows for name, g in GENERATORS.items()}, NAMES)
    assert cells[Case(row="distortion")]["ad:equaliser+compressor"] >= 100
    assert min(asked["loudness"] for asked in cells.values()) >= 40
    first = plan.tasks(cells, 7)
    assert {t.index for t in first[: len(cells)]} == {0}  # cut short, it is a smaller study


# --- rows -------------------------------------------------------------------------------------------


def made_up(system, row, index, error, mode="same", failed=None, **case):
    """A row as a run would write it."""
    scores = {} if failed else {"matched_stft": error, "eq_curve_db": 4 * error}
    return {
        "case": asdict(Case(row=row, mode=mode, **case)),
        "recording": f"group {index % 4}",
        "scores": scores,
        "index": index,
        "seed": 7,
        "system": system,
        "failed": failed,
        "unmeasured": {},
        "seconds": 0.5,
        "audio_s": 5.0,
        "about": "",
        "versions": {"python": "3.11", "sox": None},
        "recordings": {"all": "ab" * 32},
        "model": None,
    }


def test_a_broken_row_is_named_and_an_unfinished_one_dropped(tmp_path):
    whole = rows.line(made_up("ad", "all", 0, 1.0))
    path = tmp_path / rows.ROWS
    path.write_text(whole + whole.strip()[:50])
    assert len(rows.read(path)) == 1
    path.write_text(whole + '{"case": 1}\n' + whole)
    with pytest.raises(ValueError, match="line 2 is no row"):
        rows.read(path)


def test_merging_keeps_the_later_of_two_rows_and_leaves_one_file(tmp_path):
    (tmp_path / rows.ROWS).write_text(rows.line(made_up("ad", "all", 0, 1.0, failed="x")))
    (tmp_path / "rows-0.jsonl").write_text(rows.line(made_up("ad", "all", 0, 1.0)))
    (tmp_path / "rows-1.jsonl").write_text(rows.line(made_up("ad", "all", 1, 2.0)))
    found = rows.merge(tmp_path)
    assert [row["failed"] for row in found.values()] == [None, None]
    assert [p.name for p in tmp_path.iterdir()] == [rows.ROWS]
    assert rows.merge(tmp_path) == found == rows.read_folder(tmp_path)


# --- report -----------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Reads a page: its tags must be balanced, and what it loads is listed."""

    VOID = ("meta", "link", "br", "img", "hr", "circle", "path", "polyline", "source")

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.tables = [], [], 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.tables += tag == "table"
        self.loads += [
            v for k, v in attrs if k in ("src", "srcset", "data", "poster") or (tag == "link" and k == "href")
        ]

    def handle_endtag(self, tag):
        assert tag in self.VOID or self.open.pop() == tag


@pytest.fixture
def results(tmp_path):
    """Made-up results: AD leaves 60 % of an equaliser's error and changes nothing about reverb."""
    found, rng = [], np.random.default_rng(0)
    for row in ("equaliser", "reverb"):
        for i in range(20):
            base = rng.uniform(0.8, 1.2)
            left = 0.6 if row == "equaliser" else 1.0
            found.append(made_up("loudness", row, i, base))
            found.append(
                made_up("ad", row, i, base * (left + rng.normal(0, 0.05)), failed="Boom: <b>" if i == 3 else None)
            )
            found.append(made_up("ad:equaliser+compressor", row, i, base * 0.9))
            found.append(made_up("ours", row, i, base * 0.8, intensity=2.0))
            found.append(made_up("loudness", row, i, base, intensity=2.0))
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / rows.ROWS).write_text("".join(map(rows.line, found)))
    (tmp_path / "models" / "ad").mkdir(parents=True)
    curve = "cpu_minutes,step,train_loss,validation_stft\n1,100,2.0,1.5\n30,3000,1.0,\n59,6000,0.9,0.7\n"
    (tmp_path / "models" / "ad" / "curve.csv").write_text(curve)
    (tmp_path / "FINDINGS.md").write_text("# Findings\n\nIt **works**, see [1](https://example.org).\n\n<script>\n")
    return tmp_path


def test_the_report_says_what_the_rows_say_and_loads_nothing(results):
    page, twin = report.write([results / "rows"], results / "R.html", results / "models", results / "FINDINGS.md")
    text, plain_text = page.read_text(), twin.read_text()
    read = Page(text)
    assert all(load.startswith("data:") for load in read.loads)
    assert "@import" not in text
    assert "url(" not in text
    assert "<script" not in text
    assert read.tables == plain_text.count("\n|---|")
    assert "It <strong>works</strong>" in text
    assert "It **works**" in plain_text
    line = next(t for t in plain_text.splitlines() if t.startswith("| equaliser | same | 20 |"))
    assert "**−40 %**" in line or "**−41 %**" in line or "**−39 %**" in line  # best, with its interval
    line = next(t for t in plain_text.splitlines() if t.startswith("| reverb | same | 20 |"))
    assert line.split("|")[5].strip().startswith("≈")  # no difference is shown as none
    assert "| AD | 2 of 40 | Boom: <b> |" in plain_text
    assert "Boom: &lt;b&gt;" in text
    assert "| AD | 59.0 | 6000 | validation stft | 0.700 |" in plain_text
    assert "| AD | 78 | 0.100 | 0.100 |" in plain_text  # 0.5 s for 5 s of sound; what failed does not count
    for words in ("may use equaliser + compressor", "By intensities", "polyline", "prefers-color-scheme: dark"):
        assert words in text


def test_a_report_is_the_same_every_time_and_needs_rows(results):
    first = [p.read_bytes() for p in report.write([results / "rows"], results / "R.html", results / "models")]
    again = [p.read_bytes() for p in report.write([results / "rows"], results / "R.html", results / "models")]
    assert first == again
    (results / "none").mkdir()
    with pytest.raises(ValueError, match="afx-study run"):
        report.write([results / "none"], results / "R.html", results / "models")


def test_gains_are_taken_pair_by_pair():
    found = [made_up("loudness", "all", i, 1.0 + i) for i in range(4)] + [made_up("ad", "all", i, 0.5) for i in (0, 3)]
    gain = tables.Results(found).gain("ad", [Case()])
    assert gain is not None
    assert gain.n == 2
    assert gain.mean == pytest.approx((0.5 * 2 - 5.0) / 5.0)


def test_examples_are_of_our_own_clips_and_the_same_every_time(tmp_path):
    first, again = (examples.render(tmp_path, tmp_path / name, ["loudness", "ad"]).parent for name in ("a", "b"))
    listed = json.loads((first / "examples.json").read_text())
    assert {e["title"].split(", ")[1] for e in listed} <= set(examples.CLIPS)
    sounds = [s["file"] for s in listed[0]["sounds"]]
    assert [s.split("-", 1)[1] for s in sounds] == ["before.ogg", "reference.ogg", "truth.ogg", "only-loudness.ogg"]
    for name in (f.name for f in first.iterdir()):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    x, rate = soundfile.read(first / sounds[0])  # a wrong checksum would lose pages
    assert (len(x), rate) == (240000, 48000)
    assert np.abs(x).max() > 0.05


# --- probe ------------------------------------------------------------------------------------------


def test_a_probe_finds_what_is_there_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    style, truth = np.arange(140) % 7, np.arange(70) % 7
    groups, others = [f"a{i % 5}" for i in range(140)], [f"b{i % 4}" for i in range(70)]
    centres = rng.normal(size=(7, 12))
    x, y = (centres[s] + 0.2 * rng.normal(size=(len(s), 12)) for s in (style, truth))
    with linear_probe.one_thread():
        heard = linear_probe.assess(x, style, groups, y, truth, others)
        noise = linear_probe.assess(rng.normal(size=x.shape), style, groups, rng.normal(size=y.shape), truth, others)
    assert heard["accuracy"] > 0.95
    assert np.trace(heard["confusion"]) == round(70 * heard["accuracy"])
    assert noise["accuracy"] < 0.35
    low, high = noise["accuracy_interval"]
    assert low < noise["accuracy"] < high
    assert linear_probe.macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_probes_hear_styles_on_other_recordings(folder, tmp_path):
    known = find(folder)
    left, right = linear_probe.sides(known, 7)
    assert not {r.group for r in left} & {r.group for r in right}
    found = linear_probe.probe(known, tmp_path, tmp_path / "probe.json", 14, 7)
    assert found == json.loads((tmp_path / "probe.json").read_text())
    assert found["encoders"].keys() >= {"ours, embedding", "ours, statistics", "log-mel, mean and deviation"}
    assert found["encoders"]["ours, statistics"]["accuracy"] > 2 / 7
