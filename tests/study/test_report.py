"""The report says what the rows say, and loads nothing."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live.study.pairs.condition import Condition
from afx_live.study.report import examples, report
from afx_live.study.report.results import Results
from afx_live.study.run import rows
from support.study_rows import made_up

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.slow
def test_the_committed_rows_make_the_committed_report(tmp_path):
    known = (ROOT / "docs" / "study_report.md").read_text(encoding="utf-8")
    places = [ROOT / "docs" / "study_rows.jsonl.xz", ROOT / "bench" / "foreign_rows.jsonl.xz"]
    _, twin = report.write(places, tmp_path / "R.html", tmp_path / "models")
    tables = [
        text for text in twin.read_text(encoding="utf-8").split("\n### ")[1:] if not text.startswith("Provenance")
    ]
    assert len(tables) > 20
    for table in tables:
        assert table.split("\n## ")[0].strip() in known


def test_without_findings_a_report_has_none(results):
    _, twin = report.write([results / "rows"], results / "R.html", results / "models")
    assert twin.read_text().startswith(f"# {report.NAME}\n\n## The methods")


def test_systems_of_earlier_versions_keep_their_rows(results):
    path = results / "rows" / rows.ROWS
    former = [made_up(name, "reverb", i, 0.5) for name in ("ours_refined", "forgotten") for i in range(3)]
    path.write_text(path.read_text() + "".join(map(rows.line, former)))
    _, twin = report.write([results / "rows"], results / "R.html", results / "models")
    assert "| ours, refined |" in twin.read_text()
    assert "| forgotten |" in twin.read_text()


def test_gains_are_taken_pair_by_pair():
    found = [made_up("loudness", "all", i, 1.0 + i) for i in range(4)] + [made_up("ad", "all", i, 0.5) for i in (0, 3)]
    gain = Results(found).gain("ad", [Condition()])
    assert gain is not None
    assert gain.n == 2
    assert gain.mean == pytest.approx((0.5 * 2 - 5.0) / 5.0)


@pytest.mark.slow
def test_examples_are_of_our_own_clips(tmp_path):
    first = examples.render(tmp_path, tmp_path / "examples", ["loudness", "ad"]).parent
    listed = json.loads((first / "examples.json").read_text())
    assert {e["title"].split(", ")[1] for e in listed} <= set(examples.CLIPS)
    sounds = [s["file"] for s in listed[0]["sounds"]]
    assert [s.split("-", 1)[1] for s in sounds] == ["before.ogg", "reference.ogg", "truth.ogg", "only-loudness.ogg"]
    x, rate = soundfile.read(first / sounds[0])
    assert (len(x), rate) == (240000, 48000)
    assert np.abs(x).max() > 0.05
