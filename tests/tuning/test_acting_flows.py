"""Deleting flows of the connection table on the real kernel: exactly those that were shown, also in zones."""

from __future__ import annotations

import shutil
import socket
import subprocess
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from sockmon.kernel.identity import netns_inode
from sockmon.model.acting import CloseSockets, DeleteFlows
from sockmon.model.conntrack_flows import Flow, FlowTerm, FlowTuple, RangeValue
from sockmon.tuning.acting import flows
from tests.netns import TOOL_PATH, inside
from tests.tuning.acting_targets import act, actions, confirm, refusal

pytestmark = pytest.mark.usefixtures("needs_userns", "needs_nft", "needs_conntrack")
RULES = """
add table inet t
add chain inet t zones {{ type filter hook output priority -300; }}
add rule inet t zones udp dport 7002 ct zone set 2
add chain inet t c {{ type filter hook output priority 0; }}
add rule inet t c ct state new
"""
PORTS = (7001, 7001, 7002, 7003)


@pytest.fixture
def needs_conntrack() -> None:
    """Skip where conntrack(8) is not there to count the flows."""
    if not shutil.which("conntrack", path=TOOL_PATH):
        pytest.skip("needs conntrack")


def make_flows() -> dict[tuple[int, int], Flow]:
    """Track some datagrams; return the flows by source port and zone."""
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    subprocess.run([nft, "-f", "-"], input=RULES.format(), text=True, check=True)
    found = {}
    for number, port in enumerate(PORTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 6000 + number))
            sender.sendto(b"x", ("127.0.0.1", port))
        zone = 2 if port == 7002 else 0
        original = FlowTuple("127.0.0.1", "127.0.0.1", 6000 + number, port)
        reply = FlowTuple("127.0.0.1", "127.0.0.1", port, 6000 + number)
        found[6000 + number, zone] = Flow(netns_inode(), 4, "udp", 17, original, reply, 0, zone=zone)
    return found


def listed() -> set[int]:
    """Return the source ports of the flows that conntrack(8) lists."""
    tool = shutil.which("conntrack", path=TOOL_PATH)
    assert tool
    listing = subprocess.run([tool, "-L", "-p", "udp"], capture_output=True, text=True, check=True).stdout
    return {int(line.split("sport=")[1].split()[0]) for line in listing.splitlines()}


def deleted() -> None:
    made = make_flows()
    assert listed() == {6000, 6001, 6002, 6003}
    with actions() as (acting, _):
        shown = acting.prepare(DeleteFlows(netns_inode(), (made[6000, 0],)))
        assert (shown.title, shown.word, shown.count) == ("Delete 1 flow", "delete", 1)
        assert shown.commands == ("conntrack -D -p udp -s 127.0.0.1 -d 127.0.0.1 --sport 6000 --dport 7001",)
        assert listed() == {6000, 6001, 6002, 6003}
        assert acting.carry_out(confirm(shown)).state == "done"
        assert listed() == {6001, 6002, 6003}
        # The same addresses without the zone are another flow, which does not exist.
        in_zone = made[6002, 2]
        wrong = DeleteFlows(netns_inode(), (replace(in_zone, zone=0),))
        assert refusal(lambda: acting.prepare(wrong)) == flows.NONE_MATCH
        shown = acting.prepare(DeleteFlows(netns_inode(), (in_zone, made[6000, 0])))
        assert (shown.count, shown.left_out) == (1, ("1 flow: gone already",))
        assert "-w 2" in shown.commands[0]
        assert acting.carry_out(confirm(shown)).state == "done"
        assert listed() == {6001, 6003}
        # A flow that ended and began again has another id.
        other = replace(made[6001, 0], id=1)
        assert refusal(lambda: acting.prepare(DeleteFlows(netns_inode(), (other,)))) == flows.NONE_MATCH
        for invalid in (
            {"family": 5},
            {"number": 300},
            {"zone": 70_000},
            {"netns": 1},
            {"original": FlowTuple("", "")},
            {"original": FlowTuple("127.0.0.1", "127.0.0.1", -1, 7001)},
        ):
            bad = DeleteFlows(netns_inode(), (replace(made[6001, 0], **invalid),))
            assert "not " in refusal(partial(acting.prepare, bad)), invalid
        assert listed() == {6001, 6003}


def test_one_flow_in_its_zone_is_deleted_and_no_other() -> None:
    inside(deleted)


def ended_meanwhile() -> None:
    made = make_flows()
    tool = shutil.which("conntrack", path=TOOL_PATH)
    assert tool
    with actions() as (acting, _):
        shown = acting.prepare(DeleteFlows(netns_inode(), (made[6000, 0], made[6003, 0])))
        assert shown.count == 2
        subprocess.run([tool, "-D", "-p", "udp", "--sport", "6000"], check=True, capture_output=True)
        done = acting.carry_out(confirm(shown))
        assert done.action is not None
        assert (done.state, done.action.done, done.action.confirmed) == ("done", 1, 2)
        assert "gone already" in done.messages[0]
        in_zone_0 = (FlowTerm("dport", (RangeValue(7001, 7003),)), FlowTerm("zone", (RangeValue(0, 0),)))
        matching = acting.prepare(DeleteFlows(netns_inode(), match=in_zone_0))
        assert matching.count == 1
        assert acting.carry_out(confirm(matching)).state == "done"
        assert listed() == {6002}
        assert refusal(lambda: acting.prepare(DeleteFlows(netns_inode(), match=in_zone_0))) == flows.NONE_MATCH
        assert refusal(lambda: acting.prepare(DeleteFlows(netns_inode(), match=()))) == flows.WHOLE_TABLE
        assert act(acting, DeleteFlows(netns_inode(), (made[6002, 2],))).state == "done"
        assert listed() == set()
        # The table of a namespace that has ended, or that is not one.
        assert "has ended" in refusal(lambda: acting.prepare(DeleteFlows(4, (replace(made[6001, 0], netns=4),))))
        assert "has ended" in refusal(lambda: acting.prepare(CloseSockets(4)))


def test_a_flow_that_has_ended_is_counted() -> None:
    inside(ended_meanwhile)
    assert Path("/proc/self/ns/net").exists()
