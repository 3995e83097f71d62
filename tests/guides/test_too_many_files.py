"""The guide for EMFILE, ENFILE and ENOSPC of inotify: on labs, on a healthy host, and along each branch."""

from __future__ import annotations

from typing import Any

import pytest

from sockmon.guides.too_many_files import GUIDE
from sockmon.guides.walk import Walk
from sockmon.model.limit_origin import LimitOrigin, LimitSource, Starter
from sockmon.model.snapshot import UNLIMITED, Cgroups, Files, Owner, PidsCgroup, UserWatches, Watches
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.walks import begin, branches, ends_of_change, follow, full, taken, transaction
from tests.snapshots import HOST_SYSCTLS, process

NAME = GUIDE.name
NR_OPEN = 1024


def test_on_its_lab_more_descriptors_are_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["process", "growth", "which", "remedy", "raise", "free", "verified"]
    assert [setting.key for change in walk.changes for setting in change.settings] == ["nofile"]
    assert any("To last: " in line for line in end(walk).advice)


def test_inotify_instances_are_not_descriptors() -> None:
    walk = walk_on_lab(NAME, "inotify-instances", "--yes")
    assert path(walk) == ["process", "host", "user", "raise-user", "free", "verified"]
    assert named(walk) == {"inotify-instances"}


def test_a_leak_is_not_tuned() -> None:
    walk = walk_on_lab(NAME, "close-wait-leak", "--yes")
    assert path(walk) == ["process", "growth", "which", "remedy", "do-not-tune"]
    assert walk.changes == ()


def test_what_grows_is_named_and_not_tuned() -> None:
    walk = walk_on_lab(NAME, "fast-leak", "--yes")
    assert path(walk) == ["process", "growth", "leak"]
    assert walk.outcome == "do-not-tune"
    assert "more device files" in end(walk).advice[0]
    assert walk.changes == ()


def test_on_the_lab_of_another_limit_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "user-processes", "--yes")
    assert path(walk) == ["process", "host", "user", "others", "other-limit"]
    assert "user-processes" in named(walk)


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert walk_on_lab(NAME, "idle-box", "--yes").outcome == "not-here"


def _rows(fds: int = 1024, soft: int = 1024, **more: Any) -> dict[str, Any]:
    return {"rows": (process(fds=fds, soft=soft, **more),)}


def _capped(nr_open: int, soft: int, fds: int = NR_OPEN) -> dict[str, Any]:
    """A process at fs.nr_open, with a limit of its own."""
    return {**_rows(fds, soft, hard=max(soft, 4096)), "files": Files(1000, 1_000_000, nr_open)}


def _inotify(instances: int, limit: int = 128) -> dict[str, Any]:
    user = UserWatches(33, "www", 100, instances, 4, False, (Owner(1044, 7, "nginx", 5),))
    keys = ("fs.inotify.max_user_instances", "user.max_inotify_instances")
    return {"watches": Watches(0.0, (user,), 0), "sysctls": HOST_SYSCTLS | dict.fromkeys(keys, str(limit))}


def _host(allocated: int, maximum: int = 1_000_000, **more: Any) -> dict[str, Any]:
    return {"files": Files(allocated, maximum, 1_048_576), **more}


LEAK = _rows(close_wait=1000, sockets=1010)
HOST_LEAK = _host(1_000_000, rows=(process(fds=900_000, soft=1 << 20, hard=1 << 20, close_wait=800_000),))
UNREAD = {"rows": (process(fds=None, soft=None),)}


def _kinds(fds: int, **kinds: int) -> dict[str, Any]:
    return _rows(fds, kinds=tuple(kinds.items()))


def _growing(*states: dict[str, Any]) -> Walk:
    """Follow the evidence with samples that are 4 s apart."""
    walk, stream = begin(states[0], guide=GUIDE)
    for state in states[1:]:
        walk.add(stream.next(state, 4))
    list(follow(walk))
    return walk


LEAKING = [_kinds(900 + 8 * tick, pipe=800 + 8 * tick, socket=100) for tick in range(5)]
SERVING = [_kinds(900 + 8 * tick, pipe=100, socket=800 + 8 * tick) for tick in range(5)]


def test_the_kind_that_grows_is_named() -> None:
    walk = _growing(*LEAKING)
    assert walk.step.id == "leak"
    assert "32 more pipes in 16 s" in walk.advice[0]
    assert "programs" in walk.advice[1]


@pytest.mark.parametrize("states", [SERVING, [_kinds(900, pipe=800, socket=100)] * 5], ids=["sockets", "steady"])
def test_more_connections_are_no_leak_by_themselves(states: list[dict[str, Any]]) -> None:
    assert _growing(*states).step.id == "raise"


def test_a_leak_that_goes_on_after_the_change_is_named() -> None:
    full = _kinds(1024, pipe=900, socket=124)
    walk, stream = begin(full, guide=GUIDE)
    list(follow(walk))
    assert walk.step.id == "raise"
    walk.changed(transaction())
    for tick in range(20):
        if walk.suggested:
            walk.take(walk.suggested.to)
        if walk.outcome:
            break
        walk.add(stream.next(_rows(1024 + 20 * tick, 8192, kinds=(("pipe", 900 + 20 * tick), ("socket", 124))), 2))
    assert walk.outcome in ("verified", "did-not-help")
    assert any("more pipes" in line for line in walk.advice)


