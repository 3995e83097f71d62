"""Other source addresses: those that are there, usable, and have a route to the destination."""

from __future__ import annotations

from contextlib import closing

import pytest

from sockmon.agent.source_addresses import SourceAddressReader
from sockmon.kernel.addresses import has_route, read_addresses
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.model.snapshot import PortGroup, Ports
from sockmon.model.source_addresses import SourcesTowards
from sockmon.sandbox.veth_host import run_tool
from tests.netns import inside


def ip(*argv: str) -> None:
    run_tool("ip", *argv)


def group(source: str, destination: str, used: int = 80, device: str = "") -> PortGroup:
    return PortGroup(source, destination, 443, used, 0, (), device=device)


def towards(*groups: PortGroup) -> tuple[SourcesTowards, ...]:
    ports = Ports(0.0, 40000, 40099, 0, (), (), 100, groups, len(groups), 0)
    with closing(open_current()) as handle:
        reader = SourceAddressReader(handle, lambda: ports, lambda: ())
        reader.task.run(10.0)
        assert reader.task.reason is None
        found = reader.sample()
        return found.rows if found else ()


def set_up() -> dict[str, tuple[SourcesTowards, ...]]:
    for name in ("one", "two"):
        ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
        ip("link", "set", name, "up", "addrgenmode", "none")
        ip("link", "set", f"{name}p", "up")
    for last in range(1, 8):
        ip("address", "add", f"192.0.2.{last}/24", "dev", "one")
    ip("address", "add", "198.51.100.1/24", "dev", "two")
    ip("route", "add", "default", "via", "192.0.2.254")
    # From this address there is no way to 203.0.113.0/24.
    ip("rule", "add", "from", "198.51.100.1", "to", "203.0.113.0/24", "prohibit")
    ip("-6", "address", "add", "2001:db8::1/64", "dev", "one", "nodad")
    ip("-6", "address", "add", "2001:db8::2/64", "dev", "one", "nodad")
    ip("-6", "address", "add", "2001:db8::3/64", "dev", "one", "nodad", "preferred_lft", "0")
    return {
        "routed": towards(group("192.0.2.1", "10.0.0.9")),
        "prohibited": towards(group("192.0.2.1", "203.0.113.9")),
        "ipv6": towards(group("2001:db8::1", "2001:db8::99")),
        "no route": towards(group("2001:db8::1", "2001:db8:9::1")),
        "loopback": towards(group("127.0.0.1", "127.0.0.1")),
        "device": towards(group("192.0.2.1", "192.0.2.99", device="two")),
        "little used": towards(group("192.0.2.1", "10.0.0.9", used=20)),
    }


@pytest.mark.usefixtures("needs_userns")
def test_addresses_that_exist_and_have_a_route() -> None:
    found = inside(set_up)
    (routed,) = found["routed"]
    assert (routed.addresses, routed.total, routed.complete) == (
        *(("192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"), 7, True),
    )
    assert found["prohibited"][0].total == 6, "the seventh has a rule that prohibits it"
    assert found["ipv6"][0].addresses == ("2001:db8::2",), "the third is deprecated"
    assert found["no route"][0] == SourcesTowards("2001:db8::1", "2001:db8:9::1", "", (), 0, True)
    assert found["loopback"][0].total == 8 + 5, "those of the links, and the first of 127.0.0.0/8"
    assert found["device"][0].total == 7, (
        "without a route by that device the kernel assumes that it is on the link"
    )
    assert found["little used"] == ()


def routes() -> list[bool]:
    ip("link", "add", "one", "type", "veth", "peer", "name", "onep")
    ip("address", "add", "192.0.2.1/24", "dev", "one")
    ip("link", "set", "one", "up")
    ip("link", "set", "onep", "up")
    with closing(open_current()) as handle:
        assert {row.address for row in run(read_addresses(handle.route))} >= {bytes((192, 0, 2, 1))}
        own, strange, near, far = (
            bytes(each) for each in ((192, 0, 2, 1), (9, 9, 9, 9), (192, 0, 2, 9), (8, 8, 8, 8))
        )
        return [has_route(handle.route, a, b) for a, b in ((own, near), (strange, near), (own, far))]


@pytest.mark.usefixtures("needs_userns")
def test_a_route_from_an_address() -> None:
    assert inside(routes) == [True, False, False]
