"""net.core.*, net.mptcp.* and net.unix.*."""

from sockmon.tunables.untuned import INITIAL_NETNS, NETNS, others

_SOFTNET = (
    "It limits no connections. TcpExt has no counter for it: the third column of /proc/net/softnet_stat counts how"
    " often a poll ended with packets left (time_squeeze)."
)

CORE_KEYS = (
    *others(
        "net.core.",
        INITIAL_NETNS,
        {
            "bpf_jit_enable": "Whether BPF programs are compiled.",
            "bpf_jit_harden": "Whether compiled BPF programs are hardened.",
            "bpf_jit_kallsyms": "Whether compiled BPF programs are listed among the kernel's symbols.",
            "bpf_jit_limit": (
                "The memory of compiled BPF programs of unprivileged users.",
                "It limits that memory.",
            ),
            "busy_poll": "How long poll() and select() wait for the device by polling it, in microseconds.",
            "busy_read": "How long a read waits for the device by polling it, in microseconds.",
            "default_qdisc": (
                "The queueing discipline that new devices get, such as fq_codel or fq.",
                "It limits no connections; devices that exist keep theirs.",
            ),
            "dev_weight": (
                "How many packets the kernel takes at most from the backlog of a processor in one poll; drivers"
                " with a fixed weight do not use it.",
                _SOFTNET,
            ),
            "dev_weight_rx_bias": "A factor of dev_weight for receiving.",
            "dev_weight_tx_bias": "A factor of dev_weight for sending.",
            "devconf_inherit_init_net": "What new network namespaces inherit of net.ipv4.conf and net.ipv6.conf.",
            "fb_tunnels_only_for_init_net": "Whether new network namespaces get fallback tunnel devices.",
            "flow_limit_cpu_bitmap": "The processors on which no single flow may fill the backlog.",
            "flow_limit_table_len": "The number of hash buckets with which large flows are found.",
            "gro_normal_batch": "How many received packets are passed on together.",
            "high_order_alloc_disable": "Whether the kernel tries to allocate several pages together for packets.",
            "max_skb_frags": "How many fragments one packet may have.",
            "mem_pcpu_rsv": "The pages of protocol memory that each processor may keep in reserve.",
            "message_burst": "How many network messages are logged before their rate is limited.",
            "message_cost": "How strongly the rate of network messages in the log is limited.",
            "netdev_budget": (
                "How many packets the kernel takes at most from all devices in one round of receiving.",
                _SOFTNET,
            ),
            "netdev_budget_usecs": (
                "How long one round of receiving may last, in microseconds.",
                _SOFTNET,
            ),
            "netdev_rss_key": "It is read-only: the key with which devices spread packets over their queues.",
            "netdev_tstamp_prequeue": "Whether packets get their time stamp before they enter the backlog.",
            "netdev_unregister_timeout_secs": "After how long the log reports a device that cannot be removed.",
            "rps_sock_flow_entries": "The size of the table that sends packets to the processor of their program"
            " (RFS).",
            "skb_defer_max": "How many packets may wait to be freed by the processor that allocated them.",
            "warnings": ("It once turned some messages on.", "It has no effect, and limits no connections."),
            "xfrm_acq_expires": "IPsec: how long the kernel waits for a key, in seconds.",
            "xfrm_aevent_etime": "IPsec: how often events about an association are sent.",
            "xfrm_aevent_rseqth": "IPsec: after how many packets an event is sent.",
            "xfrm_larval_drop": "IPsec: whether packets are dropped while keys are agreed on.",
        },
    ),
    *others(
        "net.core.",
        NETNS,
        {
            "optmem_max": (
                "The memory of one socket for its options and for what accompanies a message: filters, multicast"
                " groups, control data, notifications of MSG_ZEROCOPY. Before Linux 6.8 it was one value for the"
                " host.",
                "It limits no connections: above it setsockopt() and sendmsg() fail with ENOBUFS or ENOMEM.",
            ),
            "rps_default_mask": "The processors that receive for new devices (RPS).",
            "tstamp_allow_data": "Whether a time stamp may be returned with its packet to unprivileged programs.",
            "txrehash": "Whether a connection without progress changes its path.",
        },
    ),
    *others(
        "net.mptcp.",
        NETNS,
        {
            "add_addr_timeout": "Multipath TCP: after how long an address is announced again, in seconds.",
            "allow_join_initial_addr_port": "Multipath TCP: whether peers may join on the first address and port.",
            "available_path_managers": "Multipath TCP, read-only: the path managers that are loaded.",
            "available_schedulers": "Multipath TCP, read-only: the schedulers that are loaded.",
            "blackhole_timeout": "Multipath TCP: for how long it is off after a firewall has dropped its packets.",
            "checksum_enabled": "Multipath TCP: whether data has a checksum of its own.",
            "close_timeout": "Multipath TCP: how long a connection without subflows stays, in seconds.",
            "enabled": "Whether programs may open sockets of Multipath TCP.",
            "path_manager": "Multipath TCP: the path manager of new connections.",
            "pm_type": "Multipath TCP: whether the kernel or a program manages paths.",
            "scheduler": "Multipath TCP: which subflow sends next.",
            "stale_loss_cnt": "Multipath TCP: after how many lost intervals a subflow is left out.",
            "syn_retrans_before_tcp_fallback": "Multipath TCP: after how many SYNs plain TCP is tried.",
        },
    ),
)
