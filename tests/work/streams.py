"""Fixed streams of samples: what the screen gets from a host on which little or much changes."""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec.structs import replace

from sockmon.model.snapshot import Snapshot
from sockmon.sources.wire import encode, hello
from sockmon.sources.wire_netns import SnapshotWriter
from tests.snapshots import process, snapshot

WALL = 1_700_000_000.0


def samples(seconds: int, processes: int, changing: float) -> Iterator[Snapshot]:
    """Yield a sample a second of a host with so many processes, of which the part `changing` opens or closes
    descriptors in each second."""
    draw = random.Random(8)
    descriptors = [20 + number for number in range(processes)]
    for second in range(seconds):
        for number in draw.sample(range(processes), round(changing * processes)):
            descriptors[number] += draw.choice((-3, -2, -1, 1, 2, 3))
        rows = [process(pid=1000 + number, fds=fds) for number, fds in enumerate(descriptors)]
        yield replace(snapshot(100.0 + second, *rows), wall=WALL + second)


def lines(stream: Iterator[Snapshot]) -> list[bytes]:
    """Return the samples as the agent writes them, after the header of the stream."""
    writer = SnapshotWriter()
    return [hello(), *(encode(writer.line(sample)) for sample in stream)]
