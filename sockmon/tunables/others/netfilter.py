"""net.netfilter.* and net.bridge.*; the keys of connection tracking exist when its module is loaded."""

from sockmon.tunables.untuned import INITIAL_NETNS, NETNS, READ_ONLY_ELSEWHERE, others

_NOT_THE_TABLE = "It limits no connections: net.netfilter.nf_conntrack_max does."

NETFILTER_KEYS = (
    *others(
        "net.netfilter.nf_conntrack_",
        NETNS,
        {
            "acct": (
                "Whether each new entry of connection tracking counts its packets and bytes.",
                "It limits no connections; an entry with counters takes some bytes more.",
            ),
            "timestamp": (
                "Whether each new entry keeps the time at which it began.",
                "It limits no connections; an entry with a time takes some bytes more.",
            ),
            "checksum": (
                "Whether packets with a wrong checksum are marked as invalid.",
                "It limits no connections; a rule that drops invalid packets drops these.",
            ),
            "events": "Whether changes of entries are reported to programs (conntrack -E): 0 never, 1 always, 2"
            " while a program listens.",
            "log_invalid": "Which protocol's invalid packets are logged: 0 none, 255 all, or a protocol's number.",
            "tcp_be_liberal": (
                "With 1 only a RST outside the window is invalid, not every packet outside it.",
                f"{_NOT_THE_TABLE} A rule that drops invalid packets breaks connections on asymmetric paths;"
                " with 1 it does not.",
            ),
            "tcp_ignore_invalid_rst": "With 1 a RST outside the window does not end its entry.",
            "tcp_loose": (
                "Whether a connection whose beginning was not seen gets an entry, as after a restart of the"
                " firewall. With 0 its packets are invalid.",
                f"{_NOT_THE_TABLE} With 0, rules that accept only known connections end those that are older"
                " than their entries.",
            ),
            "tcp_max_retrans": (
                "After how many retransmissions without an answer an entry gets the timeout"
                " nf_conntrack_tcp_timeout_max_retrans.",
                _NOT_THE_TABLE,
            ),
            "frag6_high_thresh": (
                "The memory in which connection tracking puts IPv6 fragments together, in bytes.",
                "It limits that memory: when it is full, datagrams in fragments are lost. It limits no"
                " connections.",
            ),
            "frag6_low_thresh": "The memory of IPv6 fragments to which the kernel once freed.",
            "frag6_timeout": "How long fragments wait for the missing ones, in seconds.",
        },
    ),
    *others(
        "net.netfilter.nf_conntrack_",
        NETNS,
        {
            "gre_timeout": "How long a GRE flow stays in the table while it has no reply, in seconds.",
            "gre_timeout_stream": "How long a GRE flow in both directions stays in the table, in seconds.",
            **{
                f"sctp_timeout_{state}": f"How long an SCTP association {text} stays in the table, in seconds."
                for state, text in (
                    ("closed", "that is closed"),
                    ("cookie_wait", "whose INIT got no answer"),
                    ("cookie_echoed", "whose COOKIE ECHO got no answer"),
                    ("established", "that is open"),
                    ("heartbeat_sent", "whose heartbeat got no answer"),
                    ("shutdown_sent", "whose SHUTDOWN got no answer"),
                    ("shutdown_recd", "whose SHUTDOWN has been received"),
                    ("shutdown_ack_sent", "whose SHUTDOWN ACK has been sent"),
                )
            },
        },
        f"{_NOT_THE_TABLE} Entries that stay long take room in it.",
    ),
    *others(
        "net.netfilter.nf_conntrack_",
        READ_ONLY_ELSEWHERE,
        {
            "expect_max": (
                "The number of connections that helpers may expect, such as the data connections of FTP.",
                "It limits what helpers expect, not other connections.",
            ),
        },
    ),
    *others(
        "net.netfilter.",
        NETNS,
        {
            "nf_hooks_lwtunnel": "Whether rules apply inside lightweight tunnels.",
            "nf_log.*": "Which module logs the packets of a protocol family.",
        },
    ),
    *others(
        "net.netfilter.",
        INITIAL_NETNS,
        {"nf_log_all_netns": "Whether rules of other network namespaces may write to the kernel's log."},
    ),
    *others(
        "net.bridge.bridge-nf-",
        NETNS,
        {
            "call-arptables": "Whether bridged ARP packets pass the rules of arptables.",
            "call-ip6tables": "Whether bridged IPv6 packets pass the rules of ip6tables.",
            "call-iptables": (
                "Whether bridged IPv4 packets pass the rules of iptables, and so connection tracking. Kubernetes"
                " needs 1.",
                "It limits no connections; with 1 bridged flows take entries of connection tracking.",
            ),
            "filter-pppoe-tagged": "Whether bridged packets inside PPPoE pass the rules.",
            "filter-vlan-tagged": "Whether bridged packets with a VLAN tag pass the rules.",
            "pass-vlan-input-dev": "Whether the VLAN device counts as the input of bridged packets.",
        },
    ),
)
