"""`check` as root and as an ordinary user at the same moment: what both can see, both say alike."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from sockmon import check
from sockmon.model.report import Reading, Report
from tests.netns import child_environment

NOBODY = 65534
ROUNDS = 6
"""Looks that are taken at most: on a busy machine something moves between two of them."""
QUEUES = ("accept-queue", "syn-queue")
"""Their subject ends with the owner, where one may see who that is."""

Key = tuple[str, str]


@contextmanager
def ordinary_user() -> Iterator[subprocess.Popen[bytes]]:
    """The same Python as another user, who answers each line with a Report."""
    code = f"from tests.test_agree import answer; answer({NOBODY})"
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
        sys.stdout.buffer.write(msgspec.json.encode(check.report()) + b"\n")
        sys.stdout.buffer.flush()


def asked(child: subprocess.Popen[bytes]) -> Report:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    return msgspec.json.decode(child.stdout.readline(), type=Report)


def by_key(report: Report) -> dict[Key, Reading]:
    """What is known, by ceiling and subject."""
    return {
        (item.ceiling, item.subject.partition(" ")[0] if item.ceiling in QUEUES else item.subject): item
        for item in report.readings
        if item.severity != "unknown"
    }


def are_looking(child: subprocess.Popen[bytes]) -> tuple[str, ...]:
    """How the subjects end that are the two lookers: each holds more descriptors while it looks than otherwise."""
    return f"[{os.getpid()}]", f"[{child.pid}]"


def is_whole(reading: Reading) -> bool:
    """False where the reading itself says that it could not see all that counts."""
    return not any("may not be read" in line or "does not see" in line for line in reading.evidence)


def disagreements(before: Report, other: Report, after: Report) -> dict[Key, tuple[Reading, ...]]:
    """Readings of `other` that neither lie between those of root, nor are as bad as one of them."""
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
    """What alarms root, and what the other neither sees nor says that it cannot see."""
    last = by_key(after)
    both = by_key(before).keys() & last.keys()
    alarms = {key for key in both if last[key].severity in ("warning", "critical", "hit")}
    blind = {item.ceiling for item in other.readings if item.severity == "unknown"}
    hidden = any(item.reader == "processes" for item in other.missing)
    return {key for key in alarms - by_key(other).keys() if key[0] not in blind and not hidden}


def test_root_and_an_ordinary_user_agree_on_what_both_can_see(root_only: None) -> None:
    remaining: set[Key] | None = None
    with ordinary_user() as child:
        for _ in range(ROUNDS):
            looks = check.report(), asked(child), check.report()
            assert len(by_key(looks[0]).keys() & by_key(looks[1]).keys()) >= 10
            unlike = disagreements(*looks)
            now = {key for key in {*unlike, *unexplained(*looks)} if not key[1].endswith(are_looking(child))}
            remaining = now if remaining is None else remaining & now
            if not remaining:
                return
    raise AssertionError({key: unlike.get(key, "not seen, and no word why") for key in remaining or ()})
