"""Finding recordings in folders and data sets, joining short ones, keeping some aside."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live.training.recordings import (
    Recording,
    find,
    join,
    read,
    split,
)
from support.recordings import write


def names(recordings: list[Recording]) -> list[str]:
    return [recording.path.name for recording in recordings]


def groups(recordings: list[Recording]) -> set[str]:
    return {recording.group for recording in recordings}


def fake_vctk(root: Path) -> Path:
    for speaker in ("p225", "p226", "s5"):
        for i in range(1, 4):
            for mic in ("mic1", "mic2"):
                write(root / "wav48_silence_trimmed" / speaker / f"{speaker}_{i:03d}_{mic}.flac", 3.0, seed=i)
            text = root / "txt" / speaker / f"{speaker}_{i:03d}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("Please call Stella.")
        (root / "wav48_silence_trimmed" / "log.txt").write_text("")
    return root


def fake_libritts(root: Path) -> Path:
    for speaker, chapter, count in (("103", "1240", 3), ("103", "1241", 2), ("1034", "7", 1)):
        for i in range(count):
            stem = root / "train-clean-100" / speaker / chapter / f"{speaker}_{chapter}_00000{i}_000000"
            write(Path(f"{stem}.wav"), 2.5, 24000, seed=i)
            Path(f"{stem}.normalized.txt").write_text("Chapter one.")
    return root


def fake_musdb(root: Path, train: int = 3, test: int = 1) -> Path:
    for part, count in (("train", train), ("test", test)):
        for i in range(count):
            for stem in ("mixture", "vocals", "drums", "bass", "other"):
                write(root / part / f"Band {i} - {part} song" / f"{stem}.wav", 1.0, 44100, 2)
    return root


# --- finding


def test_any_tree_of_files_is_found_in_order_with_rates_and_channels(tmp_path):
    write(tmp_path / "z.wav", 1.0, 44100, 2)
    write(tmp_path / "a.FLAC", 0.5, 16000)
    write(tmp_path / "b" / "c.ogg", 1.0, 48000)
    write(tmp_path / "b" / "d.mp3", 1.0, 48000)
    write(tmp_path / "b" / "e.aiff", 1.0, 96000)
    write(tmp_path / "song" / "take" / "f.wav", 1.0, 22050)
    found = find(tmp_path)
    assert names(found) == ["a.FLAC", "c.ogg", "d.mp3", "e.aiff", "f.wav", "z.wav"]
    assert [r.sample_rate for r in found] == [16000, 48000, 48000, 96000, 22050, 44100]
    assert [r.channels for r in found] == [1, 1, 1, 1, 1, 2]
    assert [r.group for r in found] == ["a.FLAC", "b/c.ogg", "b/d.mp3", "b/e.aiff", "song/take", "z.wav"]
    assert [r.kind for r in found] == ["recording", "b", "b", "b", "song", "recording"]
    assert found[0].seconds == 0.5
    assert found == find(str(tmp_path), "folder")


def test_one_folder_for_each_speaker_is_a_layout(tmp_path):
    write(tmp_path / "anna" / "1.wav")
    write(tmp_path / "anna" / "day 2" / "2.wav")
    write(tmp_path / "bert" / "1.wav")
    write(tmp_path / "stray.wav")
    assert [r.group for r in find(tmp_path, "folders")] == ["anna", "anna", "bert"]


def test_what_cannot_be_read_is_skipped_and_named(tmp_path, caplog):
    write(tmp_path / "good.wav")
    (tmp_path / "corrupt.wav").write_bytes(b"RIFF" + bytes(range(100)))
    (tmp_path / "nothing.flac").write_bytes(b"")
    soundfile.write(tmp_path / "zero.wav", np.zeros((0, 1)), 8000)
    (tmp_path / "phone.m4a").write_bytes(b"....ftypM4A ")
    (tmp_path / "notes.txt").write_text("not audio")
    (tmp_path / "cover.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "._good.wav").write_bytes(b"made by a Mac")
    with caplog.at_level(logging.WARNING):
        assert names(find(tmp_path)) == ["good.wav"]
    (message,) = caplog.messages
    assert "skipped 4 unreadable files" in message
    for name in ("corrupt.wav", "nothing.flac", "zero.wav (no audio in it)", "phone.m4a (a format libsndfile"):
        assert name in message
    for name in ("notes.txt", "cover.jpg", "._good.wav"):
        assert name not in message


def test_only_the_first_of_many_bad_files_are_named(tmp_path, caplog):
    write(tmp_path / "good.wav")
    for i in range(12):
        (tmp_path / f"bad{i:02d}.wav").write_bytes(b"no")
    find(tmp_path)
    assert "skipped 12" in caplog.text
    assert "bad04.wav" in caplog.text
    assert "bad05.wav" not in caplog.text
    assert "and 7 more" in caplog.text


def test_wrong_folders_and_layouts_are_refused_with_what_was_wanted(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing: no such folder"):
        find(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"x\.wav: is a file"):
        find(write(tmp_path / "x.wav"))
    with pytest.raises(ValueError, match=r"layout: 'daps' is not one of auto, folder, folders, libritts"):
        find(tmp_path, "daps")
    with pytest.raises(ValueError, match=r"no readable audio; looked for wav48/<speaker>"):
        find(tmp_path, "vctk")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no readable audio; .*\.flac"):
        find(tmp_path / "empty")
    (tmp_path / "empty" / "bad.wav").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"skipped 1 unreadable file: bad\.wav"):
        find(tmp_path / "empty")


def test_a_link_that_leads_back_up_is_not_followed_for_ever(tmp_path):
    write(tmp_path / "a" / "x.wav")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "a", target_is_directory=True)
    assert names(find(tmp_path)) == ["x.wav"]


@pytest.mark.parametrize("layout", ["auto", "vctk"])
def test_vctk_092_gives_one_microphone_by_speaker(tmp_path, layout):
    found = find(fake_vctk(tmp_path / "VCTK-Corpus-0.92"), layout)
    assert [(r.group, r.kind) for r in found] == [("p225", "speech"), ("p226", "speech"), ("s5", "speech")]
    assert all(part.path.stem.endswith("_mic1") for r in found for part in r.parts)
    assert [r.seconds for r in found] == [9.0] * 3


def test_vctk_080_and_a_single_wav48_folder_are_recognised(tmp_path):
    write(tmp_path / "VCTK-Corpus" / "wav48" / "p225" / "p225_001.wav", 2.0, 48000)
    assert groups(find(tmp_path)) == {"p225"}
    assert groups(find(tmp_path / "VCTK-Corpus" / "wav48")) == {"p225"}


@pytest.mark.parametrize("layout", ["auto", "libritts"])
def test_libritts_is_grouped_by_speaker_and_joined_by_chapter(tmp_path, layout):
    root = fake_libritts(tmp_path / "LibriTTS")
    found = find(root, layout)
    assert [(r.group, r.seconds, len(r.parts)) for r in found] == [("103", 7.5, 3), ("103", 5.0, 2), ("1034", 2.5, 0)]
    assert groups(find(root / "train-clean-100", layout)) == {"103", "1034"}


@pytest.mark.parametrize("layout", ["auto", "musdb18"])
def test_musdb18_hq_is_grouped_by_song_and_keeps_its_split(tmp_path, layout):
    found = find(fake_musdb(tmp_path), layout)
    assert len(found) == 20
    assert {r.kind for r in found} == {"mixture", "vocals", "drums", "bass", "other"}
    assert {(r.group, r.split) for r in found} == {
        ("Band 0 - test song", "test"),
        *((f"Band {i} - train song", "train") for i in range(3)),
    }


def test_musdb18_stems_are_refused_or_skipped_with_the_way_out(tmp_path, caplog):
    song = tmp_path / "train" / "Band - Song.stem.mp4"
    song.parent.mkdir()
    song.write_bytes(b"....ftypisom")
    for layout in ("auto", "musdb18"):
        with pytest.raises(ValueError, match=r"skipped 1 \.stem\.mp4 .*MUSDB18-HQ .*ffmpeg .*-map 0:a:4 vocals\.wav"):
            find(tmp_path, layout)
    fake_musdb(tmp_path)
    assert len(find(tmp_path)) == 20
    assert "skipped 1 .stem.mp4" in caplog.text


def test_a_folder_called_train_with_a_vocals_file_is_not_yet_musdb18(tmp_path):
    write(tmp_path / "train" / "vocals" / "bass.wav")
    assert [(r.group, r.split) for r in find(tmp_path)] == [("train/vocals", None)]


def test_data_sets_may_lie_side_by_side(tmp_path):
    fake_vctk(tmp_path / "VCTK")
    fake_libritts(tmp_path / "LibriTTS")
    fake_musdb(tmp_path / "musdb18hq", train=1)
    write(tmp_path / "mine" / "guitar.wav")
    wanted = {"p225", "p226", "s5", "103", "1034", "Band 0 - train song", "Band 0 - test song", "mine/guitar.wav"}
    assert groups(find(tmp_path)) == wanted


# --- joining


def test_short_neighbours_are_joined_until_they_last(tmp_path):
    for i in range(7):
        write(tmp_path / "a" / f"{i}.wav", 3.0)
    write(tmp_path / "b" / "0.wav", 3.0)
    write(tmp_path / "b" / "1.wav", 3.0, 16000)
    takes = join(find(tmp_path, "folders"), 6.0)
    assert [r.seconds for r in takes] == [6.0, 6.0, 9.0, 3.0, 3.0]  # rates and folders are not mixed
    assert join(takes, 6.0) == takes


def test_a_take_reads_as_its_parts_end_to_end(tmp_path):
    for i in range(3):
        write(tmp_path / "a" / f"{i}.flac", 1.0, seed=i)
    files = find(tmp_path, "folders")
    (take,) = join(files)
    whole = np.concatenate([read(r, 0.0, 1.0, 8000) for r in files])
    np.testing.assert_array_equal(read(take, 0.0, 3.0, 8000), whole)
    np.testing.assert_array_equal(read(take, 0.75, 1.5, 8000), whole[6000:18000])


# --- keeping aside


@pytest.fixture
def many() -> list[Recording]:
    return [
        Recording(Path(f"/data/speech/speaker{i // 4}_{i % 4}.wav"), 0.0, 5.0, 48000, 1, f"speaker{i // 4}", "speech")
        for i in range(2000)
    ]


def test_a_hash_keeps_groups_aside_whole_and_no_group_on_both_sides(many):
    train, held_out = split(many, fraction=0.1)
    assert not groups(train) & groups(held_out)
    assert len(train) + len(held_out) == 2000
    assert len(held_out) == 4 * len(groups(held_out)) > 0
    assert split(many, fraction=0.1) == (train, held_out)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5])
def test_the_hash_keeps_about_the_fraction_aside(fraction):
    files = [Recording(Path(f"/data/{i}.wav"), 0.0, 5.0, 48000, 1, f"{i}.wav", "speech") for i in range(10000)]
    assert len(split(files, fraction=fraction)[1]) / 10000 == pytest.approx(fraction, abs=0.015)


def test_the_hash_is_the_same_everywhere_and_new_recordings_move_none(many):
    assert groups(split(many[:1000])[1]) == groups(split(many)[1]) & groups(many[:1000])
    # By sha256 alone: this must not change between versions, or a model is judged on what it was trained on.
    assert groups(split(many[:240])[1]) == {"speaker13", "speaker18", "speaker28", "speaker43", "speaker48"}


@pytest.mark.parametrize("pattern", ["speaker7_2", "speaker7_?", "speech/speaker7_*", "speaker7"])
def test_a_pattern_takes_the_whole_group(many, pattern):
    train, held_out = split(many, (pattern,))
    assert groups(held_out) == {"speaker7"}
    assert len(held_out) == 4
    assert len(train) == 1996


def test_a_pattern_finds_files_inside_takes(tmp_path):
    found = find(fake_vctk(tmp_path))
    assert groups(split(found, ("p226_002*",))[1]) == {"p226"}


def test_a_pattern_that_matches_nothing_is_refused(many):
    with pytest.raises(ValueError, match=r"held_out: 'speeker\*' matches none of 2000 recordings"):
        split(many, ("speaker1", "speeker*"))


def test_something_is_always_left_to_train_on(many):
    with pytest.raises(ValueError, match="nothing is left to train on: all of 2000"):
        split(many, ("*",))
    with pytest.raises(ValueError, match=r"fraction: 1.0 is not in \[0, 1\)"):
        split(many, fraction=1.0)
    two = many[:8]
    for fraction in (1e-9, 0.999999):
        assert [len(side) for side in split(two, fraction=fraction)] == [4, 4]
    assert split(many[:4]) == (many[:4], [])
    assert split(many, fraction=0.0) == (many, [])


def test_official_test_songs_are_held_out_whatever_is_asked(tmp_path):
    found = find(fake_musdb(tmp_path))
    assert groups(split(found, fraction=0.0)[1]) == {"Band 0 - test song"}
    assert groups(split(found, ("Band 1*",))[1]) == {"Band 0 - test song", "Band 1 - train song"}
    assert len(groups(split(found)[1])) == 2  # one training song for validation, on top
    with pytest.raises(ValueError, match="nothing is left"):
        split([r for r in found if r.split == "test"])
