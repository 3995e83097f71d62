"""The guide for connection tracking: on its labs, on the lab of another limit, on a healthy host, each branch."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.guides.conntrack_full import GUIDE
from sockmon.guides.facts import Place
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Conntrack, Netns, Process, Snat, SnatGroup
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.walks import Stream, branches, follow, taken, transaction
from tests.snapshots import SYSCTLS, netns, process

NAME = GUIDE.name
MAXIMUM, BUCKETS = "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"


def test_on_its_lab_the_change_is_one_of_the_host() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["tracked", "table", "entries", "remedy", "raise", "run-commands"]
    command = next(line for line in end(walk).advice if "tune apply" in line)
    assert MAXIMUM in command
    assert BUCKETS in command


def test_translated_ports_are_not_tuned() -> None:
    walk = walk_on_lab(NAME, "snat-ports", "--yes")
    assert path(walk) == ["tracked", "table", "nat", "translate", "do-not-tune"]
    assert walk.changes == ()


def test_on_the_lab_of_another_limit_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "ephemeral-ports", "--yes")
    assert walk.outcome == "other-limit"
    assert "ephemeral-ports" in named(walk)


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert walk_on_lab(NAME, "short-lived-churn", "--yes").outcome == "not-here"


def _table(count: int, buckets: int = 262_144, unreplied: int = 0, **states: int) -> Netns:
    entries = {f"tcp {state}": number for state, number in states.items()}
    stats = {"drop": 0, "insert_failed": 0, "early_drop": 0, "chainlength": 0}
    return netns(conntrack=Conntrack(count, 262_144, buckets, stats, 0.0, entries or None, unreplied))


ROOM, FULL = _table(100), _table(262_000, ESTABLISHED=262_000)
CLOSED = _table(262_000, TIME_WAIT=200_000, ESTABLISHED=62_000)
FLOOD = _table(262_000, unreplied=250_000, SYN_SENT=262_000)
LONG = _table(100_000, buckets=4096)
OFF = netns(conntrack=None)
HIDDEN = netns(conntrack=None, sysctls=SYSCTLS | {MAXIMUM: "262144"})
NAT = netns(snat=Snat(0.0, (SnatGroup("192.0.2.1", "10.0.0.9", 443, "tcp", 60_000, 1024, 65535),), 1))


def _walk(part: Netns, *rows: Process, place: Place | None = None) -> tuple[Walk, Stream]:
    stream = Stream(processes=rows)
    walk = Walk(GUIDE, stream.next(part), place or Place())
    walk.add(stream.next(part, 10))
    list(follow(walk))
    return walk, stream


def _after(before: Netns, after: Netns) -> Walk:
    """Walk to the act, do it, and go on with samples of `after`."""
    walk, stream = _walk(before)
    if walk.wanted:
        walk.changed(transaction())
    else:
        walk.take("free")
    list(follow(walk))
    for _ in range(20):
        walk.add(stream.next(after, 5))
        list(follow(walk))
    return walk


def _steps(walk: Walk) -> list[str]:
    return [*(passed.step for passed in walk.progress.path), walk.step.id]


def test_a_host_that_tracks_nothing_has_no_full_table() -> None:
    assert _steps(_walk(OFF)[0]) == ["tracked", "others", "not-here"]


def test_a_table_that_cannot_be_read_is_not_called_empty() -> None:
    assert _walk(HIDDEN)[0].outcome == "cannot-be-known"


def test_a_flood_is_not_tuned() -> None:
    assert _steps(_walk(FLOOD)[0]) == ["tracked", "table", "entries", "remedy", "do-not-tune"]


def test_buckets_are_raised_with_the_maximum() -> None:
    walk, _ = _walk(CLOSED)
    assert [(each.key, each.value) for each in walk.wanted] == [(MAXIMUM, "524288"), (BUCKETS, "524288")]
    walk, _ = _walk(replace(CLOSED, conntrack=Conntrack(262_000, 262_144, 1 << 20, {})))
    assert [each.key for each in walk.wanted] == [MAXIMUM]


def test_every_branch_is_taken() -> None:
    fixed = Place(cannot_change="it is a recording")
    parts = (OFF, HIDDEN, ROOM, FLOOD, netns(snat=None), _table(0, buckets=0))
    walks = [_walk(part)[0] for part in parts]
    walks += [_walk(part, place=fixed)[0] for part in (FULL, LONG)]
    walks += [_walk(ROOM, process(fds=1024, soft=1024))[0]]
    walks += [_after(FULL, after) for after in (FULL, ROOM, HIDDEN)]
    walks += [_after(NAT, after) for after in (NAT, ROOM, netns(snat=None))]
    walks += [_after(LONG, ROOM)]
    declined, _ = _walk(NAT)
    declined.take("do-not-tune")
    walks.append(declined)
    # That the table is read is known from the first step; whether another limit has an alarm always is.
    unreachable = {("table", "cannot-be-known"), ("others", "cannot-be-known")}
    assert branches(GUIDE) - taken(*walks) == unreachable
