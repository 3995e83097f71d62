"""Many network namespaces in one stream: what has changed is written, and a lost line loses nothing for long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from sockmon.model.snapshot import Netns, Snapshot
from sockmon.sources.wire import encode, hello, read_stream
from sockmon.sources.wire_netns import KEY_LINES, SnapshotWriter
from tests.snapshots import netns, snapshot

OTHERS = [replace(netns(), inode=number, name=f"web-{number}", at=1.0) for number in range(1, 6)]


def lines(samples: Iterable[Snapshot]) -> list[bytes]:
    writer = SnapshotWriter()
    return [encode(writer.line(sample)) for sample in samples]


def read(written: Sequence[bytes]) -> list[Snapshot]:
    data = bytearray(hello() + b"".join(written))

    def take(size: int) -> bytes:
        chunk = bytes(data[:size])
        del data[:size]
        return chunk

    return [line for line in read_stream(take, "test") if isinstance(line, Snapshot)]


def sample(at: float, *others: Netns) -> Snapshot:
    return snapshot(at, netns=(netns(), *others))


def by_inode(found: Snapshot) -> dict[int, Netns]:
    return {each.inode: each for each in found.netns}


def test_what_was_written_is_read() -> None:
    moved = replace(OTHERS[0], at=2.0, counters={"TcpExt.ListenOverflows": 9})
    samples = [
        sample(1.0, *OTHERS),
        sample(2.0, moved, *OTHERS[1:]),
        sample(3.0, moved, *OTHERS[2:]),
        sample(4.0, moved, *OTHERS[2:], replace(OTHERS[1], cookie=7)),
    ]
    found = read(lines(samples))
    assert [by_inode(each) for each in found] == [by_inode(each) for each in samples]
    assert all(each.netns[0] == netns() for each in found)


def test_what_has_not_changed_is_not_written_again() -> None:
    first, second = lines([sample(1.0, *OTHERS), sample(2.0, *OTHERS)])
    alone = len(lines([sample(2.0)])[0])
    assert len(first) > alone + 5 * 500
    assert len(second) < alone + 100


def test_after_a_lost_line_nothing_stale_is_shown_and_all_are_known_again_in_time() -> None:
    ended = [sample(float(at), *OTHERS[1:]) for at in range(3, KEY_LINES + 4)]
    written = lines([sample(1.0, *OTHERS), sample(2.0, *OTHERS[1:]), *ended])
    del written[1]
    found = read(written)
    assert [each.name for each in found[1].netns][1:] == [
        name for name in ("web-2", "web-3", "web-4", "web-5") if name in str(written[1])
    ]
    assert by_inode(found[-1]) == by_inode(ended[-1])


def test_one_namespace_is_written_as_before() -> None:
    (line,) = lines([sample(1.0)])
    assert line == encode(sample(1.0))


def test_recordings_may_be_joined() -> None:
    one, two = [sample(1.0, *OTHERS), sample(2.0, *OTHERS)], [sample(9.0, OTHERS[0]), sample(10.0, OTHERS[0])]
    found = read([*lines(one), hello(), *lines(two)])
    assert by_inode(found[-1]) == by_inode(two[-1])
