"""Messages about names, peers and interfaces that have no error code of a call."""

from sockmon.explain.symptoms.symptom import Cause, Symptom

NETWORK_MESSAGES = (
    Symptom(
        name="EAI_AGAIN",
        kind="message",
        other_names=(
            *("temporary failure in name resolution", "no such host", "name or service not known", "ENOTFOUND"),
            *("host not found", "EAI_NONAME", "could not translate host name"),
        ),
        related=("conntrack.insert_failed", "conntrack.drop"),
        description="A name could not be resolved. EAI_AGAIN: no resolver answered in time; ENOTFOUND and `no such"
        " host`: one answered that the name does not exist.",
        causes=(
            Cause(
                None,
                "the name is wrong, or not in a search domain of /etc/resolv.conf",
                "name that does not exist",
                (r"no such host", r"not known", r"ENOTFOUND", r"not found", r"NONAME"),
            ),
            Cause(
                None,
                "after about 5 s: two queries of one socket raced in connection tracking; see"
                " conntrack.insert_failed",
                "race of two DNS queries",
                (r"EAI_AGAIN", r"temporary failure"),
            ),
            Cause("conntrack-table", "drop moves on this host or on that of the resolver"),
            Cause("udp-buffers", "RcvbufErrors moves on the host of the resolver: it does not keep up"),
            Cause("udp-ports", "no UDP port is free for the query: EAGAIN in a trace"),
        ),
    ),
    Symptom(
        name="unexpected EOF",
        kind="message",
        other_names=(
            *("upstream prematurely closed connection", "server closed the connection unexpectedly"),
            *("no live upstreams", "unexpected end of file", "connection closed before"),
        ),
        description="The peer closed the connection in the normal way, before it had answered. With a reset it"
        " would be ECONNRESET.",
        causes=(
            Cause(
                None,
                "its process ended while it worked on the request: a crash, a restart, or the kernel killed it"
                " (oom_kill)",
                "process that ended",
            ),
            Cause(
                None,
                "it closed an idle connection at the moment at which it was used again: the idle time of the"
                " client has to be shorter than the keep-alive time of the server",
                "idle connection",
            ),
            Cause(
                None,
                "nginx has marked each server as failed, after max_fails errors that are in the log before this"
                " line",
                "upstreams that are marked as failed",
                (r"no live upstreams",),
            ),
        ),
    ),
    Symptom(
        name="page allocation failure",
        kind="message",
        other_names=("SLUB: Unable to allocate memory",),
        description="The kernel found no free memory at once, mostly in an interrupt of the network, and dropped a"
        " packet. No process is killed.",
        causes=(
            Cause(
                None,
                "bursts are faster than memory is reclaimed: a higher vm.min_free_kbytes keeps more of it free",
                "memory for packets",
            ),
        ),
    ),
    Symptom(
        name="unregister_netdevice",
        kind="message",
        other_names=("unregister_netdevice: waiting for",),
        description="The kernel waits for the last user of an interface that is removed. A network namespace"
        " with it cannot end, and new ones may wait for it.",
        causes=(
            Cause(
                None,
                "a socket or a route still refers to the interface: `ss -K` in that namespace, or a fault of the"
                " kernel",
                "interface that is still in use",
            ),
        ),
    ),
    Symptom(
        name="Route cache is full",
        kind="message",
        other_names=("consider increasing sysctl net.ipv6.route.max_size",),
        description="IPv6 routes reach net.ipv6.route.max_size, on Linux before 6.3: connect() and sendto() over"
        " IPv6 fail with ENETUNREACH or ENOMEM.",
        causes=(Cause(None, "raise net.ipv6.route.max_size, 4,096 by default there", "IPv6 routes"),),
    ),
)
