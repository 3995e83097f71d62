"""Each reading says which network namespace it is about, if it is about one."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.ceilings import CEILINGS
from sockmon.model.report import ReadingNetns
from tests.snapshots import netns, snapshot


def test_readings_of_a_namespace_have_it_and_those_of_the_host_do_not() -> None:
    web = replace(netns(), name="web", inode=77, kind="container", container="0f" * 32)
    found = Assessor().add(snapshot(0.0, netns=(web,))).report.readings
    scopes = {row.id: row.scope for row in CEILINGS}
    with_netns = {row.ceiling for row in found if row.netns == ReadingNetns(77, "web", "container", "0f" * 32)}
    without = {row.ceiling for row in found if row.netns is None}
    assert with_netns | without == {row.ceiling for row in found}
    assert with_netns >= {"accept-queue", "ephemeral-ports", "conntrack-table", "unix-dgram-queue"}
    assert without >= {"process-fds", "pid-max", "tcp-memory", "cgroup-pids"}
    assert all(scopes[name] in ("netns", "process") for name in with_netns)


def test_json_has_all_four_fields_also_if_some_are_unknown() -> None:
    found = Assessor().add(snapshot(0.0)).report.readings
    (row,) = (row for row in found if row.ceiling == "conntrack-table")
    assert msgspec.to_builtins(row)["netns"] == {
        "inode": row.netns and row.netns.inode,
        "name": "host",
        "kind": "",
        "container": "",
    }
