"""inotify: what one user may have in a user namespace, and in those below it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

from sockmon.labs import namespaces
from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs.apart import apart
from sockmon.proofs.other import Other
from sockmon.proofs.proof import Finding, Proof, Step

_INSTANCES = "user.max_inotify_instances"
_WATCHES = "user.max_inotify_watches"
_LOW, _HIGH, _INNER = 8, 12, 1000
_TREE = "/usr"
_IN_MODIFY = 0x2
_libc = ctypes.CDLL(None, use_errno=True)
More = Callable[[], int]
"""One more of them: negative where it is refused."""


def _instance() -> int:
    return int(_libc.inotify_init1(os.O_CLOEXEC))


def _watching() -> More:
    """Adds a watch of another directory each time."""
    instance, directories = _instance(), _directories()
    return lambda: int(_libc.inotify_add_watch(instance, os.fsencode(next(directories)), _IN_MODIFY))


def _directories() -> Iterator[str]:
    return (directory for directory, _, _ in os.walk(_TREE))


def _until_refused(more: More) -> tuple[int, str]:
    """How many more there could be, and the error."""
    for made in count():
        if more() < 0:
            return made, errno.errorcode[ctypes.get_errno()]
    raise AssertionError


def _below(key: str) -> Callable[[None], int]:
    """Enters a user namespace of its own, sets more there than around it, and says how many that gave."""

    def answer(nothing: None) -> int:
        namespaces.enter()
        set_sysctl(key, str(_INNER))
        return _until_refused(_instance if key == _INSTANCES else _watching())[0]

    return answer


def _steps(key: str) -> dict[str, tuple[int, str]]:
    set_sysctl(key, str(_LOW))
    more = _instance if key == _INSTANCES else _watching()
    found = {"low": _until_refused(more)}
    set_sysctl(key, str(_HIGH))
    found["high"] = _until_refused(more)
    set_sysctl(key, str(_LOW))
    found["lowered"] = _until_refused(more)
    set_sysctl(key, str(_HIGH + _LOW))
    found["inner"] = (Other(_below(key)).ask(), "")
    return found


def _user(stage: Stage, key: str, error: str, call: str, things: str) -> Finding:
    [found] = apart(stage, 1, _steps, (key,))
    low, high, lowered, inner = (found[name][0] for name in ("low", "high", "lowered", "inner"))
    steps = [
        Step(
            f"{key}={_LOW}",
            f"{low} {things}, then {call} failed with {found['low'][1]}",
            "it counts for the user, whatever ulimit -n says",
            found["low"] == [_LOW, error],
        ),
        Step(f"{key}={_HIGH}", f"{high} more", "it counts at once", high == _HIGH - _LOW),
        Step(
            f"{key}={_LOW}",
            f"{lowered} more beside the {low + high} that there are",
            "lowered, nothing more can be had",
            found["lowered"] == [0, error],
        ),
        Step(
            f"{key}={_HIGH + _LOW}",
            f"beside those {low + high} {inner} more in a user namespace below, where it was set to {_INNER:,}",
            "none was taken away; the limits of the namespaces above apply too",
            inner == _LOW,
        ),
    ]
    numbers = (
        f"one user had {low} {things} with {key}={_LOW} and {low + high} with {_HIGH}; then {call} failed with"
        f" {found['high'][1]}"
    )
    return Finding(steps, numbers, "this limits a user of this namespace and of those below it, at once")


PROOFS = (
    Proof(
        _INSTANCES,
        "EMFILE with few descriptors, until it is raised",
        partial(_user, key=_INSTANCES, error="EMFILE", call="inotify_init()", things="instances"),
        1,
    ),
    Proof(
        _WATCHES,
        "ENOSPC with room on the disk, until it is raised",
        partial(_user, key=_WATCHES, error="ENOSPC", call="inotify_add_watch()", things="watches"),
        1,
    ),
)
