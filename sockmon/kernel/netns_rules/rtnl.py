"""Links, addresses, routes and policy rules of the namespace of this process, decoded by pyroute2.

The messages are received by our own dump, which counts a million routes without decoding them; pyroute2 decodes
those that are listed. Its import takes 0.3 s and 20 MB, so it is inside of functions."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from sockmon.kernel.netlink import dump_in_order, run
from sockmon.model.netns_rules import MAX_ROWS, Address, Link, PolicyRule, Route
from sockmon.text import sanitize

MAX_DECODED = 2000
"""Messages of a kind that are decoded; the rest is counted."""
LINKS, ADDRESSES, ROUTES, RULES = "links", "addresses", "routes", "policy rules"
_GET_LINK, _GET_ADDRESS, _GET_ROUTE, _GET_RULE = 18, 22, 26, 34
_UP = 1  # IFF_UP
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_ADDRESS_FLAGS = (
    (0x08, "dadfailed"),
    (0x20, "deprecated"),
    (0x40, "tentative"),
    (0x04, "optimistic"),
    (0x01, "secondary"),
)
_TEMPORARY = 0x01
"""The same bit is IFA_F_SECONDARY for IPv4 and IFA_F_TEMPORARY for IPv6."""
_TABLES = {253: "default", 254: "main", 255: "local"}
_LOCAL_TABLE, _MAIN_TABLE, _TABLE_AT, _DESTINATION_BITS_AT = 255, 254, 20, 17
_ROUTE_KINDS = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable",
    8: "prohibit", 9: "throw", 10: "nat",
}  # fmt: skip
_RULE_ACTIONS = {2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_FAMILIES = {socket.AF_INET: 4, socket.AF_INET6: 6}
_NO_SUPPRESSION = 0xFFFFFFFF


class Rows(NamedTuple):
    """Rows of one kind, and how many there are."""

    rows: tuple[Any, ...]
    total: int


class _Kept:
    """The messages that are decoded, and how many there were."""

    def __init__(self, wanted: Callable[[bytes], bool] = lambda raw: True) -> None:
        self.messages: list[bytes] = []
        self.first: list[bytes] = []
        """Messages that are wanted even if there are too many."""
        self.total = 0
        self._wanted = wanted

    def absorb(self, raw: bytes) -> None:
        if not self._wanted(raw):
            return
        self.total += 1
        if len(self.messages) < MAX_DECODED:
            self.messages.append(raw)


def read_links(route: socket.socket) -> Rows:
    """Return the links: by index; of too many, those with the most losses; raise ReadError."""
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    kept = _Kept()
    run(dump_in_order(route, LINKS, _GET_LINK, bytes(16), kept.absorb))
    links = [_link(_decoded(ifinfmsg, raw)) for raw in kept.messages]
    if len(links) > MAX_ROWS:
        links = sorted(links, key=lambda link: -link.lost)[:MAX_ROWS]
    return Rows(tuple(sorted(links, key=lambda link: link.index)), kept.total)


def _link(message: Any) -> Link:
    stats = message.get_attr("IFLA_STATS64") or message.get_attr("IFLA_STATS") or {}
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=_text(message.get_attr("IFLA_IFNAME")),
        kind=_text(info.get_attr("IFLA_INFO_KIND")) if info else "",
        up=bool(message["flags"] & _UP),
        state=_text(message.get_attr("IFLA_OPERSTATE")),
        mtu=message.get_attr("IFLA_MTU") or 0,
        queue_length=message.get_attr("IFLA_TXQLEN") or 0,
        qdisc=_text(message.get_attr("IFLA_QDISC")),
        rx_packets=stats.get("rx_packets", 0),
        tx_packets=stats.get("tx_packets", 0),
        rx_errors=stats.get("rx_errors", 0),
        tx_errors=stats.get("tx_errors", 0),
        rx_dropped=stats.get("rx_dropped", 0),
        rx_missed=stats.get("rx_missed_errors", 0),
        tx_dropped=stats.get("tx_dropped", 0),
    )


def read_addresses(route: socket.socket) -> Rows:
    """Return the addresses, in the order of the kernel: by link; raise ReadError."""
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

    kept = _Kept(lambda raw: raw[16] in _FAMILIES)
    run(dump_in_order(route, ADDRESSES, _GET_ADDRESS, bytes(8), kept.absorb))
    return Rows(tuple(_address(_decoded(ifaddrmsg, raw)) for raw in kept.messages[:MAX_ROWS]), kept.total)


def _address(message: Any) -> Address:
    # IFA_ADDRESS is the peer on a point-to-point link, IFA_LOCAL then ours.
    other = _text(message.get_attr("IFA_ADDRESS"))
    own = _text(message.get_attr("IFA_LOCAL")) or other
    flags = message.get_attr("IFA_FLAGS") or message["flags"]
    names = [name for bit, name in _ADDRESS_FLAGS if flags & bit]
    if message["family"] == socket.AF_INET6 and flags & _TEMPORARY:
        names[names.index("secondary")] = "temporary"
    return Address(
        link=message["index"],
        address=f"{own}/{message['prefixlen']}",
        scope=_SCOPES.get(message["scope"], str(message["scope"])),
        flags=tuple(names),
        peer=other if other != own else "",
    )


class Routes(NamedTuple):
    """The routes that are listed, how many there are, and how many in the table local."""

    rows: tuple[Route, ...]
    total: int
    local: int


def read_routes(route: socket.socket, devices: dict[int, str]) -> Routes:
    """Return the routes but for those of the table local: default ones first, then those of main; raise
    ReadError."""
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    kept, defaults, local = _Kept(), _Kept(), 0

    def absorb(raw: bytes) -> None:
        nonlocal local
        if raw[16] not in _FAMILIES:
            return
        if raw[_TABLE_AT] == _LOCAL_TABLE:
            local += 1
        elif raw[_DESTINATION_BITS_AT] == 0:
            defaults.absorb(raw)
        else:
            kept.absorb(raw)

    run(dump_in_order(route, ROUTES, _GET_ROUTE, bytes(12), absorb))
    in_main = sorted(kept.messages, key=lambda raw: raw[_TABLE_AT] != _MAIN_TABLE)
    wanted = [*sorted(defaults.messages, key=lambda raw: raw[_TABLE_AT] != _MAIN_TABLE), *in_main][:MAX_ROWS]
    rows = tuple(_route(_decoded(rtmsg, raw), devices) for raw in wanted)
    return Routes(rows, defaults.total + kept.total, local)


def _route(message: Any, devices: dict[int, str]) -> Route:
    table = message.get_attr("RTA_TABLE") or message["table"]
    destination = _text(message.get_attr("RTA_DST"))
    hops = message.get_attr("RTA_MULTIPATH") or []
    via = [_gateway(hop) for hop in hops] or [_gateway(message)]
    device = message.get_attr("RTA_OIF") or (hops[0]["oif"] if hops else 0)
    return Route(
        family=_FAMILIES[message["family"]],
        table=_TABLES.get(table, str(table)),
        destination=f"{destination}/{message['dst_len']}" if destination and message["dst_len"] else "default",
        kind=_ROUTE_KINDS.get(message["type"], str(message["type"])),
        via=tuple(filter(None, via)),
        device=devices.get(device, f"#{device}" if device else ""),
        source=_text(message.get_attr("RTA_PREFSRC")),
        metric=message.get_attr("RTA_PRIORITY"),
    )


def _gateway(message: Any) -> str:
    if gateway := message.get_attr("RTA_GATEWAY"):
        return _text(gateway)
    via = message.get_attr("RTA_VIA")
    return _text(via.get("addr", "")) if via else ""


def read_policy_rules(route: socket.socket) -> Rows:
    """Return the rules of IPv4 and IPv6, in the order in which they are tried; raise ReadError."""
    from pyroute2.netlink.rtnl.fibmsg import fibmsg

    kept = _Kept(lambda raw: raw[16] in _FAMILIES)
    run(dump_in_order(route, RULES, _GET_RULE, bytes(12), kept.absorb))
    return Rows(tuple(_policy_rule(_decoded(fibmsg, raw)) for raw in kept.messages[:MAX_ROWS]), kept.total)


def _policy_rule(message: Any) -> PolicyRule:
    get = message.get_attr
    table = get("FRA_TABLE") or message["table"]
    suppressed = get("FRA_SUPPRESS_PREFIXLEN")
    action = _RULE_ACTIONS.get(message["action"], f"lookup {_TABLES.get(table, str(table))}")
    if message["action"] == 2:
        action = f"goto {get('FRA_GOTO')}"
    if suppressed not in (None, _NO_SUPPRESSION):
        action += f" suppress_prefixlength {suppressed}"
    return PolicyRule(_FAMILIES[message["family"]], get("FRA_PRIORITY") or 0, " ".join(_selector(message)), action)


def _selector(message: Any) -> list[str]:
    get = message.get_attr
    source, destination = get("FRA_SRC"), get("FRA_DST")
    parts = [f"from {_text(source)}/{message['src_len']}" if source else "from all"]
    if destination:
        parts.append(f"to {_text(destination)}/{message['dst_len']}")
    if mark := get("FRA_FWMARK"):
        mask = get("FRA_FWMASK")
        parts.append(f"fwmark {mark:#x}" + (f"/{mask:#x}" if mask not in (None, 0xFFFFFFFF) else ""))
    for name, key in (
        ("iif", "FRA_IIFNAME"),
        ("oif", "FRA_OIFNAME"),
        ("uidrange", "FRA_UID_RANGE"),
        ("ipproto", "FRA_IP_PROTO"),
        ("sport", "FRA_SPORT_RANGE"),
        ("dport", "FRA_DPORT_RANGE"),
    ):
        if (value := get(key)) is not None:
            parts.append(f"{name} {_text(value)}")
    if message["flags"] & 2:  # FIB_RULE_INVERT
        parts.insert(0, "not")
    return parts


def _decoded(kind: Callable[[bytes], Any], raw: bytes) -> Any:
    message = kind(raw)
    message.decode()
    return message


def _text(value: object) -> str:
    """Return a value as text: pyroute2 leaves bytes that are not UTF-8 as they are."""
    if value is None:
        return ""
    return sanitize(value if isinstance(value, bytes) else str(value), 80)
