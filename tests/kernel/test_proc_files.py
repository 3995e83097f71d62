"""Parsing what /proc shows of one process, also if the process chose the text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockmon.errors import ReadError
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.proc_files import (
    main_cgroup,
    parse_cgroup_paths,
    parse_command,
    parse_stat,
    parse_status,
)

TAIL = b"S 1 2 2 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 7 0 4711 1000 33 18446744073709551615 1 1 0"


def test_stat_by_position() -> None:
    stat = parse_stat(b"12 (nginx) " + TAIL)
    assert (stat.name, stat.state, stat.threads, stat.start) == ("nginx", "S", 7, 4711)
    assert stat.rss == 33 * os.sysconf("SC_PAGE_SIZE")
    assert not stat.kernel_thread


@pytest.mark.fault("Q14")
def test_a_kernel_thread_is_known_by_its_flag() -> None:
    assert parse_stat(b"2 (kthreadd) " + TAIL.replace(b"4194304", b"2129984")).kernel_thread


@pytest.mark.fault("Q3")
@pytest.mark.parametrize(
    ("comm", "name"),
    [
        (b"x) R 1 (", "x) R 1 ("),
        (b"a\nb", "a�b"),
        (b"\x1b[2J", "�[2J"),
        (b"\xff\xfe", "��"),
        (b"", ""),
        (b") S 1 (", ") S 1 ("),
    ],
)
def test_a_hostile_name_is_only_a_name(comm: bytes, name: str) -> None:
    stat = parse_stat(b"12 (" + comm + b") " + TAIL)
    assert (stat.name, stat.threads, stat.start) == (name, 7, 4711)


@pytest.mark.fault("Q8")
@settings(database=None, deadline=None)
@given(st.binary(max_size=200))
def test_malformed_text_raises_value_error_only(text: bytes) -> None:
    for parse in (parse_stat, parse_status):
        try:
            parse(text)
        except (ValueError, IndexError):
            continue


@pytest.mark.fault("Q8")
@pytest.mark.parametrize("text", [b"", b"12 (x) S 1", b"12 (x " + TAIL, b"12 (x) " + TAIL.replace(b"4711", b"-1")])
def test_a_malformed_stat_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match="stat"):
        parse_stat(text)


@pytest.mark.fault("Q4")
def test_status_has_the_real_user_and_the_slots() -> None:
    text = b"Name:\tUid:\nUid:\t33\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t256\n"
    assert parse_status(text) == (33, 256)
    with pytest.raises(ValueError, match="Uid"):
        parse_status(b"Name:\tx\n")


@pytest.mark.fault("Q5")
@pytest.mark.parametrize(
    ("raw", "command"),
    [
        (b"nginx: worker\0process\0", "nginx: worker process"),
        (b"", "[nginx]"),
        (b"\0\0\0", "[nginx]"),
        (b"no-nul", "no-nul"),
        (b"a\x1b[31m\0\xff", "a�[31m �"),
        (b"y" * 4096, "y" * 255 + "…"),
    ],
)
def test_a_command_line_is_one_clean_line(raw: bytes, command: str) -> None:
    assert parse_command(raw, "nginx") == command


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"0::/system.slice/nginx.service\n", "/system.slice/nginx.service"),
        (b"12:memory:/docker/ab\n1:name=systemd:/docker/cd\n0::/\n", "/docker/cd"),
        (b"4:cpu,cpuacct:/x\n9:memory:/mem\n", "/mem"),
        (b"0::/a:b\n", "/a:b"),
        (b"0::/\n", "/"),
        (b"", ""),
        (b"nonsense\n::\n", ""),
    ],
)
def test_the_cgroup_that_limits(text: bytes, path: str) -> None:
    assert main_cgroup(parse_cgroup_paths(text)) == path


@pytest.mark.fault("Q12")
def test_a_missing_proc_is_an_error_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReadError, match="cannot open"):
        proc_files.open_proc(str(tmp_path / "none"))
    monkeypatch.setattr(proc_files, "PROC", str(tmp_path))
    with pytest.raises(ReadError, match="not mounted"):
        proc_files.open_proc(str(tmp_path))
    (tmp_path / "self").symlink_to("1")
    with pytest.raises(ReadError, match="another pid namespace"):
        proc_files.open_proc(str(tmp_path))
