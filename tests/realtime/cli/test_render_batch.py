"""`afx-live render` with many files: the same tree out, one bad file stops nothing, and what is done stays done."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live.dsp.loudness import integrated_loudness
from afx_live.realtime.batch.manifest import Manifest, ManifestError
from support.audio_files import BEXT, CUE, riff
from support.programs import PROGRAM
from support.ray_cluster import COMMAND, on_two_workers
from support.sounds import GUITAR_REFERENCE, VOICE, noise

RATE = 48000


def talk(path, seconds=1.0, channels=1, seed=0, subtype="PCM_16"):
    """A sound that is another one for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.roll(noise(seconds, 0.05, channels), 997 * seed, axis=0)
    soundfile.write(path, x * np.hanning(len(x))[:, None], RATE, subtype)
    return path


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


@pytest.fixture
def talks(place):
    """Two days with talks of the same names, one of them no sound."""
    for n, name in enumerate(("day1/a.wav", "day1/b.flac", "day2/a.wav")):
        talk(place / "talks" / name, seed=n)
    (place / "talks" / "day2" / "bad.wav").write_text("no sound")
    return place


def test_a_folder_becomes_the_same_tree_and_a_bad_file_stops_nothing(afx, talks):
    code, out, err = afx("render", "talks", "--preset", "telephone", "-o", "done", "--json")
    rows = json.loads(out)
    assert code == 4
    assert tree("done") == ["day1/a.wav", "day1/b.flac", "day2/a.wav"]
    assert [(row["input"], row["status"]) for row in rows] == [
        ("talks/day1/a.wav", "done"),
        ("talks/day1/b.flac", "done"),
        ("talks/day2/a.wav", "done"),
        ("talks/day2/bad.wav", "failed"),
    ]
    assert rows[0]["settings"]["chain"]
    assert (rows[3]["code"], rows[3]["kind"]) == (4, "file")
    assert "bad.wav cannot be read as audio" in rows[3]["message"]
    assert "bad.wav cannot be read as audio" in err
    assert "4 files: 3 done, 1 failed" in err


def test_files_of_one_name_from_two_folders_are_kept_apart(afx, talks):
    words = ["talks/day1/a.wav", "talks/day2/a.wav", "talks/day1/a.wav"]  # one of them twice
    code, out, _ = afx("render", *words, "--preset", "telephone", "-o", "done")
    assert code == 0
    assert tree("done") == ["day1/a.wav", "day2/a.wav"]
    assert [line.split("   ")[0] for line in out.splitlines()] == [
        "talks/day1/a.wav → done/day1/a.wav",
        "talks/day2/a.wav → done/day2/a.wav",
    ]


def test_one_file_into_a_folder_that_is_made(afx, talks):
    assert afx("render", "talks/day1/a.wav", "--preset", "warm", "-o", "new/folder/")[0] == 0
    assert tree("new") == ["folder/a.wav"]


