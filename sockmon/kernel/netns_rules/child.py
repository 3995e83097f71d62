"""The process that reads the addresses and rules of one namespace, prints them, and ends.

    python -m sockmon.kernel.netns_rules.child PARENT INODE [DESCRIPTOR]

It enters the network namespace of DESCRIPTOR, or stays in that of the agent. It is a process of its own because
pyroute2 takes 20 MB and 0.3 s, and so that the agent does not wait: the kernel ends this one after MAX_SECONDS,
and with the agent."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from sockmon.errors import ReadError
from sockmon.kernel import transmit_queues
from sockmon.kernel.identity import netns_inode
from sockmon.kernel.nat_rules.legacy import open_legacy, read_legacy
from sockmon.kernel.nat_rules.modules import may_be_loaded
from sockmon.kernel.nat_rules.read import only_legacy, read_rules
from sockmon.kernel.netlink import NETFILTER, ROUTE, open_netlink, run
from sockmon.kernel.netns import open_current
from sockmon.kernel.netns_rules import ipvs, rtnl
from sockmon.kernel.netns_rules.neighbour_counts import READER as NEIGHBOURS
from sockmon.kernel.netns_rules.neighbour_counts import count_neighbours
from sockmon.kernel.setns import enter_netns
from sockmon.model.missing import Missing
from sockmon.model.nat_rules import NatRules
from sockmon.model.netns_rules import IpvsService, Link, NetnsDetail, NetnsQuery
from sockmon.model.snapshot import TransmitQueue
from sockmon.own_process import end_with_parent, set_name

T = TypeVar("T")
MAX_SECONDS = 20


class _Reading:
    """Collects the parts; one that cannot be read is missing, and the others go on."""

    def __init__(self) -> None:
        self.missing: list[Missing] = []

    def part(self, name: str, read: Callable[[], T]) -> T | None:
        """Return what `read` returns; None and an entry in `missing` if it fails."""
        try:
            return read()
        except ReadError as error:
            self.missing.append(Missing(error.reader, error.message))
        except ImportError as error:
            self.missing.append(Missing(name, f"{error.name} is not installed on this host"))
        except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            self.missing.append(Missing(name, f"{type(error).__name__}: {error}"))
        return None


def read_all(inode: int) -> NetnsDetail:
    """Return everything about the namespace of this process."""
    begin = time.monotonic()
    reading = _Reading()
    with open_netlink(ROUTE) as route:
        links = reading.part(rtnl.LINKS, lambda: rtnl.read_links(route))
        queues = reading.part(transmit_queues.READER, _transmit_queues) or ()
        addresses = reading.part(rtnl.ADDRESSES, lambda: rtnl.read_addresses(route))
        names = {link.index: link.name for link in links.rows} if links else {}
        routes = reading.part(rtnl.ROUTES, lambda: rtnl.read_routes(route, names))
        rules = reading.part(rtnl.RULES, lambda: rtnl.read_policy_rules(route))
        neighbours = reading.part(NEIGHBOURS, lambda: count_neighbours(route))
    services = reading.part(ipvs.READER, _ipvs)
    nat = reading.part("nat rules", _nat_rules)
    return NetnsDetail(
        at=time.clock_gettime(time.CLOCK_BOOTTIME),
        query=NetnsQuery(inode),
        links=_with_queues(links.rows, queues) if links else (),
        links_total=links.total if links else None,
        addresses=addresses.rows if addresses else (),
        addresses_total=addresses.total if addresses else None,
        routes=routes.rows if routes else (),
        routes_total=routes.total if routes else None,
        local_routes=routes.local if routes else None,
        rules=rules.rows if rules else (),
        rules_total=rules.total if rules else None,
        neighbours=neighbours[0] if neighbours else (),
        neighbours_total=neighbours[1] if neighbours else None,
        nat=nat,
        ipvs=services[0] if services else (),
        ipvs_total=services[1] if services else None,
        missing=tuple(reading.missing),
        seconds=time.monotonic() - begin,
    )


def _transmit_queues() -> tuple[TransmitQueue, ...]:
    with closing(open_current()) as handle:
        return run(transmit_queues.read(handle))


def _with_queues(links: tuple[Link, ...], queues: tuple[TransmitQueue, ...]) -> tuple[Link, ...]:
    by_name = {queue.device: queue for queue in queues}
    return tuple(_with_queue(link, by_name.get(link.name)) for link in links)


def _with_queue(link: Link, queue: TransmitQueue | None) -> Link:
    if queue is None:
        return link
    return replace(
        link, waiting=queue.waiting, limit=queue.limit, in_bytes=queue.in_bytes, queue_dropped=queue.dropped
    )


def _nat_rules() -> NatRules:
    legacy = run(read_legacy(open_legacy()))
    if not may_be_loaded("nf_tables"):
        # The socket alone would load nfnetlink.
        return only_legacy(legacy)
    with open_netlink(NETFILTER) as netfilter:
        return run(read_rules(netfilter, legacy))


def _ipvs() -> tuple[tuple[IpvsService, ...], int] | None:
    try:
        with open(ipvs.FILE, "rb") as file:
            return ipvs.parse_services(file.read())
    except FileNotFoundError:
        return None


def main() -> None:
    """Print the NetnsDetail of the namespace that the command line names."""
    parent, inode, *descriptor = map(int, sys.argv[1:])
    set_name("sockmon-netns")
    end_with_parent(parent)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(MAX_SECONDS)
    try:
        if descriptor:
            enter_netns(descriptor[0])
        found = read_all(inode)
        if netns_inode() != inode:
            raise OSError(0, "the namespace is another one now")
    except OSError as error:
        reason = f"the namespace could not be entered: {error.strerror}"
        found = NetnsDetail(
            time.clock_gettime(time.CLOCK_BOOTTIME), NetnsQuery(inode), (Missing("namespace", reason),)
        )
    sys.stdout.buffer.write(msgspec.json.encode(found))
    sys.stdout.buffer.flush()
    # Without taking the interpreter apart: the agent waits for the end.
    os._exit(0)


if __name__ == "__main__":
    main()
