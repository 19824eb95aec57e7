"""Gathering: what is listed is what may be taken, what is cut keeps its sound, and what is done is not done again."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live.presets import clip
from afx_live.training.recordings.gather import gather, packages
from afx_live.training.recordings.gather.excerpts import crossfaded, cut, in_turn, join, to_mono, trimmed
from afx_live.training.recordings.gather.packages import KINDS, PERMISSIVE, Package, Source, Unavailable, sources
from afx_live.training.recordings.gather.phrases import drums, groove, notes, phrase

RATE = 44100


def source(**values) -> Source:
    return Source(
        **{"package": "deb:thing", "kind": "speech", "licence": "MIT", "author": "A", "files": ("*",), **values}
    )


def test_sources_are_well_formed_and_have_makers():
    listed = sources()
    assert {s.kind for s in listed} == set(KINDS)
    assert all(s.registry in ("deb", "npm", "pip") and s.licence and s.author and s.files for s in listed)
    assert all(s.how in gather.MAKERS for s in listed)


def test_permissive_leaves_out_share_alike():
    few = sources(licences="permissive")
    assert few
    assert all(s.licence in PERMISSIVE for s in few)
    assert not [s for s in few if "SA" in s.licence or "GPL" in s.licence]


@pytest.mark.parametrize(("words", "text"), [(["x", "--kinds", "birds"], "birds"), ([], "folder")])
def test_what_cannot_be_gathered_is_refused_with_code_2(words, text, capsys):
    with pytest.raises(SystemExit) as stopped:
        gather.main(words)
    assert stopped.value.code == 2
    assert text in capsys.readouterr().err


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two speakers' words and one long recording, where a download would put it."""
    x, rate = soundfile.read(clip("voice"))
    inside = tmp_path / "inside"
    for speaker in ("ann", "bob"):
        (inside / speaker).mkdir(parents=True)
        for i in range(6):
            soundfile.write(inside / speaker / f"{i}.wav", x[i * rate // 2 : (i + 2) * rate // 2], rate)
    soundfile.write(inside / "song.wav", np.tile(x, 12), rate)

    def download(source, folder):
        if source.package == "deb:gone":
            raise Unavailable("E: Unable to locate package gone")
        return Package(folder, "thing", "1.0")

    monkeypatch.setattr(gather, "download", download)
    monkeypatch.setattr(gather, "unpack", lambda package, folder: shutil.copytree(inside, folder) and [])
    return inside


def test_a_gathering_writes_recordings_manifest_and_licences_and_goes_on(package, tmp_path, capsys):
    out = tmp_path / "out"
    wanted = [
        source(package="deb:gone"),
        source(files=("ann/*", "bob/*"), how="join", group=r"(ann|bob)/", shortest=1.0),
        source(kind="music", files=("song.wav",), licence="CC0"),
    ]
    rows = gather.gather(out, wanted)
    assert "left out" in capsys.readouterr().err
    assert {row["group"] for row in rows} == {"thing/ann", "thing/bob", "thing/song"}
    with open(out / "MANIFEST.csv", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [row["path"] for row in rows]
    for row in rows:
        assert soundfile.info(out / row["path"]).duration == pytest.approx(row["seconds"], abs=0.01)
        assert row["seconds"] <= 31.0
    assert "| deb:thing | 1.0 | CC0 | A |" in (out / "LICENSES.md").read_text()
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.flac")}
    assert gather.gather(out, wanted) == rows
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.flac")} == before


def test_no_more_minutes_than_are_asked_for(package, tmp_path):
    rows = gather.gather(tmp_path / "out", [source(kind="music", files=("song.wav",))], max_minutes=0.3)
    assert len(rows) == 1


def test_long_recordings_are_cut_all_over_and_short_ones_joined(package):
    pieces = list(cut(package, ["song.wav"], source()))
    assert len(pieces) > 1
    assert all(4.0 <= len(p.sound) / p.rate <= 30.5 for p in pieces)
    whole = list(join(package, [f"ann/{i}.wav" for i in range(6)], source(group=r"(ann)/")))
    assert len(whole) == 1
    assert len(whole[0].made_of.split(" ; ")) == 6


def test_silence_at_the_ends_is_cut_and_channels_that_cancel_are_not_mixed():
    x = np.concatenate([np.zeros(RATE), 0.5 * np.ones(RATE), np.zeros(RATE)]).astype(np.float32)
    assert len(trimmed(x, RATE)) / RATE == pytest.approx(1.3, abs=0.05)
    noise = np.random.default_rng(0).standard_normal(1000)
    np.testing.assert_array_equal(to_mono(np.stack([noise, -noise], 1)), noise)
    np.testing.assert_allclose(to_mono(np.stack([noise, noise], 1)), noise)
    assert len(crossfaded([np.ones(RATE), np.ones(RATE)], RATE)) == 2 * RATE - int(0.03 * RATE)


def test_makers_take_turns():
    assert list(in_turn([iter("abc"), iter("x")])) == ["a", "x", "b", "c"]  # pyright: ignore[reportArgumentType]


def test_kits_and_notes_are_played(tmp_path):
    import random

    hits = groove(random.Random(1))
    assert {h.key for h in hits} >= {"kick", "snare", "hat"}
    assert all(40 <= int(n.key) <= 80 for n in phrase("chords", 40, 80, random.Random(2)))
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) * np.linspace(0.5, 0, RATE)
    for name in ("kick", "snare", "hat", "tom", "crash", "A4", "A5"):
        soundfile.write(tmp_path / f"{name}.wav", tone, RATE)
    kit = next(drums(tmp_path, ["kick.wav", "snare.wav", "hat.wav", "tom.wav", "crash.wav"], source(group="()")))
    piano = next(notes(tmp_path, ["A4.wav", "A5.wav"], source()))
    for played in (kit, piano):
        assert 20.0 < len(played.sound) / played.rate < 33.0
        assert 0.3 < np.abs(played.sound).max() <= 1.0


def test_a_missing_tool_is_named(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(Unavailable, match="apt-get is missing"):
        packages.download(source(), tmp_path / "p")
