"""struct tcp_info by the names of the kernel (include/uapi/linux/tcp.h): it only grows at its end, so what is
behind the end of a shorter one is not known."""

from __future__ import annotations

import struct

_BYTES = ("state", "ca_state", "retransmits", "probes", "backoff", "options")
_WORDS = (
    *("rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets"),
    *(
        "last_data_sent",
        "last_ack_sent",
        "last_data_recv",
        "last_ack_recv",
        "pmtu",
        "rcv_ssthresh",
        "rtt",
        "rttvar",
    ),
    *("snd_ssthresh", "snd_cwnd", "advmss", "reordering", "rcv_rtt", "rcv_space", "total_retrans"),
)
_LATER = (
    *(("pacing_rate", 8), ("max_pacing_rate", 8), ("bytes_acked", 8), ("bytes_received", 8), ("segs_out", 4)),
    *(("segs_in", 4), ("notsent_bytes", 4), ("min_rtt", 4), ("data_segs_in", 4), ("data_segs_out", 4)),
    *(("delivery_rate", 8), ("busy_time", 8), ("rwnd_limited", 8), ("sndbuf_limited", 8), ("delivered", 4)),
    *(("delivered_ce", 4), ("bytes_sent", 8), ("bytes_retrans", 8), ("dsack_dups", 4), ("reord_seen", 4)),
    *(("rcv_ooopack", 4), ("snd_wnd", 4), ("rcv_wnd", 4), ("rehash", 4), ("total_rto", 2)),
    *(("total_rto_recoveries", 2), ("total_rto_time", 4)),
)
"""Fields after total_retrans, with their bytes."""
_FORMATS = {2: "=H", 4: "=I", 8: "=Q"}
_SCALES, _FLAGS, _FIRST_WORD = 6, 7, 8
_UNLIMITED_RATE = 2**64 - 1


def parse(payload: bytes) -> dict[str, int]:
    """Return the fields that this kernel sent: times in microseconds, but last_* in milliseconds; an unlimited
    rate is left out."""
    found = dict(zip(_BYTES, payload[: len(_BYTES)], strict=False))
    if len(payload) > _FLAGS:
        found["snd_wscale"], found["rcv_wscale"] = payload[_SCALES] & 15, payload[_SCALES] >> 4
        found["delivery_rate_app_limited"] = payload[_FLAGS] & 1
    at = _FIRST_WORD
    for name, size in (*((name, 4) for name in _WORDS), *_LATER):
        if at + size > len(payload):
            break
        found[name] = struct.unpack_from(_FORMATS[size], payload, at)[0]
        at += size
    return {name: value for name, value in found.items() if value != _UNLIMITED_RATE}
