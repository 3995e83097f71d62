"""The fields of the filter: names, types and meanings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from sockmon.ui.filtering import term_values
from sockmon.ui.filtering.term_values import Units, Value

Kind = Literal["text", "number", "address"]
USAGE: dict[Kind, str] = {
    "text": "a part of the name; quote it when it has a space",
    "number": "a number, 8000-9000, >8080, <=1k, or several with commas between them",
    "address": "an address, a network such as 10.0.0.0/8, or the beginning of an address",
}


class Field(NamedTuple):
    """A field; `units` are what may follow its numbers."""

    name: str
    kind: Kind
    meaning: str
    units: Units = term_values.COUNT_UNITS
    searched: bool = False
    """Whether a word without a field is searched in it: names, addresses and ids."""

    @property
    def usage(self) -> str:
        """What can follow the colon."""
        return USAGE[self.kind]

    def read(self, text: str, quoted: bool) -> Value:
        """Return the value that was typed; raise FilterError if it is not valid for the field."""
        if self.kind == "number":
            return term_values.read_number(self.name, text, self.units, self.usage)
        if self.kind == "address" and not quoted:
            return term_values.read_address(self.name, text, self.usage)
        return term_values.read_text(self.name, text, quoted)


FIELDS: tuple[Field, ...] = (
    Field("port", "number", "destination port of a group, port of a listener, either port of a socket", {}, True),
    Field("src", "address", "source address: of a group, or the local one of a listener or socket", searched=True),
    Field("dst", "address", "destination address: of a group, or the remote one of a socket", searched=True),
    Field("sport", "number", "source port of a flow, local port of a socket", {}),
    Field("dport", "number", "destination port of a flow, remote port of a socket", {}),
    Field("zone", "number", "connection tracking zone of a flow", {}),
    Field("mark", "number", "mark of a flow", {}),
    Field(
        "state", "text", "TCP state; of processes CLOSE_WAIT, of groups TIME_WAIT; of hosts live, stale, gone",
        searched=True,
    ),
    Field("host", "text", "name of a host of a fleet", searched=True),
    Field("label", "text", "label of a host of a fleet, as label:rack=a1", searched=True),
    Field("proto", "text", "tcp, udp, unix, icmp", searched=True),
    Field("proc", "text", "name or command line of a process, or of an owner", searched=True),
    Field("pid", "number", "process id", {}, True),
    Field("user", "text", "user of a process or a socket", searched=True),
    Field("ns", "text", "network namespace of a limit, a process, a group or a listener, by name", searched=True),
    Field("ct", "text", "id or name of a container, as `ns`", searched=True),
    Field("ceiling", "text", "id or title of a limit on the board", searched=True),
    Field("severity", "text", "hit, critical, warning, ok, unknown"),
    Field("kind", "text", "kind of a descriptor: socket, file, pipe, eventpoll, …", searched=True),
    Field("fd", "number", "number of a descriptor", {}),
    Field("used", "number", "how many are in use"),
    Field("limit", "number", "how many are allowed"),
    Field("full", "number", "usage of the limit, in per cent", term_values.PERCENT_UNITS),
    Field("rate", "number", "change per second", term_values.RATE_UNITS),
    Field("left", "number", "time until the limit is reached, in seconds or as 10m, 2h", term_values.TIME_UNITS),
    Field("fds", "number", "open descriptors of a process"),
    Field("sockets", "number", "sockets of a process or owner"),
    Field("close_wait", "number", "sockets of a process in CLOSE_WAIT"),
    Field("time_wait", "number", "ports of a group in TIME_WAIT"),
    Field("threads", "number", "threads of a process"),
    Field("rss", "number", "resident memory in bytes, or as 10M", term_values.BYTE_UNITS),
    Field("queue", "number", "connections waiting in an accept queue"),
    Field("backlog", "number", "backlog of a listener"),
    Field("count", "number", "sockets in a state, entries of the connection table, shares"),
    Field("recvq", "number", "bytes in a receive queue", term_values.BYTE_UNITS),
    Field("sendq", "number", "bytes in a send queue", term_values.BYTE_UNITS),
    Field("rtt", "number", "round-trip time in ms", {"ms": 1.0}),
    Field("retrans", "number", "retransmitted segments"),
    Field("q", "number", "bytes in a receive or a send queue; also written q>0", term_values.BYTE_UNITS),
)  # fmt: skip

BY_NAME = {field.name: field for field in FIELDS}

SYNTAX: tuple[tuple[str, str], ...] = (
    ("nginx 443", "rows that contain every word"),
    ("proc:nginx", "a field contains a text, in upper or lower case"),
    ("port:443,8443", "one of several values"),
    ("port:8000-9000", "a range; also port:>8080 port:>=8080 port:<1024"),
    ("fds:>1k left:<10m", "numbers may have units"),
    ("q>0", "a comparison needs no colon"),
    ("src:10.0.0.0/8", "a network; also an address, or the beginning of one"),
    ("!state:LISTEN", "rows that do not match the term"),
    ('proc:"nginx: worker"', "text in quotes is taken as it is"),
)
"""Examples of the syntax, for the help and the docs."""


def descriptions() -> Iterator[tuple[str, str]]:
    """Yield each field with its meaning."""
    for field in FIELDS:
        yield field.name, field.meaning
