"""All network namespaces of a host, watched in turn: real ones, that come, are sick, and go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest

from sockmon.agent.budget import Budget
from sockmon.agent.sampler import Sampler, boottime, open_sampler
from sockmon.kernel.identity import netns_inode
from sockmon.kernel.netns_visits import NetnsEnded, NetnsPlace, NetnsVisits
from sockmon.kernel.processes.proc_files import open_proc
from sockmon.model.detail import ListenerQuery
from sockmon.model.snapshot import Netns
from tests.agent.private_host import (
    healthy,
    in_private_host,
    namespaces,
    overflow,
    ports,
    unshare_network,
)
from tests.netns import ROOT, child_environment

pytestmark = pytest.mark.usefixtures("needs_userns")
HEALTHY = 20


def check(*options: str) -> dict[str, object]:
    found = subprocess.run(
        [sys.executable, "-m", "sockmon", "check", "--json", *options],
        cwd=ROOT, env=child_environment(), capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert found.returncode in (0, 1, 2), found.stderr.decode()
    report: dict[str, object] = json.loads(found.stdout)
    return report


def judged() -> object:
    with namespaces(*[healthy] * HEALTHY, overflow, ports) as pids:
        return {"all": check(), "here": check("--here"), "pids": pids}


def test_the_sick_ones_are_found_and_the_healthy_ones_are_silent() -> None:
    found = in_private_host(judged)
    report, (*_, overflowing, exhausted) = found["all"], found["pids"]
    alarms = [row for row in report["readings"] if row["severity"] not in ("ok", "unknown")]
    assert [(row["ceiling"], row["severity"]) for row in alarms[:1]] == [("accept-queue", "hit")]
    assert alarms[0]["netns"]["name"].endswith(f"[{overflowing}]")
    (row,) = (row for row in alarms if row["ceiling"] == "ephemeral-ports")
    assert (row["used"], row["netns"]["name"].endswith(f"[{exhausted}]")) == (96, True)
    assert report["verdict"] == "hit"
    inodes = {row["netns"]["inode"] for row in report["readings"] if row.get("netns")}
    assert len(inodes) == 3
    assert report["quiet_netns"] == HEALTHY
    assert not [entry for entry in report["missing"] if entry["reader"] == "other namespaces"]
    assert found["here"]["verdict"] == "ok"
    assert found["here"]["quiet_netns"] == 0
    (other,) = (entry for entry in found["here"]["missing"] if entry["reader"] == "other namespaces")
    assert other["unjudged"] == f"{HEALTHY + 2} other network namespaces"


def sampled() -> object:
    """Follow one namespace from its begin to its end, and make a dump in it by choosing it."""
    states: list[list[str]] = []
    with open_sampler(None, 0.5) as sampler:
        sampler.sample(complete=True)
        files = len(os.listdir("/proc/self/fd"))
        with namespaces(healthy, ports) as (pid, other):
            inode, busy = netns_inode(f"/proc/{pid}/ns/net"), netns_inode(f"/proc/{other}/ns/net")
            found = until(sampler, lambda rows: {inode, busy} <= rows.keys() and rows[busy].ports is not None)
            states.append(sorted(found[inode].ruled_out))
            states.append(sorted(found[busy].ruled_out))
            assert found[inode].pid == pid
            assert found[inode].processes == 1
            assert found[inode].at is not None
            assert sampler.sampler_of(inode) is not None
            sampler.watch.choose(inode)
            found = until(sampler, lambda rows: rows[inode].ports is not None)
            states.append(sorted(found[inode].ruled_out))
            sampler.watch.choose(0)
            found = until(sampler, lambda rows: rows[inode].ports is None)
        end = time.monotonic()
        until(sampler, lambda rows: inode not in rows and busy not in rows)
        states.append([str(time.monotonic() - end < 20.0), str(len(os.listdir("/proc/self/fd")) <= files)])
        assert sampler.sampler_of(inode) is None
    return states


def until(sampler: Sampler, reached: object) -> dict[int, Netns]:
    for _ in range(300):
        rows = {netns.inode: netns for netns in sampler.sample(complete=False).netns[1:]}
        with suppress(KeyError):
            if callable(reached) and reached(rows):
                return rows
        time.sleep(0.1)
    raise AssertionError(rows)


def test_a_namespace_is_watched_from_its_begin_to_its_end() -> None:
    cold, busy, chosen, ended = in_private_host(sampled)
    assert cold == ["datagrams", "ports", "queues", "snat", "states", "udp"]
    assert "ports" not in busy
    assert chosen == []
    assert ended == ["True", "True"]


def churned() -> object:
    """Sample while 50 namespaces a second come and go."""
    churn = os.fork()
    if churn == 0:
        while True:
            child = os.fork()
            if child == 0:
                unshare_network()
                time.sleep(0.4)
                os._exit(0)
            time.sleep(0.02)
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
    with open_sampler(None, 0.2) as sampler:
        sampler.sample(complete=True)
        most, files = 0, len(os.listdir("/proc/self/fd"))
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            sampler.refresh()
            most = max(most, len(sampler.sample(complete=True).netns))
        os.kill(churn, signal.SIGKILL)
        os.waitpid(churn, 0)
        left = until(sampler, lambda rows: not rows)
        return [most > 1, len(left), len(os.listdir("/proc/self/fd")) - files, netns_inode()]


def test_namespaces_that_come_and_go_leave_nothing() -> None:
    seen, left, files, _ = in_private_host(churned)
    assert seen
    assert left == 0
    assert files <= 0


def reused() -> object:
    """Visit a namespace by a process that moves to another one."""
    proc = open_proc()
    with namespaces(healthy, healthy) as (first, second), closing(NetnsVisits(proc)) as visits:
        here = netns_inode()
        place = NetnsPlace(netns_inode(f"/proc/{first}/ns/net"), (first,), ())
        with visits.inside(place):
            inside = netns_inode()
        other = netns_inode(f"/proc/{second}/ns/net")
        # As if the inode of the first one were used again.
        place.inode, place.pids = other, (second,)
        try:
            with visits.inside(place):
                entered = True
        except NetnsEnded:
            entered = False
        return [inside != here, netns_inode() == here, entered, bool(place.cookie)]


def test_a_namespace_that_took_the_inode_of_another_one_is_not_taken_for_it() -> None:
    moved, back, entered, has_cookie = in_private_host(reused)
    assert (moved, back) == (True, True)
    assert entered is not has_cookie


def refused() -> object:
    """Be another user than the one who made the namespaces."""
    with namespaces(*[healthy] * 3):
        # A user namespace below has no rights in these network namespaces.
        report = subprocess.run(
            ["unshare", "--user", sys.executable, "-m", "sockmon", "check", "--json"],
            cwd=ROOT, env=child_environment(), capture_output=True, timeout=100, check=False,
        )  # fmt: skip
        found: object = json.loads(report.stdout)
        return found


def test_those_that_may_not_be_entered_are_counted() -> None:
    report = in_private_host(refused)
    (other,) = (entry for entry in report["missing"] if entry["reader"] == "other namespaces")
    assert other["unjudged"] == "3 other network namespaces"
    assert report["quiet_netns"] == 0


def asked() -> object:
    """Ask the agent about a listener in another namespace."""
    from sockmon.agent.details import answer_query

    with namespaces(healthy) as (pid,), open_sampler(None, 1.0) as sampler:
        inode = netns_inode(f"/proc/{pid}/ns/net")
        rows = until(sampler, lambda rows: inode in rows and rows[inode].listeners)
        (listener,) = rows[inode].listeners or ()
        steps = answer_query(sampler, ListenerQuery(inode, listener.inode))
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return [listener.port, end.value.sockets_total]


def test_a_query_about_another_namespace_is_answered_there() -> None:
    assert in_private_host(asked) == [8080, 1]


def chosen() -> object:
    """Choose a namespace whose dumps would have to wait, and choose none while one of them runs."""
    with namespaces(healthy) as (pid,), open_sampler(None, 1.0) as sampler:
        inode = netns_inode(f"/proc/{pid}/ns/net")
        until(sampler, lambda rows: inode in rows)
        netns = sampler.sampler_of(inode)
        assert netns is not None
        # The share of each of a thousand dumps.
        netns.states.budget = Budget(1e-5, 2.0)
        for _ in range(2):
            netns.states.run(1.0)
        waited = not netns.states.due(boottime())
        sampler.watch.choose(inode)
        due, begun = netns.states.due(boottime()), netns.ports.task
        begun.run(0.0)
        sampler.watch.choose(0)
        return [waited, due, begun.active, begun in sampler.watch.tasks()]


def test_a_chosen_namespace_is_dumped_at_once_and_no_dump_is_left_behind() -> None:
    assert in_private_host(chosen) == [True, True, True, True]
