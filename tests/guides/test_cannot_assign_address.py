"""The guide for EADDRNOTAVAIL: on its lab, on labs of other limits, on a healthy host, and each branch."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sockmon.guides.cannot_assign_address import GUIDE
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import BoundSource, Netns, Owner, Process
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.walks import begin, branches, ends_of_change, follow, full, taken
from tests.snapshots import SYSCTLS, group, netns, ports, process

NAME = GUIDE.name
CLIENT = Owner(1044, 7, "nginx", 28232)


def test_on_its_lab_more_ports_are_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["bound", "group", "kind", "remedy", "widen", "freed", "verified"]
    assert walk.outcome == "verified"
    assert [(change.state, change.step) for change in walk.changes] == [("kept", "widen")]
    # The listener inside of the new range is reserved with the change.
    assert {each.key for each in walk.changes[0].settings} == {
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
    }


def test_without_the_change_it_ends_with_the_command() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab)
    assert walk.outcome == "run-commands"
    assert walk.changes == ()
    assert any("tune apply" in line and "ip_local_port_range" in line for line in end(walk).advice)


def test_bound_ports_are_not_tuned() -> None:
    walk = walk_on_lab(NAME, "bound-ports", "--yes")
    assert path(walk) == ["bound", "unbind", "do-not-tune"]
    assert named(walk) == {"bound-ports"}
    assert walk.changes == ()


def test_on_the_lab_of_another_limit_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "process-fds", "--yes")
    assert path(walk) == ["bound", "group", "others", "other-limit"]
    assert "process-fds" in named(walk)
    assert any("api-server" in line for line in end(walk).advice)


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    walk = walk_on_lab(NAME, "idle-box", "--yes")
    assert walk.outcome == "not-here"


def _ends(part: Netns) -> list[str]:
    return list(follow(begin(part, guide=GUIDE)[0]))


def _leak() -> Walk:
    held = netns(ports=ports(replace(group(28232), owners=(CLIENT,))))
    walk, stream = begin(held, guide=GUIDE)
    stream.processes = (process(fds=28300, soft=1 << 20, sockets=28232, close_wait=28000),)
    walk.add(stream.next(held))
    list(follow(walk))
    return walk


def _bound() -> Walk:
    source = BoundSource("10.0.0.5", 20000, 0, 0, 4, 0, 30.0, 0.5, (CLIENT,))
    part = netns(ports=replace(ports(group(100)), exhausted=True, sources=(source,), lost=28232))
    walk, _ = begin(part, guide=GUIDE)
    list(follow(walk))
    return walk


def _healthy(*rows: Process) -> Walk:
    walk, stream = begin(netns(), guide=GUIDE)
    stream.processes = rows
    walk.add(stream.next(netns(), 10))
    list(follow(walk))
    return walk


def _waiting(**changes: Any) -> Netns:
    sysctls = SYSCTLS | {"net.ipv4.tcp_tw_reuse": "0"}
    return netns(ports=ports(group(28232, time_wait=28000)), sysctls=sysctls, **changes)


def test_ports_in_time_wait_are_reused_if_the_sysctl_is_off() -> None:
    assert _ends(_waiting()) == ["bound", "group", "kind", "remedy", "reuse"]


def test_a_leak_is_not_tuned() -> None:
    assert _leak().outcome == "do-not-tune"


def test_the_kernel_without_any_port_is_the_cause() -> None:
    assert _bound().step.id == "unbind"


def test_without_the_ports_nothing_is_known() -> None:
    assert _ends(netns(ports=None))[-1] == "cannot-be-known"


def test_every_branch_is_taken() -> None:
    walks = [_leak(), _healthy(), _healthy(process(fds=1024, soft=1024))]
    unread, _ = begin(netns(ports=None), guide=GUIDE)
    list(follow(unread))
    walks += [unread, *ends_of_change(GUIDE, full(), full(usable=64512), netns(ports=None))]
    walks += ends_of_change(GUIDE, _waiting(), netns(ports=ports(group(100))), netns(ports=None))
    for to in ("do-not-tune", "freed"):
        bound = _bound()
        bound.take(to)
        walks.append(bound)
    # Whether another limit has an alarm is always known, as far as it was read.
    assert branches(GUIDE) - taken(*walks) == {("others", "cannot-be-known")}
