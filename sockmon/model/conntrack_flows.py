"""Flows of the connection tracking table: what asks for them, and what answers.

A flow is identified by its namespace, its zone, its protocol and its original tuple; `Flow.id` tells it from a
later flow with the same ones. To delete a flow the kernel needs exactly these (ctnetlink_del_conntrack()).
"""

from __future__ import annotations

import msgspec

from sockmon.model.snapshot import Missing

MAX_FLOWS = 500
"""Flows that a FlowsDetail lists at most; `matched` counts all."""

SEEN_REPLY, ASSURED, SRC_NAT, DST_NAT = 0x02, 0x04, 0x10, 0x20
"""Bits of Flow.status: enum ip_conntrack_status of include/uapi/linux/netfilter/nf_conntrack_common.h."""
STATUS_WORDS: tuple[tuple[int, str], ...] = (
    *((ASSURED, "ASSURED"), (SRC_NAT, "SNAT"), (DST_NAT, "DNAT"), (0x01, "EXPECTED"), (0x40, "SEQ_ADJUST")),
    *((0x200, "DYING"), (0x400, "FIXED_TIMEOUT"), (0x2000, "HELPER"), (0x4000, "OFFLOAD"), (0x8000, "HW_OFFLOAD")),
)
"""Bits of the status that a person may want to know, and their words."""


class FlowTuple(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One direction of a flow, as its packets are addressed."""

    source: str
    destination: str
    source_port: int | None = None
    """None for a protocol without ports; of gre the key."""
    destination_port: int | None = None
    icmp_id: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    zone: int | None = None
    """The zone of this direction alone (`ct original zone set`); None if both directions share Flow.zone."""


class FlowTraffic(msgspec.Struct, frozen=True, gc=False):
    """Packets and bytes in both directions."""

    packets: int
    bytes: int
    reply_packets: int
    reply_bytes: int


class Flow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One entry of the connection tracking table."""

    netns: int
    """Inode of the network namespace whose table it is in."""
    family: int
    """4 or 6."""
    protocol: str
    """tcp, udp, icmp, …; `protocol 253` for one without a name."""
    number: int
    """The number of the protocol in the IP header."""
    original: FlowTuple
    reply: FlowTuple
    """As replies are addressed: not the mirror image of `original` if an address is translated."""
    status: int
    """Bits of enum ip_conntrack_status."""
    state: str = ""
    """The state of the tracked TCP connection, which is not that of a socket; empty for other protocols, and for a
    connection in a flowtable."""
    timeout: int | None = None
    """Seconds until the entry ends if no packet comes; None in a flowtable."""
    zone: int = 0
    mark: int | None = None
    """None if the kernel has no marks."""
    id: int | None = None
    """The kernel's number for this entry."""
    traffic: FlowTraffic | None = None
    """None if net.netfilter.nf_conntrack_acct was off when it began."""
    started: float | None = None
    """Seconds since the epoch; None if net.netfilter.nf_conntrack_timestamp was off when it began."""
    helper: str = ""
    labels: str = ""
    """Connection labels as hexadecimal digits; empty if none is set."""
    master: FlowTuple | None = None
    """The original tuple of the flow that expected this one, such as an FTP control connection."""

    @property
    def assured(self) -> bool:
        """Whether the kernel never evicts it early for a new flow."""
        return bool(self.status & ASSURED)

    @property
    def unreplied(self) -> bool:
        """Whether no packet came in the reply direction."""
        return not self.status & SEEN_REPLY

    @property
    def translated(self) -> bool:
        """Whether an address or a port is translated."""
        return bool(self.status & (SRC_NAT | DST_NAT))

    @property
    def status_words(self) -> tuple[str, ...]:
        """UNREPLIED or ASSURED first, then what else is special about it."""
        return status_words(self.status)


def status_words(status: int) -> tuple[str, ...]:
    """Return the words for the bits of a status: `UNREPLIED` as `conntrack -L` writes it, `ASSURED`, `SNAT`, …"""
    first = () if status & SEEN_REPLY else ("UNREPLIED",)
    return (*first, *(word for bit, word in STATUS_WORDS if status & bit))


class TextValue(msgspec.Struct, frozen=True, tag="text"):
    """A text that contains this one, in upper or lower case."""

    text: str


class WordValue(msgspec.Struct, frozen=True, tag="word"):
    """A text that is this one, in upper or lower case: `state:CLOSE` without CLOSE_WAIT."""

    text: str


class PrefixValue(msgspec.Struct, frozen=True, tag="prefix"):
    """A text that begins like this, such as an incomplete address."""

    text: str


class RangeValue(msgspec.Struct, frozen=True, tag="range"):
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int


class NetworkValue(msgspec.Struct, frozen=True, tag="network"):
    """An address in a network, as `10.0.0.0/8`; a single address has the full prefix length."""

    network: str


FlowValue = TextValue | WordValue | PrefixValue | RangeValue | NetworkValue


class FlowTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition: one of `values` must match."""

    field: str
    """src, dst, sport, dport, port (either of them), proto, state (of TCP, and the words of the status), zone or
    mark; empty: a word that is searched in all texts."""
    values: tuple[FlowValue, ...]
    negated: bool = False


class FlowsQuery(msgspec.Struct, frozen=True, tag="flows", tag_field="focus"):
    """Ask for the flows of a namespace that match all terms."""

    netns: int
    """Inode of the namespace."""
    terms: tuple[FlowTerm, ...] = ()


class FlowQuery(msgspec.Struct, frozen=True, tag="flow", tag_field="focus"):
    """Ask for one flow as it is now."""

    flow: Flow
    """As it was in a list."""


class FlowDetail(msgspec.Struct, frozen=True, tag="flow-detail", tag_field="type"):
    """One flow."""

    at: float
    query: FlowQuery = msgspec.field(name="focus")
    flow: Flow | None
    """None if it has ended, or could not be read; then `missing` says why. If its id is another one, a new flow
    has the same addresses."""
    missing: tuple[Missing, ...]


class FlowsDetail(msgspec.Struct, frozen=True, tag="flows-detail", tag_field="type"):
    """The first flows that match, and how many do."""

    at: float
    query: FlowsQuery = msgspec.field(name="focus")
    flows: tuple[Flow, ...]
    """In the order of the table, at most MAX_FLOWS."""
    matched: int
    entries: int | None
    """Entries of the whole table; None if unknown."""
    seconds: float
    """Processor time that the answer took: it is not to be asked for in short intervals if that is long."""
    missing: tuple[Missing, ...]
