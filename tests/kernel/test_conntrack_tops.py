"""What fills the table: tops that are right in bounded memory, against an exact count and against the kernel."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockmon.kernel import conntrack, top_counter
from sockmon.kernel.conntrack_layout import Layouts
from sockmon.kernel.conntrack_tops import Tally
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.kernel.top_counter import TopCounter
from sockmon.model.conntrack_tops import ConntrackTops, Top
from tests.conntrack_entries import ASSURED, CONFIRMED, REPLIED, TCP, UDP, create_flows, entry
from tests.netns import child_environment, inside

BATCH = 5


def counted(keys: list[int]) -> TopCounter[int]:
    counter: TopCounter[int] = TopCounter()
    for begin in range(0, len(keys), BATCH):
        counter.add(keys[begin : begin + BATCH])
    return counter


@given(st.lists(st.integers(0, 60), max_size=400))
@settings(deadline=None)
def test_every_count_is_within_its_bounds(keys: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_counter, "MAX_KEYS", 16)
        patch.setattr(top_counter, "KEPT_KEYS", 8)
        counter, exact = counted(keys), Counter(keys)
        found = counter.most_common(100)
        assert len(found) <= 16 + BATCH
        for key, count, missed in found:
            assert count <= exact[key] <= count + missed
        bound = max((count + missed for _, count, missed in found), default=0)
        absent = exact.keys() - {key for key, *_ in found}
        assert all(exact[key] <= bound for key in absent), "no key that is missing can be the largest"
        if counter.distinct is not None:
            assert counter.distinct == len(exact)
            assert {key: count for key, count, _ in found} == dict(exact)


def test_the_largest_is_found_among_a_million_different_ones() -> None:
    counter: TopCounter[int] = TopCounter()
    for begin in range(0, 1_000_000, 150):
        # One of 50 is the same; it is not among the first that are seen.
        counter.add(-1 if begin > 300_000 and at % 50 == 0 else at for at in range(begin, begin + 150))
    (key, count, missed), (_, second, also_missed) = counter.most_common(2)
    assert key == -1
    assert count <= 14_000 <= count + missed
    assert missed < 200, "the bound is about one in 25,000"
    assert second + also_missed < count, "the order is certain"
    assert counter.distinct is None


def half_a_million() -> None:
    """Count entries of 500,000 clients in blocks as the kernel sends them; print the tops and the growth in kB."""
    length = 20 + len(numbered(0))
    tally, layouts = Tally(), Layouts()
    before = peak()
    for begin in range(0, 500_000, 125):
        block = b"".join(bytes(20) + numbered(number) for number in range(begin, begin + 125))
        for part, layout in layouts.blocks(block, length):
            tally.add(part, length, layout)
    sys.stdout.buffer.write(msgspec.json.encode((tally.tops(), peak() - before)))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


_TEMPLATE = entry(b"\xff\xee\xdd\xcc", "192.0.2.1", TCP, (40_000, 443), state=3).split(b"\xff\xee\xdd\xcc")


def numbered(number: int) -> bytes:
    """Return an entry; one of ten is of 10.9.9.9."""
    source = number if number % 10 else 0x090909
    return struct.pack("!I", (10 << 24) + source).join(_TEMPLATE)


def test_half_a_million_clients_in_bounded_memory() -> None:
    program = "from tests.kernel.test_conntrack_tops import half_a_million; half_a_million()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=child_environment(), capture_output=True, check=True)
    tops, growth = msgspec.json.decode(done.stdout, type=tuple[ConntrackTops, int])
    first = tops.sources.rows[0]
    assert (first.source, first.entries + first.missed >= 50_000, first.missed < 200) == ("10.9.9.9", True, True)
    assert (tops.entries, tops.sources.distinct) == (500_000, None)
    assert (tops.destinations.rows[0].entries, tops.destinations.distinct) == (500_000, 1)
    assert growth < 60_000, "kB for all counters together"


def mixed(number: int) -> bytes:
    """Return flows of several families, protocols, zones and states."""
    kind, low = number % 8, number % 200
    if kind == 0:
        return entry(f"fd00::{low + 1:x}", "fd00:1::1", TCP, (1024 + number, 8443), state=3, zone=7)
    if kind == 1:
        return entry(f"10.0.1.{low}", "192.0.2.53", UDP, (1024 + number, 53), status=CONFIRMED)
    if kind == 2:
        return entry(f"10.0.2.{low}", "192.0.2.9", 1, (number, 8, 0), status=CONFIRMED | REPLIED)
    if kind == 3:
        return entry(f"10.0.3.{low}", "192.0.2.9", 47, (number & 0xFFFF, 7), status=CONFIRMED)
    state, status = (7, REPLIED | CONFIRMED) if kind == 4 else (3, REPLIED | ASSURED | CONFIRMED)
    return entry("10.0.0.7", f"192.0.2.{low % 5}", TCP, (1024 + number, 443), state=state, status=status)


def filled(total: int) -> tuple[conntrack.Table, list[dict[str, Any]]]:
    create_flows(total, mixed)
    return run(conntrack.read_table(open_current())), by_pyroute2()


def by_pyroute2() -> list[dict[str, Any]]:
    """Return the original tuples and the zone of all entries, as pyroute2 decodes them."""
    from pyroute2 import NFCTSocket

    found = []
    for family, version in ((2, "V4"), (10, "V6")):
        with NFCTSocket(nfgen_family=family) as other:
            for message in other.dump():
                address = message.get_nested("CTA_TUPLE_ORIG", "CTA_TUPLE_IP")
                protocol = message.get_nested("CTA_TUPLE_ORIG", "CTA_TUPLE_PROTO")
                found.append(
                    {
                        "source": address.get_attr(f"CTA_IP_{version}_SRC"),
                        "destination": address.get_attr(f"CTA_IP_{version}_DST"),
                        "number": protocol.get_attr("CTA_PROTO_NUM"),
                        "port": protocol.get_attr("CTA_PROTO_DST_PORT"),
                        "zone": message.get_attr("CTA_ZONE") or 0,
                        "status": message.get_attr("CTA_STATUS"),
                    }
                )
    return found


@pytest.fixture
def needs_conntrack(needs_userns: None) -> None:
    if not Path("/proc/sys/net/netfilter/nf_conntrack_count").exists():
        pytest.skip("nf_conntrack is not loaded")


def rows(top: Top, *fields: str) -> Counter[Any]:
    return Counter({tuple(getattr(row, field) for field in fields): row.entries for row in top.rows})


@pytest.mark.usefixtures("needs_conntrack")
def test_the_tops_agree_with_pyroute2() -> None:
    table, others = inside(filled, 1_200)
    tops = table.tops
    assert tops.entries == len(others) == 1_200

    def expect(top: Top, ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
        exact = Counter(tuple(each[name] for name in theirs) for each in others)
        found = rows(top, *ours)
        assert found.items() <= exact.items()
        assert sorted(found.values()) == sorted(exact.values())[-10:], "the largest ones"
        assert top.others == 1_200 - sum(found.values()) - (exact[None,] if theirs == ("port",) else 0)

    expect(tops.sources, ("source",), ("source",))
    expect(tops.destinations, ("destination",), ("destination",))
    expect(tops.zones, ("zone",), ("zone",))
    ports = Counter((each["number"], each["port"]) for each in others if each["port"] is not None)
    names = {6: "tcp", 17: "udp", 47: "gre"}
    exact = {(names[number], port): count for (number, port), count in ports.items()}
    assert rows(tops.ports, "protocol", "port") == exact
    assert tops.ports.others == sum(each["port"] is None for each in others) > 0
    assert tops.groups.rows[0].source == "10.0.0.7"
    assert tops.assured == sum(bool(each["status"] & 4) for each in others)
    assert table.unreplied == sum(not each["status"] & 2 for each in others)
    assert tops.zones.rows[1].zone == 7
