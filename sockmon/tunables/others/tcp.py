"""net.ipv4.tcp_*, for IPv6 as well."""

from sockmon.tunables.untuned import INITIAL_NETNS, NETNS, NETNS_AS_HOST, READ_ONLY_ELSEWHERE, others

_THROUGHPUT = "It changes the throughput of a connection; it limits no connections."


def _without_effect(since: str) -> str:
    return f"Since Linux {since} it has no effect. It limits no connections."


TCP_KEYS = (
    *others(
        "net.ipv4.tcp_",
        NETNS,
        {
            "adv_win_scale": ("The share of a receive buffer that the window may use.", _without_effect("6.6")),
            "app_win": "The share of the window that is kept for the application's own buffer.",
            "autocorking": "Whether small writes are joined while an earlier packet still waits in the device.",
            "backlog_ack_defer": "Whether the ACKs for a backlog of packets of one socket are sent as one.",
            "base_mss": "The segment size with which MTU probing begins (tcp_mtu_probing).",
            "challenge_ack_limit": "How many challenge ACKs a second this namespace sends at most.",
            "comp_sack_delay_ns": "How long a selective ACK may be delayed, to be joined with others.",
            "comp_sack_nr": "How many selective ACKs may be joined.",
            "comp_sack_slack_ns": "The slack of the timer that joins selective ACKs.",
            "dsack": "Whether duplicate segments are reported to the sender (D-SACK).",
            "early_demux": "Whether the socket of a packet is searched before its route.",
            "early_retrans": "Tail loss probes: 0 turns them off, 3 or 4 on.",
            "ecn": "Explicit congestion notification: 0 off, 1 requested and accepted, 2 accepted only; newer"
            " kernels have further values.",
            "ecn_fallback": "Whether a connection continues without ECN if the network changes its marks.",
            "ecn_option": "Whether AccECN sends its TCP option.",
            "ecn_option_beacon": "How often AccECN sends its TCP option at least, in each round trip.",
            "fack": ("Whether forward acknowledgment is used.", _without_effect("4.15")),
            "fastopen": (
                "TCP Fast Open, a sum of bits: 1 lets clients send data in the SYN, 2 lets servers accept it. A"
                " program must ask for it as well.",
                "It saves a round trip; it limits no connections. A server's queue of such SYNs is the number"
                " that the program gives to TCP_FASTOPEN.",
            ),
            "fastopen_blackhole_timeout_sec": "For how long Fast Open is turned off after a firewall has dropped"
            " its packets, in seconds.",
            "fastopen_key": "The keys of the cookies of Fast Open.",
            "frto": "Whether the sender detects that a retransmission timeout was not needed (F-RTO).",
            "fwmark_accept": "Whether an accepted connection inherits the mark of its SYN.",
            "invalid_ratelimit": "The least time between two ACKs for invalid segments of a connection, in"
            " milliseconds.",
            "l3mdev_accept": "Whether a listener accepts connections of every VRF.",
            "limit_output_bytes": (
                "How many bytes of one connection may wait in the queues of devices.",
                "It limits the queue of each connection, not connections.",
            ),
            "max_reordering": "The largest reordering of segments that a connection adapts to.",
            "migrate_req": "Whether handshakes move to another listener of a SO_REUSEPORT group if one is closed.",
            "min_rtt_wlen": "The window over which the least round trip time is measured, in seconds.",
            "min_snd_mss": "The least segment size that a peer can make this host use.",
            "min_tso_segs": "The least number of segments of a packet that the device splits.",
            "moderate_rcvbuf": (
                "Whether the kernel sizes the receive buffers of TCP by itself, up to the last number of"
                " net.ipv4.tcp_rmem.",
                _THROUGHPUT,
            ),
            "mtu_probe_floor": "The least segment size that MTU probing tries.",
            "mtu_probing": "Whether TCP finds the path MTU by itself: 0 no, 1 after a black hole was detected, 2"
            " always.",
            "no_metrics_save": "Whether the kernel forgets what it measured on closed connections, such as the"
            " round trip time.",
            "no_ssthresh_metrics_save": "Whether the slow start threshold of closed connections is forgotten.",
            "pacing_ca_ratio": "The pacing rate in congestion avoidance, in percent of the measured rate.",
            "pacing_ss_ratio": "The pacing rate in slow start, in percent of the measured rate.",
            "pingpong_thresh": "The number of exchanges after which a connection counts as interactive and delays"
            " its ACKs.",
            "plb_cong_thresh": "Protective load balancing: the share of marked packets that means congestion.",
            "plb_enabled": "Protective load balancing: whether congested connections change their path.",
            "plb_idle_rehash_rounds": "Protective load balancing: congested rounds before an idle connection"
            " changes its path.",
            "plb_rehash_rounds": "Protective load balancing: congested rounds before a connection changes its"
            " path.",
            "plb_suspend_rto_sec": "Protective load balancing: how long it is off after a retransmission timeout.",
            "probe_interval": "How often MTU probing begins again, in seconds.",
            "probe_threshold": "The interval of sizes at which MTU probing ends.",
            "recovery": "Loss detection by time (RACK), a sum of bits.",
            "reflect_tos": "Whether the SYN-ACK has the TOS of the SYN.",
            "reordering": "The reordering of segments that a new connection expects.",
            "retrans_collapse": "Whether retransmissions join segments, for peers with old faults.",
            "retries1": (
                "The number of retransmissions after which the kernel checks the route of a connection.",
                "It ends no connection: net.ipv4.tcp_retries2 does.",
            ),
            "rfc1337": "Whether a RST in TIME_WAIT is ignored.",
            "rto_max_ms": (
                "The longest pause between two retransmissions, in milliseconds.",
                "It limits no connections, but with net.ipv4.tcp_retries2 it decides how long a dead one lasts.",
            ),
            "rto_min_us": "The shortest retransmission timeout, in microseconds.",
            "sack": "Whether selective acknowledgments are used.",
            "shrink_window": "Whether the receive window may shrink when memory is short.",
            "slow_start_after_idle": (
                "Whether a connection begins with a small congestion window again after a pause. 0 keeps the"
                " window.",
                _THROUGHPUT,
            ),
            "stdurg": "How the urgent pointer is read.",
            "syn_linear_timeouts": (
                "How many SYNs are retransmitted in equal pauses of 1 s, before the pauses double.",
                "It limits no connections: net.ipv4.tcp_syn_retries decides how many follow.",
            ),
            "thin_linear_timeouts": "Whether the pauses between retransmissions stay equal if little data is in"
            " flight.",
            "tso_rtt_log": "How the size of packets that the device splits depends on the round trip time.",
            "tso_win_divisor": "The share of the congestion window that one packet may use that the device"
            " splits.",
            "window_scaling": (
                "Whether windows above 64 kB are possible.",
                "With 0 each connection is slow on a long path; it limits no connections.",
            ),
            "workaround_signed_windows": "Whether peers are expected that read windows as signed numbers.",
        },
    ),
    *others(
        "net.ipv4.tcp_",
        NETNS_AS_HOST,
        {
            "congestion_control": (
                "The algorithm of congestion control of new connections, such as cubic or bbr. Only what"
                " net.ipv4.tcp_available_congestion_control lists can be set.",
                _THROUGHPUT,
            ),
        },
    ),
    *others(
        "net.ipv4.tcp_",
        READ_ONLY_ELSEWHERE,
        {
            "allowed_congestion_control": "The algorithms of congestion control that programs without privilege"
            " may choose.",
        },
    ),
    *others(
        "net.ipv4.tcp_",
        NETNS,
        {
            "available_congestion_control": "It is read-only: the algorithms of congestion control that are"
            " loaded.",
            "child_ehash_entries": (
                "The size of the hash table of connections that the next new network namespace gets; 0 shares the"
                " host's.",
                "It limits no connections: a small table makes them slow.",
            ),
            "ehash_entries": (
                "It is read-only: the size of the hash table of connections; negative if the host's is shared.",
                "It limits no connections: a small table makes them slow.",
            ),
        },
    ),
    *others(
        "net.ipv4.tcp_",
        INITIAL_NETNS,
        {
            "available_ulp": "It is read-only: the protocols above TCP that are loaded, such as tls.",
            "low_latency": ("Whether TCP does without a queue that Linux 4.14 removed.", _without_effect("4.14")),
        },
    ),
)
