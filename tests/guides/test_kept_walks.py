"""The progress of guides in files: restored, and a file that is damaged or foreign is reported and never fatal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sockmon.guides.progress import Progress, decode, encode
from sockmon.kept_walks import MAX_BYTES, KeptWalks, directory
from tests.guides.walks import begin, follow, full

NAME = "toy"


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def progress() -> Progress:
    walk, _ = begin(full())
    list(follow(walk))
    return walk.progress


def file_with(content: bytes) -> Path:
    directory().mkdir(parents=True)
    path = directory() / f"{NAME}.json"
    path.write_bytes(content)
    return path


def test_what_was_saved_is_loaded() -> None:
    faults: list[str] = []
    kept = KeptWalks(faults.append)
    assert kept.load(NAME, decode) is None
    kept.save(NAME, encode(progress()))
    assert kept.load(NAME, decode) == progress()
    assert [path.name for path in directory().iterdir()] == [f"{NAME}.json"]
    assert not faults


DAMAGED = [b"", b"{", b"\xff\x00", b'{"guide": "\xff"}', b"[" * 9000, b"9" * 5000, b"x" * (MAX_BYTES + 1)]


@pytest.mark.parametrize("content", DAMAGED, ids=len)
def test_a_damaged_file_is_reported_and_replaced(content: bytes) -> None:
    faults: list[str] = []
    path = file_with(content)
    kept = KeptWalks(faults.append)
    assert kept.load(NAME, decode) is None
    assert len(faults) == 1
    assert str(path) in faults[0]
    kept.save(NAME, encode(progress()))
    assert kept.load(NAME, decode) == progress()
    assert len(faults) == 1


def test_the_file_of_another_guide_a_link_and_a_fifo_are_refused(tmp_path: Path) -> None:
    faults: list[str] = []
    path = file_with(encode(progress()))
    other = path.rename(directory() / "other.json")
    assert KeptWalks(faults.append).load("other", decode) is None
    path.symlink_to(other)
    assert KeptWalks(faults.append).load(NAME, decode) is None
    path.unlink()
    os.mkfifo(path)
    assert KeptWalks(faults.append).load(NAME, decode) is None
    assert len(faults) == 3


def test_a_directory_in_place_of_the_file_is_reported_and_leaks_no_descriptor() -> None:
    faults: list[str] = []
    (directory() / f"{NAME}.json").mkdir(parents=True)
    kept = KeptWalks(faults.append)
    before = os.listdir("/proc/self/fd")
    assert kept.load(NAME, decode) is None
    assert len(os.listdir("/proc/self/fd")) == len(before)
    kept.save(NAME, encode(progress()))
    assert len(faults) == 2


def test_a_directory_that_cannot_be_written_is_reported_once() -> None:
    faults: list[str] = []
    directory().parent.mkdir(parents=True)
    directory().write_text("a file")
    kept = KeptWalks(faults.append)
    kept.save(NAME, encode(progress()))
    kept.save(NAME, encode(progress()))
    assert len(faults) == 1
