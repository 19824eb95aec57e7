"""Reading and writing with care: whole or not at all, and never more than was allowed."""

import os
import time

import pytest

from afx_live.files.atomic_write import STALE_S, atomic_path, atomic_write
from afx_live.files.bounded_read import bounded_read


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "a.bin"
    with atomic_path(path) as part:
        assert part.parent == tmp_path
        part.write_bytes(b"first")
        assert not path.exists()
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["a.bin"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")

    def fail():
        with atomic_path(path) as part:
            part.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_nothing_is_overwritten_unless_allowed_not_even_what_appears_meanwhile(tmp_path):
    path = tmp_path / "a.bin"

    def late():
        with atomic_path(path, overwrite=False) as part:
            part.write_bytes(b"mine")
            path.write_bytes(b"theirs")

    with pytest.raises(FileExistsError, match=r"a\.bin exists"):
        late()
    with pytest.raises(FileExistsError):
        atomic_write(path, b"mine", overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(("durable", "syncs"), [(True, 2), (False, 0)])
def test_a_durable_file_and_its_name_are_written_to_the_disk(tmp_path, monkeypatch, durable, syncs):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with atomic_path(tmp_path / "a.bin", durable=durable) as part:
        part.write_bytes(b"x")
    assert len(synced) == syncs


def test_what_killed_writers_left_behind_is_removed(tmp_path):
    stale, fresh, other = (tmp_path / name for name in (".a.bin.1.ab.tmp", ".a.bin.2.cd.tmp", ".b.bin.1.ab.tmp"))
    for path in (stale, fresh, other):
        path.touch()
    for path in (stale, other):
        os.utime(path, (0, time.time() - STALE_S - 1))
    atomic_write(tmp_path / "a.bin", b"x")
    assert names(tmp_path) == sorted([fresh.name, other.name, "a.bin"])


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    assert bounded_read(path, 5) == b"12345"
    with pytest.raises(ValueError, match="longer than the 4 bytes"):
        bounded_read(path, 4)


def test_what_is_not_a_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(ValueError, match=f"{name} is not a regular file"):
            bounded_read(tmp_path / name, 100)
    with pytest.raises(ValueError, match="cannot be read"):
        bounded_read(tmp_path / "a\0b", 100)
    with pytest.raises(FileNotFoundError):
        bounded_read(tmp_path / "nowhere", 100)


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "\N{GRINNING FACE}" * 63, "caf\udce9"])
def test_names_may_be_as_long_as_a_file_system_takes_and_need_be_no_text(tmp_path, name):
    for _ in range(2):
        atomic_write(tmp_path / name, b"whole")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_pipe_is_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no file but a folder, pipe or device"):
        atomic_write(tmp_path / "pipe", b"whole")
    assert (tmp_path / "pipe").is_fifo()


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as found:
        atomic_write(tmp_path / "no folder" / "größe.json", b"{}")
    assert found.value.filename == str(tmp_path / "no folder" / "größe.json")
