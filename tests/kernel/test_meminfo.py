"""/proc/meminfo: the line that is read, malformed text, and the real file."""

from __future__ import annotations

from contextlib import closing

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import meminfo
from sockmon.kernel.netns import open_current


def test_available_memory_is_in_bytes() -> None:
    text = b"MemTotal:       24684728 kB\nMemFree:        16900000 kB\nMemAvailable:   22800000 kB\n"
    assert meminfo.parse_available(text) == 22_800_000 * 1024


@pytest.mark.fault("Q8")
@pytest.mark.parametrize("text", [b"", b"MemTotal: 5 kB\n", b"MemAvailable: -5 kB\n", b"MemAvailable: 5\n"])
def test_malformed_text_is_an_error(text: bytes) -> None:
    with pytest.raises(ReadError):
        meminfo.parse_available(text)


def test_this_machine_has_some_memory() -> None:
    with closing(open_current()) as handle:
        assert meminfo.read_available(handle) > 1 << 20
