"""`check` as root and as an ordinary user at the same moment: both report the same about what both can read."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from sockmon import observe
from sockmon.model.report import Reading, Report
from tests.netns import child_environment

NOBODY = 65534
ROUNDS = 40
"""Looks that are taken at most. What the whole host uses moves all the time: the second of three values is between
the others in one look of three only, by chance."""
QUEUES = ("accept-queue", "syn-queue")
"""Their subject ends with the owner, where one may see who that is."""

Key = tuple[str, str]


def look() -> Report:
    """Return what is known of the own network namespace: only root may enter those of other tests."""
    return observe.current_report(here=True)


@contextmanager
def ordinary_user() -> Iterator[subprocess.Popen[bytes]]:
    """The same Python as another user, who answers each line with a Report."""
    code = f"from tests.test_root_and_user_agree import answer; answer({NOBODY})"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()
    ) as child:
        yield child
        child.kill()


def answer(uid: int) -> None:
    """The child's side: become `uid`, once all modules are loaded, then a Report for each line."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Who has changed its user may not look into its own /proc until it says so: PR_SET_DUMPABLE.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    os.chdir("/")
    for _ in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(look()) + b"\n")
        sys.stdout.buffer.flush()


def asked(child: subprocess.Popen[bytes]) -> Report:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    return msgspec.json.decode(child.stdout.readline(), type=Report)


def by_key(report: Report) -> dict[Key, Reading]:
    """Return the known readings by ceiling and subject."""
    return {
        (item.ceiling, item.subject.partition(" ")[0] if item.ceiling in QUEUES else item.subject): item
        for item in report.readings
        if item.severity != "unknown"
    }


def observers(child: subprocess.Popen[bytes]) -> tuple[str, ...]:
    """Return how the subjects end that are the two observers, or the child's user: while a process samples, it has
    more descriptors and threads."""
    return f"[{os.getpid()}]", f"[{child.pid}]", f"({NOBODY})"


def is_whole(reading: Reading) -> bool:
    """Return False if the reading reports that it does not include everything."""
    return not any("cannot be read" in line or "hidden processes" in line for line in reading.evidence)


def disagreements(before: Report, other: Report, after: Report) -> dict[Key, tuple[Reading, ...]]:
    """Return the readings of `other` that differ from those of root: not between them, or of another severity."""
    first, found, last = by_key(before), by_key(other), by_key(after)
    unlike: dict[Key, tuple[Reading, ...]] = {}
    for key in first.keys() & found.keys() & last.keys():
        pair, mine = (first[key], last[key]), found[key]
        low, high = sorted(item.used or 0 for item in pair)
        agrees = mine.limit in {item.limit for item in pair} and mine.severity in {item.severity for item in pair}
        if is_whole(mine) and not (agrees and low <= (mine.used or 0) <= high):
            unlike[key] = (*pair, mine)
    return unlike


def unexplained(before: Report, other: Report, after: Report) -> set[Key]:
    """Return the alarms of root that the ordinary user neither reports nor lists as missing."""
    last = by_key(after)
    both = by_key(before).keys() & last.keys()
    alarms = {key for key in both if last[key].severity in ("warning", "critical", "hit")}
    blind = {item.ceiling for item in other.readings if item.severity == "unknown"}
    hidden = any(item.reader == "processes" for item in other.missing)
    return {key for key in alarms - by_key(other).keys() if key[0] not in blind and not hidden}


@pytest.mark.fault("X1")
def test_root_and_an_ordinary_user_agree_on_what_both_can_see(root_only: None) -> None:
    remaining: set[Key] | None = None
    with ordinary_user() as child:
        for _ in range(ROUNDS):
            reports = look(), asked(child), look()
            assert len(by_key(reports[0]).keys() & by_key(reports[1]).keys()) >= 10
            unlike = disagreements(*reports)
            now = {key for key in {*unlike, *unexplained(*reports)} if not key[1].endswith(observers(child))}
            remaining = now if remaining is None else remaining & now
            if not remaining:
                return
    raise AssertionError({key: unlike.get(key, "not reported, without a reason") for key in remaining or ()})
