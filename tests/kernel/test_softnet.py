"""Input queues of the processors: the columns that kernels of different ages write, and the real file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import softnet
from sockmon.kernel.netns import open_current
from sockmon.model.snapshot import Softnet
from tests.netns import inside


def rows(*fields: tuple[int, ...]) -> bytes:
    return "".join(" ".join(f"{value:08x}" for value in row) + "\n" for row in fields).encode()


def test_counters_are_summed_and_the_longest_queue_is_named() -> None:
    busy, idle = (9, 19, 3, *[0] * 8, 700, 5, 400, 300), (9, 1, 0, *[0] * 8, 350, 2, 350, 0)
    assert softnet.parse(rows(busy, idle)) == Softnet(20, 3, 400, 5)
    # Without its own column the input queue is part of one number for both stages.
    assert softnet.parse(rows(busy[:13], idle[:13])) == Softnet(20, 3, 700, 5)
    assert softnet.parse(rows(busy[:11], idle[:11])) == Softnet(20, 3, None, None)


@pytest.mark.fault("Q8")
@pytest.mark.parametrize("text", [b"", b"00000001 00000002\n", b"0001 none 0003\n"])
def test_malformed_text_is_an_error(text: bytes) -> None:
    with pytest.raises(ReadError):
        softnet.parse(text)


def _here() -> tuple[Softnet, int, int]:
    """Return our numbers, and the counter itself read before and after, which only grows."""
    with closing(open_current()) as handle:
        before = _dropped()
        ours = softnet.read(handle)
        return ours, before, _dropped()


def _dropped() -> int:
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def test_every_namespace_shows_the_hosts_own() -> None:
    for ours, before, after in (_here(), inside(_here)):
        assert before <= ours.dropped <= after
        assert ours.backlog is None or ours.backlog >= 0
