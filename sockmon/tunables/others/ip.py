"""net.ipv4.* besides TCP: IP, ICMP, IGMP, fragments, routes, interfaces and neighbours."""

from sockmon.tunables.untuned import INITIAL_NETNS, NETNS, NETNS_AS_HOST, others

_ROUTES = "It limits no connections."
_NO_CACHE = "IPv4 has no routing cache since Linux 3.6, so it has no effect."
_ENOBUFS = "It limits multicast groups, not connections: above it setsockopt() fails with ENOBUFS."
_FRAGMENTS = (
    "It limits no connections. Datagrams whose fragments do not fit are lost (Ip.ReasmFails). TCP rarely sends"
    " fragments."
)
_IPSEC = "IPsec: "

IP_KEYS = (
    *others(
        "net.ipv4.",
        NETNS,
        {
            "fib_multipath_hash_fields": "Which fields of a packet choose among several routes.",
            "fib_multipath_hash_policy": "Whether addresses alone, or ports too, choose among several routes.",
            "fib_multipath_hash_seed": "A number that changes the choice among several routes.",
            "fib_multipath_use_neigh": "Whether routes to unreachable neighbours are avoided.",
            "fib_notify_on_flag_change": "Whether programs are notified when a route is offloaded.",
            "fwmark_reflect": "Whether answers without a socket, such as RST, have the mark of their packet.",
            "icmp_echo_enable_probe": "Whether the host answers PROBE requests (RFC 8335).",
            "icmp_echo_ignore_all": "Whether the host ignores ping.",
            "icmp_echo_ignore_broadcasts": "Whether the host ignores ping to a broadcast or multicast address.",
            "icmp_errors_use_inbound_ifaddr": "Which address the sender of an ICMP error has.",
            "icmp_ignore_bogus_error_responses": "Whether wrong ICMP errors of routers are kept out of the log.",
            "icmp_msgs_burst": "How many ICMP messages may follow each other before icmp_msgs_per_sec applies.",
            "icmp_msgs_per_sec": "How many ICMP messages a second this namespace sends at most.",
            "icmp_ratelimit": "The least time between two ICMP errors to one host, in milliseconds.",
            "icmp_ratemask": "The types of ICMP to which icmp_ratelimit applies.",
            "igmp_link_local_mcast_reports": "Whether link-local multicast groups are reported.",
            "igmp_max_memberships": ("The multicast groups that one socket may join.", _ENOBUFS),
            "igmp_max_msf": ("The source addresses of one multicast group of a socket.", _ENOBUFS),
            "igmp_qrv": "How often a report of a multicast group is repeated.",
            "ip_default_ttl": "The TTL of packets that this host sends.",
            "ip_dynaddr": "Whether connections that are being opened follow a changed address of a dial-up line.",
            "ip_early_demux": "Whether the socket of a packet is searched before its route.",
            "ip_forward_update_priority": "Whether forwarded packets get their priority from TOS.",
            "ip_forward_use_pmtu": "Whether forwarded packets follow the path MTU that this host has learned.",
            "ip_no_pmtu_disc": "Whether path MTU discovery is off.",
            "ip_nonlocal_bind": "Whether bind() accepts an address that the host does not have.",
            "ipfrag_high_thresh": ("The memory in which fragments are put together, in bytes.", _FRAGMENTS),
            "ipfrag_low_thresh": ("The memory of fragments to which the kernel once freed, in bytes.", _FRAGMENTS),
            "ipfrag_max_dist": ("How many fragments of one host may overtake each other.", _FRAGMENTS),
            "ipfrag_time": ("How long fragments wait for the missing ones, in seconds.", _FRAGMENTS),
            "nexthop_compat_mode": "Whether programs that do not know nexthop objects are informed of them.",
            "ping_group_range": "The groups whose processes may open ping sockets without privilege.",
            "raw_l3mdev_accept": "Whether raw sockets receive packets of every VRF.",
            "udp_child_hash_entries": "The size of the hash table of UDP sockets that the next new network"
            " namespace gets; 0 shares the host's.",
            "udp_early_demux": "Whether the socket of a UDP packet is searched before its route.",
            "udp_hash_entries": "It is read-only: the size of the hash table of UDP sockets.",
            "udp_l3mdev_accept": "Whether UDP sockets receive packets of every VRF.",
            "udp_rmem_min": (
                "The bytes of received data that each UDP socket may hold even while net.ipv4.udp_mem is used up.",
                "It limits no connections.",
            ),
            "udp_wmem_min": ("The same for data to send.", "It has no effect: UDP does not count that memory."),
            "xfrm4_gc_thresh": (f"{_IPSEC}the number of cached routes.", "Since Linux 4.14 it has no effect."),
            "route.flush": "A number that is written empties the cached exceptions of routes; it cannot be read.",
            "route.min_adv_mss": "The least segment size that a route makes the host announce.",
            "route.min_pmtu": "The least path MTU that the host accepts.",
            "route.mtu_expires": "How long a learned path MTU is kept, in seconds.",
        },
    ),
    *others(
        "net.ipv4.",
        INITIAL_NETNS,
        {
            "cipso_cache_bucket_size": "Security labels (CIPSO): entries in each bucket of their cache.",
            "cipso_cache_enable": "Security labels (CIPSO): whether they are cached.",
            "cipso_rbm_optfmt": "Security labels (CIPSO): the format of their option.",
            "cipso_rbm_strictvalid": "Security labels (CIPSO): how strictly they are checked.",
            "fib_sync_mem": "How much memory of routes may wait to be freed.",
            "inet_peer_maxttl": "How long the kernel remembers a host at most, in seconds.",
            "inet_peer_minttl": "How long the kernel remembers a host at least, in seconds.",
            "inet_peer_threshold": "The number of remembered hosts from which on they are forgotten sooner. They"
            " serve to limit ICMP and redirects.",
            "ipfrag_secret_interval": ("How often a hash is changed.", "Since Linux 3.17 it has no effect."),
            "route.error_burst": "How many ICMP errors about routes may follow each other.",
            "route.error_cost": "How strongly ICMP errors about routes are limited.",
            "route.gc_elasticity": ("The chain length of the routing cache.", _NO_CACHE),
            "route.gc_interval": ("How often the routing cache was cleaned.", _NO_CACHE),
            "route.gc_min_interval": ("The pause between cleanings of the routing cache.", _NO_CACHE),
            "route.gc_min_interval_ms": ("The pause between cleanings of the routing cache.", _NO_CACHE),
            "route.gc_thresh": ("The size from which on the routing cache was cleaned.", _NO_CACHE),
            "route.gc_timeout": ("The age of entries of the routing cache.", _NO_CACHE),
            "route.max_size": (
                "The size of the routing cache of IPv4, at which a log once had `dst cache overflow`.",
                _NO_CACHE,
            ),
            "route.redirect_load": "How strongly ICMP redirects are limited.",
            "route.redirect_number": "How many ICMP redirects a host gets before they stop.",
            "route.redirect_silence": "After how long a host gets redirects again.",
        },
    ),
    *others(
        "net.ipv4.",
        NETNS_AS_HOST,
        {
            "ip_forward": (
                "Whether this host forwards packets between interfaces: it is the same switch as"
                " net.ipv4.conf.all.forwarding, and sets it for every interface.",
                "It limits no connections, but containers and NAT do not work without it.",
            ),
        },
    ),
    *others(
        "net.ipv4.conf.*.",
        NETNS_AS_HOST,
        {
            "accept_local": "Whether packets with a local source address are accepted.",
            "accept_redirects": "Whether ICMP redirects are followed.",
            "accept_source_route": "Whether packets with a source route are accepted.",
            "arp_accept": "Whether an ARP announcement creates a neighbour.",
            "arp_announce": "Which source address ARP requests have.",
            "arp_evict_nocarrier": "Whether neighbours are forgotten when the link goes down.",
            "arp_filter": "Whether only the interface answers ARP that would send to the asking host.",
            "arp_ignore": "Which ARP requests are answered.",
            "arp_notify": "Whether the address is announced when the interface comes up.",
            "bc_forwarding": "Whether directed broadcasts are forwarded.",
            "bootp_relay": "Whether packets from 0.x.x.x are accepted for a BOOTP relay.",
            "disable_policy": f"{_IPSEC}whether policies are off on this interface.",
            "disable_xfrm": f"{_IPSEC}whether encryption is off on this interface.",
            "drop_gratuitous_arp": "Whether ARP announcements are dropped.",
            "drop_unicast_in_l2_multicast": "Whether unicast packets in multicast frames are dropped.",
            "force_igmp_version": "Which version of IGMP is used.",
            "forwarding": (
                "Whether packets that arrive on this interface are forwarded.",
                "It limits no connections, but containers and NAT do not work without it.",
            ),
            "igmpv2_unsolicited_report_interval": "The pause between reports of IGMPv2, in milliseconds.",
            "igmpv3_unsolicited_report_interval": "The pause between reports of IGMPv3, in milliseconds.",
            "ignore_routes_with_linkdown": "Whether routes over a link that is down are ignored.",
            "log_martians": "Whether packets with impossible addresses are logged.",
            "mc_forwarding": "Whether multicast is routed; it is read-only.",
            "medium_id": "Which interfaces are on the same medium, for proxy ARP.",
            "promote_secondaries": "Whether a second address takes over when the first one is deleted.",
            "proxy_arp": "Whether ARP requests for other hosts are answered.",
            "proxy_arp_pvlan": "Whether they are answered on the interface they came from as well.",
            "route_localnet": "Whether 127.0.0.0/8 may be routed; kube-proxy sets it for NodePorts.",
            "rp_filter": (
                "Whether a packet is dropped if its answer would not leave by the interface it came from: 0 no, 1"
                " strictly, 2 if no interface leads back. The higher value of `all` and the interface counts.",
                "It limits no connections, but on asymmetric paths it drops their packets"
                " (TcpExt.IPReversePathFilter), and they time out.",
            ),
            "secure_redirects": "Whether only redirects to known gateways are followed.",
            "send_redirects": "Whether a router sends redirects.",
            "shared_media": "Whether several networks share the medium.",
            "src_valid_mark": "Whether the mark of a packet counts in the check of its source.",
            "tag": "A number that programs may store.",
        },
        _ROUTES,
    ),
    *(
        row
        for family in ("ipv4", "ipv6")
        for row in others(
            f"net.{family}.neigh.*.",
            NETNS_AS_HOST,
            {
                "anycast_delay": "The longest delay of an answer for an anycast address.",
                "app_solicit": "How often a program is asked for a neighbour before multicast is used.",
                "base_reachable_time": "How long a neighbour counts as reachable, in seconds.",
                "base_reachable_time_ms": "How long a neighbour counts as reachable, in milliseconds.",
                "delay_first_probe_time": "How long the first probe of a neighbour waits, in seconds.",
                "gc_interval": "How often old neighbours are searched for, in seconds.",
                "gc_stale_time": "How long an unused neighbour is kept, in seconds.",
                "interval_probe_time_ms": "How often managed neighbours are probed, in milliseconds.",
                "locktime": "How long a neighbour's address cannot change again.",
                "mcast_resolicit": "How often a lost neighbour is asked for by multicast.",
                "mcast_solicit": "How often a new neighbour is asked for by multicast or broadcast.",
                "proxy_delay": "The longest delay of a proxy's answer.",
                "proxy_qlen": "How many requests to a proxy may wait.",
                "retrans_time": "The pause between requests for a neighbour.",
                "retrans_time_ms": "The pause between requests for a neighbour, in milliseconds.",
                "ucast_solicit": "How often a known neighbour is asked directly.",
                "unres_qlen": "How many packets may wait for a neighbour's address; unres_qlen_bytes decides.",
                "unres_qlen_bytes": (
                    "How many bytes may wait for a neighbour's address.",
                    "It limits no connections: packets above it are dropped, and SYNs come again.",
                ),
            },
        )
    ),
)
