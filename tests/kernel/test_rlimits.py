"""/proc/PID/limits, by the columns of its header."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from sockmon.errors import ReadError
from sockmon.kernel.processes import rlimits
from sockmon.model.snapshot import UNLIMITED

TEXT = b"""\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max open files            1024                 524288               files     
Max nice priority         0                    0                    
Max msgqueue size         18446744073709551614 819200               bytes     
"""


def test_each_line_is_a_limit() -> None:
    cpu, files, nice, queue = rlimits.parse(TEXT)
    assert (cpu.name, cpu.soft, cpu.hard, cpu.unit) == ("Max cpu time", UNLIMITED, UNLIMITED, "seconds")
    assert (files.soft, files.hard, files.unit) == (1024, 524288, "files")
    assert (nice.soft, nice.unit) == (0, "")
    assert queue.soft == 2**64 - 2
    assert rlimits.nofile(TEXT) == (1024, 524288)


def test_columns_are_found_by_name() -> None:
    wider = b"\n".join(line[:20] + b"    " + line[20:] for line in TEXT.split(b"\n"))
    assert rlimits.nofile(wider) == (1024, 524288)


@pytest.mark.fault("Q8")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Max open files 1 2 files",
        TEXT.replace(b"1024 ", b"-024 "),
        TEXT.replace(b"Hard Limit", b"Hord Limit"),
    ],
)
def test_a_malformed_table_is_an_error(text: bytes) -> None:
    with pytest.raises(ReadError):
        rlimits.parse(text)
    with pytest.raises(ReadError):
        rlimits.nofile(text)


def test_limits_agree_with_getrlimit() -> None:
    found = {limit.name: (limit.soft, limit.hard) for limit in rlimits.read(os.getpid())}
    assert found["Max open files"] == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found["Max processes"] == resource.getrlimit(resource.RLIMIT_NPROC)
    assert rlimits.nofile(Path("/proc/self/limits").read_bytes()) == found["Max open files"]


def test_limits_of_an_ended_process_are_a_read_error() -> None:
    with pytest.raises(ReadError, match="has ended"):
        rlimits.read(2**22 + 1)
