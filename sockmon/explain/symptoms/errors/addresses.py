"""EADDRNOTAVAIL and EADDRINUSE: no address or no port could be had.

Source: inet_hashtables.c, inet_connection_sock.c, af_inet.c and udp.c of net/ipv4, net/ipv6/af_inet6.c and
addrconf.c, net/unix/af_unix.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import HALF_RANGE, PORT_RANGE, TIME_WAIT_LENGTH

CONNECTING = (
    r"\bdial\b",
    r"^(?!.*\bbind\().*(?:\bconnect(?:ing)?\b|upstream)",
    r"no free ports",
    r"NoRouteToHost",
)
"""nginx binds the source address `while connecting to upstream`."""
BINDING = (
    r"\bbind\w*\b",
    r"\blisten\w*\b",
    r"BindException",
)

_EADDRNOTAVAIL = Symptom(
    name="EADDRNOTAVAIL",
    kind="errno",
    other_names=("cannot assign requested address", "address not available", "no free ports"),
    description="Error 99, `Cannot assign requested address`: connect() found no local port, or bind() was given"
    " an address that this host does not have. No kernel counter moves.",
    causes=(
        Cause(
            "ephemeral-ports",
            "connect(): one source address holds nearly all usable ports towards one destination",
            marks=CONNECTING,
        ),
        Cause(
            "bound-ports",
            "connect(): no destination has nearly as many; sockets that were bound before they connected hold the"
            " ports, and block them for all others, in TIME_WAIT too",
            marks=CONNECTING,
        ),
        Cause(
            None,
            "connect() of a socket that is bound to a fixed port: the same connection (both addresses, both"
            " ports) exists already, or it is in TIME_WAIT and had no TCP timestamps (ss -tan sport = :PORT);"
            " with timestamps the port is reused at once, whatever net.ipv4.tcp_tw_reuse is",
            "same connection",
        ),
        Cause(
            None,
            "connect(): the program has set a narrower range for its socket (IP_LOCAL_PORT_RANGE, Linux 6.3),"
            " which sock_diag does not show; ports of the wide range are free",
            "port range of one socket",
        ),
        Cause(
            None,
            "bind(): no interface has that address (ip address), it is an IPv6 address that is still tentative, or"
            " it moved to another host; net.ipv4.ip_nonlocal_bind = 1 permits it",
            "address of another host",
            BINDING,
        ),
        Cause(
            None,
            "connect() to an IPv6 address from a host without IPv6 (net.ipv6.conf.all.disable_ipv6 = 1)",
            "no source address",
            (r"\[::1\]", r"::1\b"),
        ),
    ),
    misconceptions=(PORT_RANGE, HALF_RANGE, TIME_WAIT_LENGTH),
)
_EADDRINUSE = Symptom(
    name="EADDRINUSE",
    kind="errno",
    other_names=("address already in use", "another mysqld server running on port"),
    description="Error 98, `Address already in use`, from bind() or listen(). What matters is whether the port is"
    " fixed or was left to the kernel (port 0).",
    causes=(
        Cause(
            None,
            "bind() or listen() on a fixed port: another socket listens there, on this address or on 0.0.0.0 or"
            " :: (ss -ltnp sport = :PORT); SO_REUSEADDR does not help, and SO_REUSEPORT needs to be set on all of"
            " them, by one user",
            "another listener",
            key="listener",
        ),
        Cause(
            None,
            "bind() to a fixed port, and nothing listens there: an outbound connection of another process has it"
            " as its source port. The port lies in net.ipv4.ip_local_port_range and is not in"
            " net.ipv4.ip_local_reserved_ports (ss -tanp sport = :PORT). That connection has to end; to prevent"
            " it, add the port to net.ipv4.ip_local_reserved_ports",
            "source port of a client",
            key="client",
        ),
        Cause(
            None,
            "bind() to a fixed port without SO_REUSEADDR, and old connections of the service are in TIME_WAIT for"
            " up to 60 s: the service should set SO_REUSEADDR",
            "old connections in TIME_WAIT",
            key="time-wait",
        ),
        Cause(
            None,
            "bind() to a fixed port, and connections that an earlier listener accepted are still open, in a child"
            " process for example: SO_REUSEADDR helps if both sockets set it",
            "connections of an earlier listener",
            key="accepted",
        ),
        Cause(
            None,
            "bind() to a fixed port, and another process has bound it without listening or connecting; ss lists"
            " such sockets only with -B, since Linux 6.8",
            "bound, but not listening",
            key="bound",
        ),
        Cause(
            None,
            "bind() to a path: the file of a unix socket exists, even if no process uses it any more. If `ss -xl`"
            " does not list it, remove the file before bind()",
            "file of a unix socket",
            (r"\bunix\b", r"\.sock\b", r"\.s\.PGSQL", r"Unix socket"),
        ),
        Cause(
            "bound-ports",
            "bind() to port 0, or listen() without bind(): the source address has no free port, whatever the"
            " destination",
            marks=(r":0\b", r"\bport 0\b", r"\bbind\([\d.]+\) failed"),
        ),
        Cause(
            "udp-ports",
            "bind() to port 0 of a UDP socket: no UDP port is free",
            marks=(r"\budp\d?\b.*:0\b",),
        ),
    ),
)

ADDRESSES = (_EADDRNOTAVAIL, _EADDRINUSE)
