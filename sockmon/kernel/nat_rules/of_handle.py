"""All NAT rules of a namespace that is held open; the caller stays in its own."""

from __future__ import annotations

import fcntl
import os
import socket

from sockmon.errors import ReadError
from sockmon.kernel.addresses import read_addresses, read_device_names
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.nat_rules.legacy import LegacyRules, open_legacy, read_legacy
from sockmon.kernel.nat_rules.ranges import Local
from sockmon.kernel.nat_rules.read import read_rules
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.setns import EntryRefused, open_in_netns
from sockmon.model.nat_rules import NatRules

_SIOCGSKNS = 0x894C


def read_rules_of(handle: NetnsHandle) -> Incremental[NatRules]:
    """Return the rules that translate or leave untracked; raise ReadError. The netlink socket is that of the dumps
    of the connection table: not while one of them is half-way."""
    legacy = yield from _legacy_rules(handle)
    return (yield from read_rules(handle.conntrack, legacy))


def read_local(handle: NetnsHandle) -> Incremental[Local]:
    """Return the addresses of the namespace, and the names of its devices; raise ReadError."""
    addresses = yield from read_addresses(handle.route)
    return Local(addresses, (yield from read_device_names(handle.route)))


def netns_descriptor(inside: socket.socket) -> int:
    """Return a new descriptor of the network namespace in which a socket was made; raise OSError, EPERM without
    CAP_NET_ADMIN in it."""
    descriptor = fcntl.ioctl(inside.fileno(), _SIOCGSKNS)
    os.set_inheritable(descriptor, False)
    return descriptor


def _legacy_rules(handle: NetnsHandle) -> Incremental[LegacyRules]:
    try:
        with handle.inside():
            opened_inside = open_legacy()
    except ReadError:
        # It was opened by a child, or has ended and is only held open.
        return (yield from _read_by_child(handle))
    except OSError as error:
        return _unread(error.errno or 0)
    return (yield from read_legacy(opened_inside))


def _read_by_child(handle: NetnsHandle) -> Incremental[LegacyRules]:
    try:
        namespace = netns_descriptor(handle.route)
    except OSError as error:
        return _unread(error.errno or 0)
    try:
        opened = open_in_netns(namespace, open_legacy)
    finally:
        os.close(namespace)
    if isinstance(opened, EntryRefused):
        return _unread(opened.code)
    return (yield from read_legacy(opened))


def _unread(code: int) -> LegacyRules:
    return LegacyRules([], [], [f"rules of iptables-legacy could not be read: {os.strerror(code)}"])
