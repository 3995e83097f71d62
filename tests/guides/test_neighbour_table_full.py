"""The guide for a full neighbour table: on its recording, in another namespace, and along each branch."""

from __future__ import annotations

import subprocess
from typing import Any

import msgspec
import pytest

from sockmon.guides.neighbour_table_full import GUIDE
from sockmon.guides.report import WalkReport
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Missing, Neighbours
from sockmon.sandbox.availability import RECORDINGS
from sockmon.sandbox.session import python_command
from tests.guides.lab_walks import named, path, walk_on_lab
from tests.guides.walks import begin, branches, ends_of_change, follow, full, taken
from tests.snapshots import HOST_SYSCTLS

NAME = GUIDE.name
TABLE = "net.ipv4.neigh.default.gc_thresh"


def test_on_its_recording_it_ends_with_the_command() -> None:
    recording = RECORDINGS / f"{GUIDE.lab}.jsonl"
    command = [*python_command("sockmon"), "guide", NAME, "--from", str(recording), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=240)
    walk = msgspec.json.decode(done.stdout, type=WalkReport)
    assert path(walk) == ["table", "refused", "remedy", "raise", "run-commands"]
    wanted = next(step.settings for step in walk.steps if step.id == "raise")
    assert [each.key for each in wanted] == [f"{TABLE}{number}" for number in (3, 2, 1)]


def test_in_another_namespace_the_other_limit_is_named() -> None:
    walk = walk_on_lab(NAME, "process-fds", "--yes")
    assert path(walk) == ["table", "others", "other-limit"]
    assert "process-fds" in named(walk)


def _table(entries: int, fulls: int = 0, limit: int = 1024, table: str = "arp_cache") -> dict[str, Any]:
    family = "ipv4" if table == "arp_cache" else "ipv6"
    key = f"net.{family}.neigh.default.gc_thresh3"
    return {
        "neighbours": (Neighbours(table, entries, fulls),),
        "sysctls": HOST_SYSCTLS | {key: str(limit)},
    }


HIDDEN = {"neighbours": None, "missing": (Missing("neighbours", "visible in the initial namespace only"),)}


def _walk(*states: dict[str, Any]) -> Walk:
    walk, stream = begin(states[0], guide=GUIDE)
    for state in states:
        walk.add(stream.next(state, 10))
    list(follow(walk))
    return walk


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert _walk(_table(4)).outcome == "not-here"


def test_a_hidden_table_ends_with_where_to_run() -> None:
    walk = _walk(HIDDEN)
    assert walk.outcome == "cannot-be-known"
    assert "outside of any container" in walk.commands[0]


@pytest.mark.parametrize("table", ["arp_cache", "ndisc_cache"])
def test_all_thresholds_are_raised_together(table: str) -> None:
    walk = _walk(_table(1020, table=table))
    assert walk.step.id == "raise"
    assert [int(each.value) for each in walk.wanted] == [4096, 2048, 1024]
    assert all(("ipv6" in each.key) == (table == "ndisc_cache") for each in walk.wanted)


def test_refused_entries_prove_lost_packets() -> None:
    for fulls, verdict in ((500, "supports"), (0, "contradicts")):
        walk = _walk(_table(1024), _table(1024, fulls))
        found = {passed.step: passed.finding for passed in walk.progress.path}["refused"]
        assert found
        assert found.verdict == verdict


def test_every_branch_is_taken() -> None:
    walks = [_walk(_table(4)), _walk(HIDDEN), _walk({"netns": full()})]
    walks += ends_of_change(GUIDE, _table(1020), _table(1020, limit=4096), HIDDEN, 10)
    highest = _walk(_table(1 << 22, limit=1 << 22))
    assert highest.outcome == "do-not-tune"
    assert branches(GUIDE) - taken(*walks, highest) == set()
