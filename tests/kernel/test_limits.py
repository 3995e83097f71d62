"""/proc/PID/limits, by the columns of its header."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from sockmon.errors import Unreadable
from sockmon.kernel import limits
from sockmon.model.snapshot import UNLIMITED

TEXT = b"""\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max open files            1024                 524288               files     
Max nice priority         0                    0                    
Max msgqueue size         18446744073709551614 819200               bytes     
"""


def test_each_line_is_a_limit() -> None:
    cpu, files, nice, queue = limits.parse(TEXT)
    assert (cpu.name, cpu.soft, cpu.hard, cpu.unit) == ("Max cpu time", UNLIMITED, UNLIMITED, "seconds")
    assert (files.soft, files.hard, files.unit) == (1024, 524288, "files")
    assert (nice.soft, nice.unit) == (0, "")
    assert queue.soft == 2**64 - 2
    assert limits.nofile(TEXT) == (1024, 524288)


def test_columns_are_found_by_name() -> None:
    wider = b"\n".join(line[:20] + b"    " + line[20:] for line in TEXT.split(b"\n"))
    assert limits.nofile(wider) == (1024, 524288)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Max open files 1 2 files",
        TEXT.replace(b"1024 ", b"-024 "),
        TEXT.replace(b"Hard Limit", b"Hord Limit"),
    ],
)
def test_what_is_no_table_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        limits.parse(text)
    with pytest.raises(Unreadable):
        limits.nofile(text)


def test_they_are_those_that_getrlimit_gives() -> None:
    found = {limit.name: (limit.soft, limit.hard) for limit in limits.read(os.getpid())}
    assert found["Max open files"] == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found["Max processes"] == resource.getrlimit(resource.RLIMIT_NPROC)
    assert limits.nofile(Path("/proc/self/limits").read_bytes()) == found["Max open files"]


def test_a_process_that_has_ended_has_none() -> None:
    with pytest.raises(Unreadable, match="has ended"):
        limits.read(2**22 + 1)
