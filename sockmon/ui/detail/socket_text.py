"""One socket in words: struct tcp_info, its memory, its timer and its options. What is not known is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.text import Text

from sockmon import format
from sockmon.model.socket_detail import SocketFacts
from sockmon.model.socket_list import PACKET, TCP, UNIX, ListedSocket
from sockmon.ui.detail.owners import bold_pair, join_dots
from sockmon.ui.detail.socket_columns import NO_OWNER
from sockmon.ui.widgets.labelled_list import Labelled

LARGE_SHARE = 0.05
"""Share of the sending time from which on a limit is worth a warning."""
_NO_SSTHRESH = 0x7FFFFFFF
_CA_STATES = {
    0: "Open: no loss",
    1: "Disorder: duplicate ACKs, not yet taken for a loss",
    2: "CWR: slowed down by ECN or by the own device",
    3: "Recovery: fast retransmission",
    4: "Loss: retransmission timeout",
}
_TIMERS = {
    1: "retransmission",
    2: "keepalive, or delayed",
    3: "end of TIME_WAIT",
    4: "probe of the peer's closed window",
}
_OPTIONS = ((1, "timestamps"), (2, "sack"), (4, "wscale"), (8, "ecn"), (16, "ecn seen"), (32, "fastopen data"))
_SHUTDOWN = {1: "receives no more", 2: "sends no more", 3: "receives and sends no more"}
_MEMORY_WORDS = (
    ("fwd_alloc", "charged and unused"),
    ("optmem", "options"),
    ("backlog", "backlog"),
)


def socket_facts(row: ListedSocket, facts: SocketFacts) -> list[Labelled]:
    """Return all facts about a socket, the most useful first."""
    found = [*_identity(row, facts), *_queues(row, facts.memory)]
    if row.key.protocol == TCP and facts.info and row.state != "LISTEN":
        found += _tcp(facts.info)
    found += [*_memory(facts.memory), *_timer(facts), *_options(row, facts), *_marks(facts)]
    return [Labelled(name, text) for name, text in found if text.plain]


Facts = Iterator[tuple[str, Text]]


def _identity(row: ListedSocket, facts: SocketFacts) -> Facts:
    parts = [bold_pair("inode", str(row.key.inode) if row.key.inode else "none")]
    if row.user:
        parts.append(bold_pair("user", f"{row.user} ({row.uid})"))
    if facts.kind:
        parts.append(bold_pair("kind", facts.kind))
    if facts.device:
        parts.append(bold_pair("device", facts.device))
    if facts.shutdown:
        parts.append(Text(_SHUTDOWN.get(facts.shutdown, "")))
    yield "Socket", join_dots(parts)
    if row.no_owner in NO_OWNER:
        yield "Owner", Text.assemble("none: ", NO_OWNER[row.no_owner][1])
    yield "Namespace", Text.assemble(row.netns, (f"  container {row.container}" if row.container else "", "muted"))


def _queues(row: ListedSocket, memory: Mapping[str, int]) -> Facts:
    if row.state == "LISTEN":
        waiting = f"{format.count(row.recv_queue)} connections wait to be accepted"
        yield "Queue", Text(f"{waiting}; backlog {format.count(row.send_queue)}")
        return
    parts = []
    for name, size in (("Recv-Q", row.recv_queue), ("Send-Q", row.send_queue)):
        parts.append(bold_pair(name, format.UNKNOWN if size is None else format.plural(size, "byte")))
    if (drops := memory.get("drops")) is not None:
        parts.append(Text(f"{drops:,} dropped", "sev-warning" if drops else ""))
    yield "Queues", join_dots(parts)


def _tcp(info: Mapping[str, int]) -> Facts:
    yield "Limited by", limits_text(info)
    yield "Round trip", _round_trip(info)
    yield "Window", _window(info)
    yield "Rates", _rates(info)
    yield "Losses", _losses(info)
    yield "Data", _data(info)
    yield "Last data", _last(info)
    yield "Segments", _segments(info)


def limits_text(info: Mapping[str, int]) -> Text:
    """Return what held the sender up, as shares of the time in which it had data to send."""
    busy = info.get("busy_time")
    if busy is None:
        return Text()
    if not busy:
        return Text("nothing: it had no data in flight", "muted")
    window, buffer = info.get("rwnd_limited", 0) / busy, info.get("sndbuf_limited", 0) / busy
    rest = max(1 - window - buffer, 0.0)
    shares = (
        (window, "the peer's receive window", window > LARGE_SHARE),
        (buffer, "its own send buffer", buffer > LARGE_SHARE),
        (rest, "the network or the congestion window", False),
    )
    parts = [
        Text.assemble((format.ratio(share), "sev-warning" if warns else ""), f" {what}")
        for share, what, warns in sorted(shares, key=lambda each: -each[0])
        if share >= 0.005
    ]
    text = join_dots(parts)
    return text.append(f"  of {format.duration(busy / 1e6)} with data in flight", "muted")


def _round_trip(info: Mapping[str, int]) -> Text:
    parts = []
    if rtt := info.get("rtt"):
        parts.append(bold_pair("rtt", f"{_ms(rtt)} ± {_ms(info.get('rttvar', 0))}"))
    if (least := info.get("min_rtt")) not in (None, 0xFFFFFFFF):
        parts.append(bold_pair("least", _ms(least)))
    if rcv := info.get("rcv_rtt"):
        parts.append(bold_pair("as receiver", _ms(rcv)))
    if rto := info.get("rto"):
        parts.append(bold_pair("retransmission timeout", _ms(rto)))
    return join_dots(parts)


def _ms(microseconds: int | None) -> str:
    return format.UNKNOWN if microseconds is None else f"{microseconds / 1000:,.3g} ms"


def _window(info: Mapping[str, int]) -> Text:
    parts = []
    if (cwnd := info.get("snd_cwnd")) is not None:
        parts.append(bold_pair("cwnd", f"{cwnd:,} segments"))
    if (least := info.get("snd_ssthresh")) is not None:
        parts.append(bold_pair("ssthresh", "none yet" if least >= _NO_SSTHRESH else f"{least:,}"))
    if (unacked := info.get("unacked")) is not None:
        parts.append(bold_pair("in flight", f"{unacked:,}"))
    if (peer := info.get("snd_wnd")) is not None:
        parts.append(bold_pair("peer's window", _bytes(peer)))
    if (own := info.get("rcv_wnd")) is not None:
        parts.append(bold_pair("own window", _bytes(own)))
    if (mss := info.get("snd_mss")) is not None:
        parts.append(bold_pair("mss", f"{mss:,} out, {info.get('rcv_mss', 0):,} in"))
    if pmtu := info.get("pmtu"):
        parts.append(bold_pair("path mtu", f"{pmtu:,}"))
    return join_dots(parts)


def _rates(info: Mapping[str, int]) -> Text:
    parts = []
    if rate := info.get("delivery_rate"):
        limited = " (the application sent less)" if info.get("delivery_rate_app_limited") else ""
        parts.append(bold_pair("delivered", f"{_rate(rate)}{limited}"))
    if rate := info.get("pacing_rate"):
        parts.append(bold_pair("paced to", _rate(rate)))
    if rate := info.get("max_pacing_rate"):
        parts.append(bold_pair("at most", _rate(rate)))
    return join_dots(parts)


def _rate(bytes_per_second: int) -> str:
    return f"{format.size(bytes_per_second)}/s"


def _bytes(size: int) -> str:
    return f"{size:,}" if size < 10_000 else format.size(size)


def _losses(info: Mapping[str, int]) -> Text:
    total = info.get("total_retrans")
    parts = [Text(_CA_STATES.get(info.get("ca_state", 0), ""))]
    if total is not None:
        parts.append(
            Text.assemble(
                ("retransmitted ", "strong"), (f"{total:,}", "sev-warning" if total else ""), " segments"
            )
        )
    for name, word in (
        ("retrans", "in flight again"),
        ("lost", "taken for lost"),
        ("sacked", "sacked"),
        ("retransmits", "timeouts of this segment"),
        ("probes", "window probes"),
        ("dsack_dups", "sent twice without need"),
        ("reord_seen", "reorderings"),
        ("rcv_ooopack", "received out of order"),
        ("total_rto", "timeouts in all"),
        ("delivered_ce", "ECN marks"),
    ):
        if value := info.get(name):
            parts.append(bold_pair(word, f"{value:,}"))
    return join_dots(parts)


def _data(info: Mapping[str, int]) -> Text:
    parts = []
    for name, word in (
        ("bytes_sent", "sent"),
        ("bytes_acked", "acknowledged"),
        ("bytes_retrans", "sent again"),
        ("notsent_bytes", "not sent yet"),
        ("bytes_received", "received"),
    ):
        value = info.get(name)
        if value is not None and (value or name in ("bytes_acked", "bytes_received")):
            parts.append(bold_pair(word, format.plural(value, "byte")))
    return join_dots(parts)


def _last(info: Mapping[str, int]) -> Text:
    parts = []
    for name, word, segments in (
        ("last_data_sent", "sent", "data_segs_out"),
        ("last_data_recv", "received", "data_segs_in"),
    ):
        if (ago := info.get(name)) is not None:
            never = info.get(segments) == 0
            parts.append(bold_pair(word, "never" if never else f"{_ago(ago)} ago"))
    if (ago := info.get("last_ack_recv")) is not None:
        parts.append(bold_pair("last ACK", f"{_ago(ago)} ago"))
    return join_dots(parts)


def _ago(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else format.age(milliseconds / 1000)


def _segments(info: Mapping[str, int]) -> Text:
    parts = []
    for name, word in (("segs_out", "out"), ("segs_in", "in")):
        if (count := info.get(name)) is not None:
            data = info.get(f"data_{name}")
            with_data = "" if data is None else f", {data:,} with data"
            parts.append(bold_pair(word, f"{count:,}{with_data}"))
    if (order := info.get("reordering")) is not None:
        parts.append(bold_pair("reordering tolerated", f"{order:,}"))
    return join_dots(parts)


def _memory(memory: Mapping[str, int]) -> Facts:
    parts = []
    for used, limit, word in (("rmem_alloc", "rcvbuf", "receive"), ("wmem_queued", "sndbuf", "send")):
        if used in memory and limit in memory:
            ratio = memory[used] / memory[limit] if memory[limit] else None
            full = ratio is not None and ratio >= 1
            parts.append(
                Text.assemble(
                    (f"{word} ", "strong"),
                    (f"{_bytes(memory[used])} of {_bytes(memory[limit])}", "sev-warning" if full else ""),
                )
            )
    if sent := memory.get("wmem_alloc"):
        parts.append(bold_pair("given to the device", _bytes(sent)))
    parts += [bold_pair(word, _bytes(memory[name])) for name, word in _MEMORY_WORDS if memory.get(name)]
    yield "Memory", join_dots(parts)


def _timer(facts: SocketFacts) -> Facts:
    if not facts.timer:
        return
    parts = [Text(_TIMERS.get(facts.timer, f"timer {facts.timer}"))]
    if facts.timer_expires is not None:
        parts.append(bold_pair("in", f"{facts.timer_expires:,.1f} s"))
    if facts.timer_retransmits:
        parts.append(bold_pair("attempts", str(facts.timer_retransmits)))
    yield "Timer", join_dots(parts)


def _options(row: ListedSocket, facts: SocketFacts) -> Facts:
    info, parts = facts.info, []
    if facts.congestion:
        parts.append(bold_pair("congestion control", facts.congestion))
    if facts.ulp:
        parts.append(bold_pair("upper layer", facts.ulp))
    bits = info.get("options", 0)
    for bit, name in _OPTIONS:
        if bits & bit:
            scale = f" {info.get('snd_wscale')},{info.get('rcv_wscale')}" if name == "wscale" else ""
            parts.append(Text(f"{name}{scale}"))
    parts += [Text(name) for name in facts.options]
    if facts.v6only:
        parts.append(Text("IPV6_V6ONLY"))
    if facts.tos:
        parts.append(bold_pair("tos", f"0x{facts.tos:02x}"))
    if parts and row.key.protocol not in (UNIX, PACKET):
        yield "Options", join_dots(parts)


def _marks(facts: SocketFacts) -> Facts:
    parts = []
    if facts.mark:
        parts.append(bold_pair("mark", f"0x{facts.mark:x}"))
    if facts.class_id:
        parts.append(bold_pair("class id", f"0x{facts.class_id:x}"))
    yield "Marks", join_dots(parts)
    if facts.cgroup_id is not None:
        yield "Cgroup", Text(facts.cgroup or f"id {facts.cgroup_id}: gone, or not visible from here")