@pytest.mark.slow
def test_resume_does_what_is_left(afx, talks):
    words = ["render", "talks", "--preset", "telephone", "-o", "done", "--resume", "--json"]
    assert afx(*words)[0] == 4
    lines = [json.loads(line) for line in (talks / "done" / "afx-live.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["done"] * 3 + ["failed"]
    assert {"settings", "lufs_before", "lufs_after", "seconds"} <= lines[0].keys()
    talk(talks / "talks/day2/bad.wav", seed=9)  # mended
    talk(talks / "talks/day1/a.wav", seed=8, seconds=1.5)  # another take
    (talks / "done/day1/a.wav").unlink()
    rows = json.loads(afx(*words)[1])
    assert [row["status"] for row in rows] == ["done", "left alone", "left alone", "done"]
    assert "manifest" in rows[1]["why"]
    assert soundfile.info("done/day1/a.wav").frames == 1.5 * RATE
    words[words.index("telephone")] = "warm"  # other settings: what was made is made anew, but for what was changed
    talk(talks / "done/day1/b.flac", seed=7)
    mine = (talks / "done/day1/b.flac").read_bytes()
    code, out, _ = afx(*words)
    assert code == 0
    assert [row["status"] for row in json.loads(out)] == ["done", "left alone", "done", "done"]
    assert "--force" in json.loads(out)[1]["why"]
    assert (talks / "done/day1/b.flac").read_bytes() == mine
    code, out, _ = afx(*words, "--force")
    assert [row["status"] for row in json.loads(out)] == ["left alone", "done", "left alone", "left alone"]


def test_a_list_that_cannot_be_kept_is_told_before_the_work_and_as_one_object(afx, talks, monkeypatch):
    (talks / "list").mkdir()
    words = ["render", "talks", "--preset", "warm", "-o", "done", "--json", "--manifest"]
    assert json.loads(afx(*words, "list")[1])["code"] == 5
    assert tree("done") == []

    def full(book, item, row):
        raise ManifestError("the disk is full")

    monkeypatch.setattr(Manifest, "add", full)
    code, out, _ = afx(*words, "list.jsonl")
    told = json.loads(out)
    assert (code, told["code"], told["message"]) == (5, 5, "the disk is full")
    assert [row["status"] for row in told["files"]] == ["done"]


def test_shards_together_are_the_whole(afx, talks):
    for shard in ("1/2", "2/2"):
        afx("render", "talks", "--preset", "telephone", "-o", "done", "--shard", shard)
    assert tree("done") == ["day1/a.wav", "day1/b.flac", "day2/a.wav"]


def test_nothing_of_a_command_is_written_over_another_of_its_files(afx, talks):
    a, b, before = "talks/day1/a.wav", "talks/day1/b.flac", (talks / "talks/day1/a.wav").read_bytes()
    for words in (
        [b, "--reference", a, "-o", a],
        [a, "--preset", "warm", "-o", "out.wav", "--save-preset", a],
        [a, "--preset", "warm", "-o", "out.wav", "--save-preset", "out.wav"],
        [a, b, "--preset", "warm", "-o", "out", "--manifest", a],
        ["talks/day1", "--preset", "warm", "-o", "talks/day1"],
    ):
        code, _, err = afx("render", *words, "--force")
        assert (code, "would be lost" in err) == (2, True), err
        assert (talks / a).read_bytes() == before
        assert not os.path.exists("out.wav")
    assert afx("render", a, b, "--preset", "warm", "-o", "out", "--resume", "--manifest", VOICE)[0] == 5


@pytest.mark.slow
def test_a_loudness_is_reached_or_said_to_be_out_of_reach(afx, place):
    for words in (["--preset", "telephone"], ["--reference", GUITAR_REFERENCE]):
        code, out, _ = afx("render", VOICE, *words, "--lufs", "-20", "-o", "out.wav", "--json", "--force")
        (row,) = json.loads(out)
        y, rate = soundfile.read("out.wav")
        assert code == 0
        assert integrated_loudness(y, rate) == pytest.approx(-20.0, abs=0.25)
        assert (row["target_lufs"], row["notes"]) == (-20.0, [])
        assert row["true_peak_db"] >= 20 * np.log10(np.abs(y).max()) - 0.3
    code, out, err = afx("render", VOICE, "--preset", "telephone", "--lufs", "0", "-o", "loud.wav", "--json")
    assert code == 0
    assert "0.0 LUFS could not be reached under the ceiling of -1 dBFS" in err
    assert json.loads(out)[0]["notes"]


def test_channels_are_chosen(afx, place):
    six = noise(1.0, 0.05, 6) * np.arange(1, 7)
    soundfile.write("six.wav", six, RATE)
    code, _, err = afx("render", "six.wav", "--preset", "warm", "-o", "out.wav")
    assert code == 4
    assert "6 channels (5.1)" in err
    assert "--channels 1,2" in err
    for name, chosen in (("pair.wav", "5,3"), ("one.wav", "4")):
        words = ["six.wav", "--channels", chosen, "--preset", "telephone", "-o", name, "--json"]
        code, out, _ = afx("render", *words)
        picked = six[:, [int(c) - 1 for c in chosen.split(",")]]
        assert code == 0
        assert json.loads(out)[0]["lufs_before"] == pytest.approx(integrated_loudness(picked, RATE), abs=0.02)
        assert soundfile.read(name, always_2d=True)[0].shape == picked.shape
    code, _, err = afx("render", "six.wav", "--channels", "7", "--preset", "warm", "-o", "none.wav")
    assert (code, "no channel 7: it has 6" in err) == (4, True)


@pytest.mark.slow
def test_what_is_missing_is_said(afx, place):
    x = noise(4.0, 0.05, 1)[:, 0]
    data = riff(x)
    (place / "cut.wav").write_bytes(data[: len(data) // 2])
    (place / "power.wav").write_bytes(data[:40] + bytes(4) + data[44:])
    for name, said, seconds in (("cut.wav", "claims 4.00 s, 2.00 s", 2.0), ("power.wav", "never finished", 4.0)):
        code, out, err = afx("render", name, "--preset", "warm", "-o", f"out-{name}", "--json")
        (row,) = json.loads(out)
        assert code == 0
        assert said in err
        assert said in row["notes"][0]
        assert row["seconds"] == pytest.approx(seconds, abs=0.01)
    code, _, err = afx("render", VOICE, "--reference", "cut.wav", "-o", "out.wav")
    assert (code, "claims 4.00 s, 2.00 s" in err) == (0, True)
    code, out, _ = afx("render", VOICE, "--reference", "cut.wav", "-o", "again.wav", "--json")
    assert "claims 4.00 s" in json.loads(out)[0]["reference_notes"][0]


def test_time_code_markers_and_bits_are_kept_or_said_to_be_lost(afx, place):
    (place / "take.wav").write_bytes(riff(noise(1.0, 0.05, 1)[:, 0], BEXT, CUE))
    assert afx("render", "take.wav", "--preset", "warm", "-o", "out.wav")[2] == ""
    kept = (place / "out.wav").read_bytes()
    assert b"bext" in kept
    assert CUE in kept
    assert soundfile.info("out.wav").subtype == "PCM_16"
    _, _, err = afx("render", "take.wav", "--preset", "warm", "-o", "out.flac")
    assert "not kept: cue points" in err
    for asked, subtype in (("24", "PCM_24"), ("float", "FLOAT")):
        assert afx("render", "take.wav", "--preset", "warm", "-o", "o.wav", "--subtype", asked, "--force")[0] == 0
        assert soundfile.info("o.wav").subtype == subtype
    code, _, err = afx("render", "take.wav", "--preset", "warm", "-o", "o.flac", "--subtype", "float")
    assert (code, "it can hold 16, 24" in err) == (4, True)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["aif", "aifc", "oga", "opus", "w64", "caf"])
def test_what_can_be_read_can_be_written(afx, place, suffix):
    talk(place / "in.wav")
    assert afx("render", "in.wav", "--preset", "warm", "-o", f"o.{suffix}")[0] == 0
    assert soundfile.info(f"o.{suffix}").frames == pytest.approx(RATE, abs=1000)


def test_advice_fits_the_fault(afx, place):
    soundfile.write("fast.wav", noise(1.0, 0.05, 1, 96000), 96000)
    code, _, err = afx("render", "fast.wav", "--preset", "warm", "-o", "o.mp3")
    assert (code, "96000 Hz" in err, "room" in err) == (4, True, False)
    code, _, err = afx("render", VOICE, "--preset", "warm", "-o", "x" * 300 + ".wav")
    assert (code, "shorter name" in err) == (4, True)


@pytest.mark.slow
def test_links_stay_links_and_devices_devices(afx, place):
    (place / "disk").mkdir()
    (place / "disk" / "old.wav").write_text("old")
    (place / "out.wav").symlink_to(place / "disk" / "old.wav")
    assert afx("render", VOICE, "--preset", "warm", "-o", "out.wav", "--force")[0] == 0
    assert (place / "out.wav").is_symlink()
    assert soundfile.info(place / "disk" / "old.wav").frames
    os.mkfifo("pipe.wav")
    code, _, err = afx("render", VOICE, "--preset", "warm", "-o", "pipe.wav", "--force")
    assert (code, "nobody reads" in err) == (4, True)
    assert (place / "pipe.wav").is_fifo()
    assert afx("render", VOICE, "--preset", "warm", "-o", "/dev/null")[0] == 0
    assert not Path("/dev/null").is_file()


def interrupted(process, folder):
    """Press Ctrl-C, as a terminal does, once two files are half-written; returns what was said."""
    end = time.monotonic() + 200
    while len([*folder.glob(".afx-*.part")]) < 2:
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=100)


@pytest.mark.slow
def test_more_processes_write_the_same_bits_and_ctrl_c_leaves_nothing(afx, talks):
    assert afx("render", "talks", "--preset", "warm", "-o", "one", "--jobs", "1")[0] == 4
    assert afx("render", "talks", "--preset", "warm", "-o", "two", "--jobs", "2")[0] == 4
    assert tree("one") == tree("two")
    assert all((talks / "one" / p).read_bytes() == (talks / "two" / p).read_bytes() for p in tree("one"))
    for n in range(4):
        talk(talks / f"long/{n}.wav", 600.0, seed=n)
    words = [*PROGRAM, "render", "long", "--preset", "warm", "-o", "three", "--jobs", "2", "-q"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begin = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), "start_new_session": True}
    with subprocess.Popen(words, **pipes, **begin) as process:
        out, err = interrupted(process, talks / "three")
    assert (process.returncode, out, err) == (130, "", "")
    assert tree("three") == []


@pytest.mark.slow
def test_a_cluster_writes_the_same_bits_though_a_worker_dies(afx, talks):
    assert afx("render", "talks", "--preset", "warm", "-o", "one", "--jobs", "1")[0] == 4
    render = on_two_workers(COMMAND, "render", "talks", "--preset", "warm", "-o", "two", "--ray", "--json")
    killer = subprocess.Popen(["sh", "-c", KILL_ONE, "sh", str(talks / "two"), str(render.pid)])
    out, err = render.communicate(timeout=200)
    killer.wait(10)
    assert render.returncode == 4
    assert out.startswith("["), out[:600] + err
    assert [row["status"] for row in json.loads(out)] == ["done"] * 3 + ["failed"], err
    assert tree("one") == [p for p in tree("two") if not p.endswith(".part")]
    assert all((talks / "one" / p).read_bytes() == (talks / "two" / p).read_bytes() for p in tree("one"))
    assert killer.returncode == 0


@pytest.mark.slow
def test_ctrl_c_ends_a_cluster_and_leaves_nothing_half_written(talks):
    for n in range(3):
        talk(talks / f"long/{n}.wav", 600.0, seed=n)
    words = ("render", "long", "--preset", "warm", "-o", "four", "--ray", "-q")
    render = on_two_workers(COMMAND, *words, start_new_session=True)
    interrupted(render, talks / "four")
    assert render.returncode == 130
    assert tree("four") == []


KILL_ONE = """
for n in $(seq 3000); do
    for part in $(find "$1" -name '.afx-*.part' 2>/dev/null); do
        pid=$(basename "$part" | cut -d- -f2)
        [ "$pid" != "$2" ] && kill -9 "$pid" && exit 0
    done
    sleep 0.01
done
exit 1
"""
"""Kill the first worker that is seen to write."""
