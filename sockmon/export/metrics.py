"""Every metric, a row each: its name, type, labels and meaning, and how it is read.

Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for counters. They are a contract:
a name that changes breaks dashboards of other people."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.export import values
from sockmon.export.metric import Metric, Sample

_CEILING, _SUBJECT, _NETNS = ("ceiling",), ("ceiling", "subject", "netns"), ("netns",)

METRICS: Sequence[Metric] = (
    Metric("sockmon_build", "info", (), "Version of sockmon, of Python and of the kernel.", values.build),
    Metric(
        "sockmon_verdict",
        "stateset",
        (),
        "The worst severity of all limits of this host.",
        lambda facts: [Sample((), facts.assessment.report.verdict)],
    ),
    Metric(
        "sockmon_ceiling_severity",
        "stateset",
        _CEILING,
        "The worst severity of all subjects of a limit, with the levels of this host's config. It is unknown only"
        " if no subject is known.",
        values.of_ceilings(lambda facts, use: use.severity),
    ),
    Metric(
        "sockmon_ceiling_ratio",
        "gauge",
        _CEILING,
        "Used part of the limit, of the fullest subject: 1 is full.",
        values.of_fullest(values.ratio),
    ),
    Metric(
        "sockmon_ceiling_used",
        "gauge",
        _CEILING,
        "What the fullest subject uses, in the unit of the limit; pages are converted to bytes.",
        values.of_fullest(values.used),
    ),
    Metric(
        "sockmon_ceiling_limit",
        "gauge",
        _CEILING,
        "The limit of the fullest subject, in the same unit.",
        values.of_fullest(values.limit),
    ),
    Metric(
        "sockmon_ceiling_left_seconds",
        "gauge",
        _CEILING,
        "Seconds until the first subject reaches its limit, if its use goes on growing; absent if none grows.",
        values.of_ceilings(lambda facts, use: use.seconds_left),
    ),
    Metric(
        "sockmon_ceiling_subjects",
        "gauge",
        _CEILING,
        "Subjects of a limit that were judged, such as processes.",
        values.of_ceilings(lambda facts, use: float(use.subjects)),
    ),
    Metric(
        "sockmon_ceiling_unlisted_subjects",
        "gauge",
        _CEILING,
        "Those of them that have no series of their own: less than half of their limit is used, or others with the"
        " same name or more urgent ones are listed.",
        values.of_ceilings(lambda facts, use: float(use.unlisted)),
    ),
    Metric(
        "sockmon_fullest_ratio",
        "gauge",
        _CEILING,
        "sockmon_ceiling_ratio of the fullest limit of this host, with the name of that limit. Prefer it for many"
        " hosts: a query reads one series of each host instead of one for each limit.",
        values.of_host_fullest(values.ratio),
    ),
    Metric(
        "sockmon_fullest_used",
        "gauge",
        _CEILING,
        "sockmon_ceiling_used of that limit.",
        values.of_host_fullest(values.used),
    ),
    Metric(
        "sockmon_fullest_limit",
        "gauge",
        _CEILING,
        "sockmon_ceiling_limit of that limit.",
        values.of_host_fullest(values.limit),
    ),
    Metric(
        "sockmon_fullest_left_seconds",
        "gauge",
        _CEILING,
        "sockmon_ceiling_left_seconds of that limit.",
        values.of_host(lambda facts, use: use.seconds_left),
    ),
    Metric(
        "sockmon_unknown_ceilings",
        "gauge",
        (),
        "Limits whose severity is unknown.",
        values.unknown_ceilings,
    ),
    Metric(
        "sockmon_subject_severity",
        "stateset",
        _SUBJECT,
        "The severity of one subject.",
        values.of_subjects(lambda facts, reading: reading.severity),
    ),
    Metric(
        "sockmon_subject_ratio", "gauge", _SUBJECT, "Used part of its limit.", values.of_subjects(values.ratio)
    ),
    Metric(
        "sockmon_subject_used",
        "gauge",
        _SUBJECT,
        "What it uses, as sockmon_ceiling_used.",
        values.of_subjects(values.used),
    ),
    Metric(
        "sockmon_subject_limit",
        "gauge",
        _SUBJECT,
        "Its limit, in the same unit.",
        values.of_subjects(values.limit),
    ),
    Metric(
        "sockmon_subject_left_seconds",
        "gauge",
        _SUBJECT,
        "Seconds until it reaches its limit, if it grows steadily.",
        values.of_subjects(lambda facts, reading: reading.eta_seconds),
    ),
    Metric(
        "sockmon_subject_growth_per_second",
        "gauge",
        _SUBJECT,
        "How fast its use grows, in the unit of the limit.",
        values.of_subjects(lambda facts, reading: values.in_base_unit(facts, reading, reading.rate)),
    ),
    Metric("sockmon_tcp_sockets", "gauge", ("netns", "state"), "TCP sockets by state.", values.states),
    Metric(
        "sockmon_listen_overflows",
        "counter",
        _NETNS,
        "Connections refused because an accept queue was full.",
        values.counter("TcpExt.ListenOverflows"),
    ),
    Metric(
        "sockmon_listen_drops",
        "counter",
        _NETNS,
        "Connections that a listener dropped for any reason, overflows included.",
        values.counter("TcpExt.ListenDrops"),
    ),
    Metric(
        "sockmon_syn_queue_drops",
        "counter",
        _NETNS,
        "SYNs dropped because a SYN queue was full.",
        values.counter("TcpExt.TCPReqQFullDrop"),
    ),
    Metric(
        "sockmon_syn_cookies_sent",
        "counter",
        _NETNS,
        "SYN cookies sent because a SYN queue was full.",
        values.counter("TcpExt.SyncookiesSent"),
    ),
    Metric(
        "sockmon_tcp_retransmitted_segments",
        "counter",
        _NETNS,
        "TCP segments sent again.",
        values.counter("Tcp.RetransSegs"),
    ),
    Metric(
        "sockmon_tcp_memory_aborts",
        "counter",
        _NETNS,
        "Connections ended because TCP had no memory.",
        values.counter("TcpExt.TCPAbortOnMemory"),
    ),
    Metric(
        "sockmon_time_wait_overflows",
        "counter",
        _NETNS,
        "Sockets that skipped TIME_WAIT because net.ipv4.tcp_max_tw_buckets was reached.",
        values.counter("TcpExt.TCPTimeWaitOverflow"),
    ),
    Metric(
        "sockmon_udp_receive_buffer_errors",
        "counter",
        _NETNS,
        "UDP datagrams dropped because the receive buffer of a socket was full.",
        values.counter("Udp.RcvbufErrors"),
    ),
    Metric(
        "sockmon_conntrack_entries",
        "gauge",
        _NETNS,
        "Entries of the connection tracking table.",
        values.conntrack_entries,
    ),
    Metric(
        "sockmon_conntrack_drops",
        "counter",
        _NETNS,
        "Packets dropped because the table was full, or for other reasons.",
        values.conntrack_counter("drop"),
    ),
    Metric(
        "sockmon_conntrack_insert_failures",
        "counter",
        _NETNS,
        "Entries that could not be added, as for two connections with one translated port.",
        values.conntrack_counter("insert_failed"),
    ),
    Metric(
        "sockmon_conntrack_early_drops",
        "counter",
        _NETNS,
        "Entries removed early because the table was full.",
        values.conntrack_counter("early_drop"),
    ),
    Metric(
        "sockmon_softnet_drops",
        "counter",
        (),
        "Packets dropped because the backlog of a processor was full.",
        values.softnet("dropped"),
    ),
    Metric(
        "sockmon_network_namespaces", "gauge", ("watched",), "Network namespaces of the host.", values.namespaces
    ),
    Metric(
        "sockmon_unread_processes",
        "gauge",
        (),
        "Processes whose descriptors this user may not read.",
        values.unread_processes,
    ),
    Metric(
        "sockmon_missing",
        "gauge",
        ("reader",),
        "Things that could not be read, by reader: what follows from them is unknown, not ok. Reader config:"
        " levels that make no sense, in whose place the defaults hold.",
        values.missing,
    ),
    Metric(
        "sockmon_part_age_seconds",
        "gauge",
        ("part",),
        "Age of each part that is not read for each sample.",
        values.ages,
    ),
    Metric(
        "sockmon_sample_timestamp_seconds",
        "gauge",
        (),
        "When the newest sample was taken, in seconds since the epoch.",
        lambda facts: [Sample((), facts.assessment.snapshot.wall)],
    ),
    Metric(
        "sockmon_sample_interval_seconds",
        "gauge",
        (),
        "Seconds between two samples that are aimed at.",
        lambda facts: [Sample((), facts.assessment.snapshot.interval)],
    ),
    Metric(
        "sockmon_processor_ratio",
        "gauge",
        (),
        "Part of one processor that sampling takes, over the last minute.",
        lambda facts: [Sample((), round(facts.assessment.snapshot.cost, 5))],
    ),
)
"""In the order in which they are written."""