def _walk(state: dict[str, Any]) -> Walk:
    walk, stream = begin(state, guide=GUIDE)
    walk.add(stream.next(state, 10))
    list(follow(walk))
    return walk


def _steps(state: dict[str, Any]) -> list[str]:
    walk = _walk(state)
    return [*(passed.step for passed in walk.progress.path), walk.step.id]


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ({"soft": 1024, "hard": 524_288}, "supports"),
        ({"soft": 1024, "hard": UNLIMITED}, "supports"),
        ({"soft": 1024, "hard": 1024}, "contradicts"),
    ],
)
def test_which_limit_binds(limits: dict[str, int], verdict: str) -> None:
    found = _walk(_rows(**limits)).progress.path[2].finding
    assert found
    assert found.verdict == verdict
    assert any("systemd" in line for line in found.numbers) == (limits["hard"] == 524_288)


@pytest.mark.parametrize(
    ("group", "advice"),
    [
        ("/system.slice/nginx.service", "systemctl edit nginx.service, add LimitNOFILE="),
        ("/web.slice/a\\x2db.service", "systemctl edit 'a\\x2db.service', add LimitNOFILE="),
        ("/user.slice/user-33.slice/session-4.scope", "/etc/security/limits.d"),
        ("/system.slice/docker-5f0c.scope", "--ulimit nofile="),
        ("/elsewhere", "what started it is not known"),
    ],
)
def test_the_limit_is_set_where_the_process_was_started(group: str, advice: str) -> None:
    own = Cgroups(0.0, (PidsCgroup(group, 20, 4915, 0, "nginx[1044]", 1),), (), False)
    walk = _walk({**_rows(), "cgroups": own})
    assert advice in walk.advice[0]
    assert "tune show nofile@1044 names what set the limit" in walk.advice[1]


def test_the_guide_names_what_set_the_limit() -> None:
    line = LimitSource("unit", "nginx.service", "/etc/systemd/system/nginx.service", 7, "LimitNOFILE=1024")
    origin = LimitOrigin(1044, 7, "nofile", 1024, 1024, line, line, Starter("unit", "nginx.service"))
    walk = _walk({**_rows(), "limit_origins": (origin,)})
    which = next(each.finding for each in walk.progress.path if each.step == "which")
    assert which
    assert "set by nginx.service, LimitNOFILE=1024 in /etc/systemd/system/nginx.service:7" in which.numbers
    assert walk.advice[0].startswith("1,024 soft, 1,024 hard: nginx.service, LimitNOFILE=1024 in")
    assert "To last: change /etc/systemd/system/nginx.service:7 to LimitNOFILE=" in walk.advice[1]


def test_files_of_the_host() -> None:
    assert _steps(_host(999_000)) == ["process", "host", "host-remedy", "raise-host"]
    assert _steps(HOST_LEAK) == ["process", "host", "host-remedy", "do-not-tune"]


def test_the_most_urgent_limit_comes_first() -> None:
    nearly = _rows(850)
    assert _steps(nearly)[-1] == "raise"
    assert _steps({**nearly, **_inotify(128)})[-1] == "raise-user"


def test_hidden_descriptors_are_not_called_fine() -> None:
    assert _steps(UNREAD)[-1] == "cannot-be-known"


def _through_nr_open(after: dict[str, Any]) -> Walk:
    """Raise fs.nr_open; `after` is the sample after it."""
    before = _capped(NR_OPEN, NR_OPEN)
    walk, stream = begin(before, guide=GUIDE)
    list(follow(walk))
    assert walk.step.id == "nr-open"
    walk.changed(transaction())
    for _ in range(30):
        if walk.suggested:
            walk.take(walk.suggested.to)
        if walk.step.id in ("raise", "verified", "did-not-help", "cannot-be-known"):
            break
        walk.add(stream.next(after))
    return walk


def test_the_limit_of_the_process_follows_nr_open() -> None:
    assert _through_nr_open(_capped(1 << 20, NR_OPEN)).step.id == "raise"
    assert _through_nr_open(_capped(1 << 20, 1 << 19)).step.id == "verified"


def test_every_branch_is_taken() -> None:
    gone = {"rows": (process(7),)}
    walks = [_walk(state) for state in (LEAK, HOST_LEAK, UNREAD, {}, {"netns": full()}, _inotify(2))]
    walks += [_growing(*LEAKING), _growing(*SERVING)]
    walks += ends_of_change(GUIDE, _rows(), _rows(soft=4096), gone)
    walks += ends_of_change(GUIDE, _host(999_000), _host(9_000), _host(9_000) | {"files": None})
    walks += ends_of_change(GUIDE, _inotify(128), _inotify(128, 512), {"watches": None})
    walks += ends_of_change(GUIDE, _capped(NR_OPEN, NR_OPEN), _capped(1 << 20, NR_OPEN), {"files": None})
    walks += map(_through_nr_open, (_capped(1 << 20, NR_OPEN), _capped(1 << 20, 1 << 19)))
    unread, _ = begin({"watches": None}, guide=GUIDE)
    list(follow(unread))
    assert branches(GUIDE) - taken(*walks, unread) == {("still", "cannot-be-known")}
