"""Many files: which, where to, over nothing else, one bad one stops nothing, and what is done is not done again."""

import json
import os

import pytest

from afx_live.files.distinct import Named, SameFileError, check_distinct, check_replaced
from afx_live.realtime.batch import Item, Manifest, run, work_list
from afx_live.realtime.batch.manifest import ManifestError
from afx_live.realtime.batch.work_list import WorkListError
from support.batch_work import copy
from support.ray_cluster import on_two_workers


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        return tmp_path

    return make


def pairs(*arguments, **more):
    return [(str(item.source), str(item.target)) for item in work_list(*arguments, **more)]


# --- which files ----------------------------------------------------------------------------------


def test_one_file_to_one_file(here):
    here("a.wav")
    assert pairs(["a.wav"], "b.flac") == [("a.wav", "b.flac")]


@pytest.mark.parametrize("made", [False, True], ids=["new", "there"])
def test_one_file_into_a_folder(here, made):
    if made:
        here("out/x")
    here("a.wav")
    assert pairs(["a.wav"], "out" if made else "out/") == [("a.wav", "out/a.wav")]


def test_several_files_keep_their_names_and_formats(here):
    here("a.flac", "day/b.aif", "c.m4a")
    found = pairs(["a.flac", "day/b.aif", "c.m4a"], "out")
    assert found == [("a.flac", "out/a.flac"), ("day/b.aif", "out/b.aif"), ("c.m4a", "out/c.wav")]


def test_files_of_one_name_are_kept_apart(here):
    here("x/day1/vox.wav", "x/day2/vox.wav", "x/day2/b.wav")
    found = pairs(["x/day1/vox.wav", "x/day2/vox.wav", "x/day2/b.wav"], "out")
    assert [target for _, target in found] == ["out/day1/vox.wav", "out/day2/vox.wav", "out/day2/b.wav"]


def test_a_folder_gives_the_same_tree(here):
    root = here("in/a.wav", "in/deep/er/b.flac", "in/notes.txt", "in/.hidden.wav", "in/deep/.git/c.wav")
    assert pairs(["in"], "out") == [("in/a.wav", "out/a.wav"), ("in/deep/er/b.flac", "out/deep/er/b.flac")]
    os.chdir(root / "in" / "deep")
    assert pairs([".."], "../../out")[0] == ("../a.wav", "../../out/a.wav")


def test_what_was_written_is_not_read_again(here):
    here("in/a.wav", "in/out/a.wav")
    assert pairs(["in"], "in/out") == [("in/a.wav", "in/out/a.wav")]


def test_sound_that_cannot_be_read_is_not_left_out_in_silence(here):
    here("in/a.wav", "in/b.m4a")
    assert pairs(["in"], "out") == [("in/a.wav", "out/a.wav"), ("in/b.m4a", "out/b.wav")]


def test_globs_that_no_shell_expanded(here):
    here("in/a1.wav", "in/a2.wav", "in/b.wav", "a[1].wav")
    assert [source for source, _ in pairs(["in/a*.wav"], "out")] == ["in/a1.wav", "in/a2.wav"]
    assert pairs(["a[1].wav"], "o.wav") == [("a[1].wav", "o.wav")]  # there is a file of that name


def test_a_file_that_is_not_there_stays_in_the_list(here):
    here("a.wav")
    assert [source for source, _ in pairs(["a.wav", "gone.wav"], "out")] == ["a.wav", "gone.wav"]


def test_what_cannot_be(here):
    here("a.wav", "b.wav", "empty/notes.txt", "a.m4a")
    with pytest.raises(WorkListError, match="is a file"):
        work_list(["a.wav", "b.wav"], "b.wav")
    with pytest.raises(WorkListError, match="no sound file"):
        work_list(["empty"], "out")
    with pytest.raises(WorkListError, match="written twice"):
        work_list(["a.wav", "a.m4a"], "out")


def test_shards_are_all_of_it_once(here):
    here(*(f"in/{n:02}.wav" for n in range(11)))
    parts = [pairs(["in"], "out", shard=(i, 3)) for i in (1, 2, 3)]
    assert sorted(pair for part in parts for pair in part) == pairs(["in"], "out")
    assert {len(part) for part in parts} == {3, 4}


# --- nothing over something else ------------------------------------------------------------------


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "dotted", "through a folder"])
def test_what_would_be_lost_is_seen(here, link):
    root = here("in.wav", "sub/x")
    other = root / "other.wav"
    if link == "symbolic":
        other.symlink_to(root / "in.wav")
    elif link == "hard":
        os.link(root / "in.wav", other)
    elif link == "dotted":
        other = root / "sub" / ".." / "in.wav"
    elif link == "through a folder":
        (root / "way").symlink_to(root)
        other = root / "way" / "in.wav"
    else:
        other = root / "in.wav"
    with pytest.raises(SameFileError, match="the input and the preset"):
        check_distinct([Named("the input", root / "in.wav"), Named("the preset", other, True)])


def test_two_outputs_that_are_not_there_yet(here):
    root = here()
    with pytest.raises(SameFileError):
        check_distinct([Named("the output", root / "a", True), Named("the preset", root / "." / "a", True)])


