"""The rules and the page of a namespace that is only visited: they are its own, not those of this process."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sockmon.agent.details import answer_query
from sockmon.agent.sampler import open_sampler
from sockmon.kernel.nat_rules.of_handle import read_rules_of
from sockmon.kernel.netlink import run
from sockmon.model.detail import Detail
from sockmon.model.nat_rules import action_text
from sockmon.model.netns_rules import NetnsDetail, NetnsQuery
from tests.netns import TOOL_PATH, inside_as_root

SET_UP = (
    "ip link add inner type veth peer name other; ",
    "nft add table ip t; nft add chain ip t c '{ type nat hook postrouting priority 100; }';",
    "nft add rule ip t c tcp dport 1 masquerade to :2000-2099;",
    "nft add rule ip t c ct state new;",
    "iptables-legacy -w -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 7-9; echo; exec sleep 60",
)


def watched() -> tuple[list[str], Detail, int]:
    child = subprocess.Popen(["unshare", "-n", "sh", "-c", "".join(SET_UP)], stdout=subprocess.PIPE)
    assert child.stdout
    try:
        child.stdout.readline()
        inode = Path(f"/proc/{child.pid}/ns/net").stat().st_ino
        with open_sampler(None, 1.0) as sampler:
            sampler.sample(complete=True)
            found = sampler.sampler_of(inode)
            assert found is not None, "it is not watched"
            actions = [action_text(row) for row in run(read_rules_of(found.handle)).nat]
            steps = answer_query(sampler, NetnsQuery(inode))
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    return actions, end.value, Path("/proc/self/ns/net").stat().st_ino
    finally:
        child.kill()
        child.wait()


@pytest.mark.usefixtures("needs_nft")
def test_rules_of_a_watched_namespace() -> None:
    if os.geteuid():
        pytest.skip("entering another namespace takes root")
    if not shutil.which("iptables-legacy", path=TOOL_PATH):
        pytest.skip("iptables-legacy is not installed")
    own = Path("/proc/self/ns/net").stat().st_ino
    actions, detail, after = inside_as_root(watched)
    assert actions == ["masquerade to :2000-2099", "masquerade to :7-9"]
    assert after != own
    assert isinstance(detail, NetnsDetail)
    assert sorted(row.name for row in detail.links) == ["inner", "lo", "other"]
    assert detail.nat is not None
    assert [action_text(row) for row in detail.nat.nat] == actions
    assert detail.missing == ()