def test_only_what_is_alike_is_replaced_whole(here):
    root = here("home/letter.txt", "model/model.json", "model/best.ckpt", "taken")
    (root / "empty").mkdir()
    (root / "link").symlink_to(root / "home")
    for name in ("home", "taken", "link"):
        with pytest.raises(SameFileError, match=f"{name} is there and is no model .no model.json in it."):
            check_replaced(root / name, "model.json", "model")
    with pytest.raises(SameFileError, match=r"best\.ckpt, the checkpoint, lies in .*model, which would be replaced"):
        check_replaced(root / "model", "model.json", "model", [Named("the checkpoint", root / "model" / "best.ckpt")])
    for name in ("empty", "new", "model"):
        check_replaced(root / name, "model.json", "model", [Named("the checkpoint", root / "home" / "letter.txt")])


def test_one_file_may_be_read_twice(here):
    root = here("a.wav", "b.wav")
    check_distinct([Named("the input", root / "a.wav"), Named("the reference", root / "a.wav")])
    check_distinct([Named("the input", root / "a.wav"), Named("the output", root / "b.wav", True)])


# --- what was done --------------------------------------------------------------------------------


def test_a_manifest_knows_what_is_done(here):
    root = here("a.wav", "b.wav", "out/a.wav", "out/b.wav")
    a, b = (Item(root / name, root / "out" / name) for name in ("a.wav", "b.wav"))
    manifest = Manifest(root / "m.jsonl", "key")
    manifest.add(a, {"status": "done", "lufs_after": -16.0})
    manifest.add(b, {"status": "failed", "why": "bad"})
    again = Manifest(root / "m.jsonl", "key")
    assert (again.done(a) or {})["lufs_after"] == -16.0
    assert again.done(b) is None
    assert Manifest(root / "m.jsonl", "another").done(a) is None
    a.source.write_text("a longer one")
    assert again.done(a) is None
    a.source.write_text("a.wav")
    again.add(a, {"status": "done"})
    a.target.unlink()
    assert Manifest(root / "m.jsonl", "key").done(a) is None


def test_a_manifest_that_was_cut_off_goes_on(here):
    root = here("a.wav", "b.wav", "out/a.wav", "out/b.wav")
    a, b = (Item(root / name, root / "out" / name) for name in ("a.wav", "b.wav"))
    path = root / "m.jsonl"
    Manifest(path, "k").add(a, {"status": "done"})
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        manifest = Manifest(path, "k")
        manifest.add(b, {"status": "done"})
        again = Manifest(path, "k")
        assert again.done(b), cut
        assert all(json.loads(line) for line in path.read_text().splitlines()[-1:])


def test_a_manifest_that_cannot_be_written_says_so(here):
    root = here("a.wav")
    with pytest.raises(ManifestError, match="cannot be written"):
        Manifest(root / "a.wav" / "m.jsonl", "k").add(Item(root / "a.wav", root / "b.wav"), {"status": "done"})


# --- the work -------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_file_stops_nothing(here, jobs):
    here("in/a.wav", "in/bad.wav", "in/c.wav", "in/d.wav")
    rows = {item.source.name: row for item, row in run(work_list(["in"], "out"), copy, jobs)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.wav": "done", "bad.wav": "failed", "c.wav": "done", "d.wav": "done",
    }  # fmt: skip
    assert rows["bad.wav"]["message"] == "bad.wav is bad"
    assert sorted(os.listdir("out")) == ["a.wav", "c.wav", "d.wav"]


@pytest.mark.slow
def test_a_process_that_dies_takes_only_its_file(here):
    here(*(f"in/{n}.wav" for n in range(6)), "in/deadly.wav")
    rows = {item.source.name: row for item, row in run(work_list(["in"], "out"), copy, 2)}
    assert len(rows) == 7
    assert {name for name, row in rows.items() if row["status"] == "failed"} == {"deadly.wav"}
    assert "died" in rows["deadly.wav"]["message"]


def test_a_recording_is_no_manifest(here):
    root = here("a.wav")
    with pytest.raises(ManifestError, match="not a manifest"):
        Manifest(root / "a.wav", "k")
    assert (root / "a.wav").read_text() == "a.wav"


ON_RAY = """
import json
from afx_live.realtime.batch.cluster import run_on_ray
from afx_live.realtime.batch.work_list import work_list
from support.batch_work import die_once
items = work_list(sys.argv[1:2], sys.argv[2])
print(json.dumps({item.source.name: row for item, row in run_on_ray(items, die_once)}))
"""


@pytest.mark.slow
def test_a_cluster_does_the_same_and_a_worker_may_die(here):
    root = here("in/a.wav", "in/bad.wav", "in/once.wav", "in/d.wav")
    out, err = on_two_workers(ON_RAY, str(root / "in"), str(root / "out")).communicate(timeout=200)
    assert out.startswith("{"), err
    rows = json.loads(out)
    assert {name for name, row in rows.items() if row["status"] == "failed"} == {"bad.wav"}
    assert sorted(os.listdir("out")) == ["a.wav", "d.wav", "once.wav"]
    assert (root / "in" / "once.wav.died").exists()
